<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Welcome to ConPaaS!</title>
<style>
  :root { color-scheme: light dark; }
  body {
    margin: 0; min-height: 100vh; display: grid; place-items: center;
    font: 1.05rem/1.6 system-ui, sans-serif; background: #f4f6f8; color: #1d2733;
  }
  main {
    max-width: 34rem; margin: 1.5rem; padding: 2.5rem; border-radius: .75rem;
    background: #fff; box-shadow: 0 1px 3px #0003; border-top: .3rem solid #1f6f8b;
  }
  h1 { margin: 0 0 .5rem; font-size: 1.8rem; line-height: 1.2; }
  code { padding: .1em .35em; border-radius: .25rem; background: #eef2f5; }
  ol { padding-left: 1.25rem; }
  footer { margin-top: 1.5rem; color: #55606d; font-size: .9rem; }
  @media (prefers-color-scheme: dark) {
    body { background: #12181f; color: #dde5ec; }
    main { background: #1b242e; box-shadow: none; }
    code { background: #26323e; }
    footer { color: #9aa7b4; }
  }
</style>
</head>
<body>
<main>
  <h1>Welcome to ConPaaS!</h1>
  <p>This PHP service is running. It shows this page until you put your own application in its place:</p>
  <ol>
    <li>Pack it so that <code>index.php</code> lies at the top of the archive, and upload it, or push it with git.</li>
    <li>Enable the new version.</li>
  </ol>
  <footer>PHP <?php echo htmlspecialchars(PHP_VERSION); ?>, <?php echo htmlspecialchars(date('Y-m-d H:i T')); ?></footer>
</main>
</body>
</html>
