"""The parts of a node that hosts PHP, with the real programs."""

from __future__ import annotations

import http.client
import io
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.rpc import Upload
from conpaas_php.testing import VERSION, Node, Site, ask
from conpaas_web import access_log
from conpaas_web.parts import WebPart

FILES = {
    "index.php": "<?php echo 'index ', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'],"
    " ' ', file_get_contents('php://input');",
    "hello.php": "<?php echo 'hello';",
    "server.php": "<?php echo json_encode($_SERVER);",
    "env.php": "<?php echo json_encode(getenv());",
    "ini.php": "<?php echo ini_get($_GET['name']);",
    "sleep.php": "<?php usleep((int) ($_GET['ms'] * 1000)); echo 'slept';",
    "error.php": "<?php undefined_function();",
    "write.php": "<?php echo file_put_contents(__DIR__ . '/written.txt', 'by the code');",
    "outside.php": "<?php echo @file_get_contents($_GET['path']) === false ? 'no' : 'yes';",
    "upload.php": "<?php $i = fopen('php://input', 'r'); $n = 0; $h = hash_init('md5');"
    " while (($p = fread($i, 65536)) !== '' && $p !== false) { $n += strlen($p);"
    " hash_update($h, $p); } echo $n, ' ', hash_final($h), ' ', memory_get_peak_usage();",
    "style.css": "body { color: red }" + " " * 2000,
    "admin/index.php": "<?php echo 'admin ', $_SERVER['SCRIPT_NAME'];",
    "pages/index.html": "a page",
    "empty/notes.txt": "notes",
}


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    """A machine that does everything."""
    return site.whole(FILES)


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


# -- one machine ----------------------------------------------------------------------------------


def test_code_and_files_are_served(whole: Node) -> None:
    assert whole.ask("/").text == "index GET / "
    assert whole.ask("/hello.php").text == "hello"
    assert whole.ask("/style.css").headers["content-type"] == "text/css"
    assert whole.ask("/admin/").text == "admin /admin/index.php"
    assert whole.ask("/pages/").text == "a page"
    assert whole.ask("/a/pretty/url?x=1").text == "index GET /a/pretty/url?x=1 "


def test_it_is_no_news_to_be_told_the_same_again(site: Site, whole: Node) -> None:
    before = {name: whole.supervisor.pid(name) for name in whole.supervisor.names()}
    assert not whole.agent.run_backend(site.backend_part(whole))
    assert not whole.agent.run_web(WebPart((whole.address,), permalinks=True))
    assert not whole.agent.run_proxy(site.proxy_part([whole], [whole]))
    assert {name: whole.supervisor.pid(name) for name in whole.supervisor.names()} == before
    assert whole.agent.list_parts() == ["backend", "proxy", "web"]


def test_the_code_sees_who_asks_and_how(whole: Node) -> None:
    told = whole.ask(
        "/server.php/more?a=b", headers={"Host": "www.example.org:8000"}, source="127.0.0.9"
    )
    import json

    server = json.loads(told.text)
    assert server["REMOTE_ADDR"] == "127.0.0.9"
    assert server["HTTP_HOST"] == "www.example.org:8000"
    assert server["SERVER_NAME"] == "www.example.org"
    assert server["SERVER_PORT"] == "80"
    assert server["REQUEST_SCHEME"] == "http"
    assert server["SCRIPT_NAME"] == "/server.php"
    assert server["PHP_SELF"] == "/server.php/more"
    assert server["PATH_INFO"] == "/more"
    assert server["QUERY_STRING"] == "a=b"
    assert server["REQUEST_URI"] == "/server.php/more?a=b"
    assert server["DOCUMENT_ROOT"] == str(whole.root / "srv/code" / VERSION)
    assert server["HTTP_X_REQUEST_ID"] == told.headers["x-request-id"]


def test_what_clients_say_about_other_proxies_is_not_believed(whole: Node) -> None:
    import json

    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "Proxy": "http://evil.example",
        "X-Code-Version": "code-other",
        "X-Script": "/hello.php",
    }
    for path in ("/server.php", "/hello"):
        answer = whole.ask(path, headers=lies)
        assert answer.status == 200
        assert "6.6.6.6" not in answer.text
        assert "evil" not in answer.text
    server = json.loads(whole.ask("/server.php", headers=lies).text)
    assert server["HTTP_X_FORWARDED_PROTO"] == "http"
    assert "HTTPS" not in server


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/a/pretty/url", "/index.php"])
def test_what_is_sent_to_any_url_reaches_the_code(whole: Node, method: str, path: str) -> None:
    answer = whole.ask(path, method, b"the body")
    assert answer.text == f"index {method} {path} the body"


def test_a_file_cannot_be_posted_to(whole: Node) -> None:
    assert whole.ask("/style.css", "POST", b"x").status == 405
    assert whole.ask("/style.css", "DELETE").status == 405


def test_head_requests_have_no_body(whole: Node) -> None:
    for path in ("/", "/hello.php", "/style.css"):
        answer = whole.ask(path, "HEAD")
        assert (answer.status, answer.body) == (200, b"")


def test_files_can_be_asked_for_in_parts_and_only_when_they_have_changed(whole: Node) -> None:
    first = whole.ask("/style.css")
    assert first.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert whole.ask("/style.css", headers={"If-None-Match": first.headers["etag"]}).status == 304
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert whole.ask("/style.css", headers=since).status == 304
    part = whole.ask("/style.css", headers={"Range": "bytes=0-3"})
    assert (part.status, part.text) == (206, "body")


def test_text_is_sent_packed_to_who_can_unpack_it(whole: Node) -> None:
    answer = whole.ask("/style.css", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 200


def test_a_directory_without_its_slash_is_redirected_within_the_same_host(whole: Node) -> None:
    answer = whole.ask("/admin?x=1")
    assert (answer.status, answer.headers["location"]) == (301, "/admin/?x=1")


@pytest.mark.parametrize(
    "path",
    [
        "/.git/config",
        "/.env",
        "/.htaccess",
        "/sub/.user.ini",
        "/.git/x.php",
        "/%2egit/config",
        "/x/../.env",
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/style.css/../../code-b/style.css",
        "/hello.php~",
        "/hello.php.bak",
        "/hello.PHP",
        "/hello.phtml",
        "/style.css%00.php",
        "/style.css%00",
        "/.conpaas-page/unavailable",
        "//hello.php%0a",
    ],
)  # fmt: skip
def test_tricks_with_paths_show_nothing(site: Site, path: str) -> None:
    node = _guarded(site)
    answer = _raw(node.address, f"GET {path} HTTP/1.0")
    status = int(answer.split()[1])
    assert status in (400, 404), answer[:300]
    for secret in (b"SECRET", b"<?php", b"root:"):
        assert secret not in answer


_guard: list[Node] = []


def _guarded(site: Site) -> Node:
    """A machine without a front controller, with things in its code that nobody shall see."""
    if not _guard:
        secret = "<?php /* SECRET */ echo 'ran';"
        names = ("hello.php", "hello.php~", "hello.php.bak", "hello.PHP", "hello.phtml")
        files = dict.fromkeys(names, secret)
        files |= {".git/config": "SECRET", ".env": "SECRET", ".htaccess": "SECRET"}
        files |= {"sub/.user.ini": "; SECRET", ".git/x.php": secret, "style.css": "body {}"}
        files |= {"avatar.jpg": "<?php echo 'PWNED';", ".well-known/acme": "token"}
        _guard.append(site.whole(files))
        _guard[0].upload({"style.css": "SECRET"}, "code-b")
    return _guard[0]


def _raw(address: str, first: str, *lines: str) -> bytes:
    with socket.create_connection((address, 80), 10) as connection:
        request = [first, f"Host: {address}", "Connection: close", *lines, "", ""]
        connection.sendall("\r\n".join(request).encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_dots_and_slashes_of_a_path_are_resolved_before_it_is_judged(site: Site) -> None:
    node = _guarded(site)
    for path in (
        "/hello.php",
        "//hello.php",
        "/sub/../hello.php",
        "/sub/%2e%2e/hello.php",
        "/%68ello.php",
    ):
        assert _raw(node.address, f"GET {path} HTTP/1.0").endswith(b"ran"), path
    assert node.ask("/.well-known/acme").text == "token"


def test_an_uploaded_picture_is_never_run(site: Site) -> None:
    node = _guarded(site)
    for path in ("/avatar.jpg/x.php", "/avatar.jpg/.php", "/avatar.jpg%00.php"):
        answer = _raw(node.address, f"GET {path} HTTP/1.0")
        assert b"PWNED" not in answer
        assert int(answer.split()[1]) in (400, 403, 404)
    missing = node.ask("/avatar.jpg/x.php")
    assert (missing.status, missing.text.strip()) == (403, "Access denied.")


def test_a_very_long_address_is_refused_and_does_no_harm(whole: Node) -> None:
    assert b" 414 " in _raw(whole.address, f"GET /{'x' * 70_000} HTTP/1.1")[:20]
    assert whole.ask("/hello.php").text == "hello"


def test_without_permalinks_nothing_is_nothing(site: Site) -> None:
    node = site.whole(
        {"index.php": "<?php echo 'index';", "admin/index.php": "<?php echo 'admin';"},
        permalinks=False,
    )
    assert node.ask("/").text == "index"
    assert node.ask("/admin/").text == "admin"
    assert node.ask("/a/pretty/url").status == 404


def test_a_body_over_the_limit_is_refused_with_a_page(whole: Node) -> None:
    for path in ("/upload.php", "/pretty"):
        answer = whole.ask(path, "POST", b"x" * (1 << 20) + b"x")
        assert answer.status == 413
        assert "1 048 576 bytes" in answer.text


def test_a_large_body_arrives_whole_and_is_not_held_in_memory(site: Site) -> None:
    import hashlib

    node = site.whole(FILES)
    settings = {"post_max_size": "128M"}
    node.agent.run_backend(site.backend_part(node, settings=settings))
    node.agent.run_proxy(site.proxy_part([node], [node], body_limit=128 << 20))
    piece = os.urandom(1 << 20)
    wanted = hashlib.md5(piece * 100, usedforsecurity=False).hexdigest()
    for chunked in (False, True):
        headers = {"Expect": "100-continue"} if chunked else {"Content-Length": str(100 << 20)}
        connection = http.client.HTTPConnection(node.address, timeout=40)
        body = (piece for _ in range(100))
        connection.request("POST", "/upload.php", body, headers, encode_chunked=chunked)
        count, digest, memory = connection.getresponse().read().split()
        connection.close()
        assert (int(count), digest.decode()) == (100 << 20, wanted)
        assert int(memory) < 4 << 20
    workers = [p for p in _children(node, "nginx-proxy")]
    assert sum(_memory(pid) for pid in workers) < 60 << 20


def _children(node: Node, name: str) -> list[int]:
    import psutil

    pid = node.supervisor.pid(name)
    assert pid is not None
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def _memory(pid: int) -> int:
    import psutil

    return int(psutil.Process(pid).memory_info().rss)


def test_the_code_may_write_in_its_own_tree_and_nowhere_else(whole: Node) -> None:
    assert whole.ask("/write.php").text == "11"
    assert whole.ask("/written.txt").text == "by the code"
    for path in (
        "/etc/passwd",
        str(whole.root / "etc/conpaas-php/pool.json"),
        "/proc/self/environ",
    ):
        assert whole.ask(f"/outside.php?path={path}").text == "no", path


# -- what cannot be done --------------------------------------------------------------------------


def test_files_are_served_while_no_backend_answers(site: Site) -> None:
    node = site.whole(FILES)
    node.leave("backend")
    for path in ("/hello.php", "/"):
        answer = node.ask(path)
        assert answer.status == 503
        assert "The application does not answer" in answer.text
    assert node.ask("/style.css").status == 200


def test_a_configuration_that_is_refused_leaves_the_old_one(site: Site, whole: Node) -> None:
    pids = {name: whole.supervisor.pid(name) for name in whole.supervisor.names()}
    with pytest.raises(AgentError, match="refuses its configuration"):
        whole.agent.run_proxy(site.proxy_part([whole], [whole], version="code-a {"))
    with pytest.raises(AgentError, match="refuses its configuration"):
        whole.agent.run_backend(site.backend_part(whole, settings={"] x [": "1"}))
    assert {name: whole.supervisor.pid(name) for name in whole.supervisor.names()} == pids
    assert whole.ask("/hello.php").text == "hello"
    assert not whole.agent.run_proxy(site.proxy_part([whole], [whole]))
    assert not whole.agent.run_backend(site.backend_part(whole))


def test_only_proxies_and_the_node_itself_are_answered(site: Site) -> None:
    proxy, web, backend = site.node("proxy"), site.node("web"), site.node("backend")
    web.upload(FILES)
    backend.upload(FILES)
    web.agent.run_web(WebPart((proxy.address,), permalinks=True))
    backend.agent.run_backend(site.backend_part(proxy))
    named = {"X-Code-Version": VERSION}
    for friend in (proxy.address, web.address, "127.0.0.1"):
        answer = ask(web.address, "/style.css", port=8080, source=friend, headers=named)
        assert answer.status == 200
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(web.address, "/style.css", port=8080, source="127.9.9.9", headers=named)
    for source, is_answered in ((proxy.address, True), ("127.9.9.9", False)):
        with socket.create_connection((backend.address, 9000), 5, (source, 0)) as connection:
            connection.sendall(bytes.fromhex("0101000100080000 0001000000000000"))
            connection.sendall(bytes.fromhex("0104000100000000 0105000100000000"))
            try:
                answer = connection.recv(100)
            except ConnectionResetError:
                answer = b""
            assert bool(answer) == is_answered


# -- coming and going -----------------------------------------------------------------------------


def test_a_part_that_is_left_answers_its_last_requests(site: Site) -> None:
    import threading

    node = site.whole(FILES)
    answers: list[str] = []
    request = threading.Thread(target=lambda: answers.append(node.ask("/sleep.php?ms=600").text))
    request.start()
    eventually(lambda: node.agent.php.status().active)
    node.leave("backend")
    request.join()
    assert answers == ["slept"]
    assert node.agent.list_parts() == ["proxy", "web"]
    assert "php-fpm" not in node.supervisor.names()
    node.leave("backend")  # again is fine


def test_what_was_left_stays_down_and_what_was_not_comes_back(site: Site) -> None:
    node = site.whole(FILES)
    node.leave("backend")
    node.supervisor.shutdown()
    from conpaas.supervisor.process import ProcessSupervisor

    node.supervisor = ProcessSupervisor(node.root / "var/log/conpaas", pause=0.05)
    node.start().on_boot()
    assert node.agent.list_parts() == ["proxy", "web"]
    assert node.supervisor.names() == ["nginx-proxy", "nginx-web"]
    assert node.ask("/style.css").status == 200


@pytest.mark.parametrize("program", ["nginx-proxy", "nginx-web", "php-fpm"])
def test_a_program_that_is_killed_comes_back_without_leaving_anything(
    site: Site, program: str
) -> None:
    node = site.whole(FILES)
    before = _children(node, program)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))
    eventually(lambda: node.ask("/").text == "index GET / ")
    assert node.ask("/style.css").status == 200


def test_php_itself_may_be_killed_below_its_keeper(site: Site) -> None:
    node = site.whole(FILES)
    before = _children(node, "php-fpm")
    os.kill(before[1], signal.SIGKILL)
    eventually(lambda: node.supervisor.pid("php-fpm") not in (None, before[0]))
    eventually(lambda: node.ask("/hello.php").text == "hello")


# -- versions -------------------------------------------------------------------------------------


def test_the_proxy_says_which_version_is_served(site: Site) -> None:
    node = site.whole({"v.php": "<?php echo 'one';", "v.txt": "one"})
    node.upload({"v.php": "<?php echo 'two';", "v.txt": "two"}, "code-b")
    assert (node.ask("/v.php").text, node.ask("/v.txt").text) == ("one", "one")
    node.agent.run_proxy(site.proxy_part([node], [node], version="code-b"))
    assert (node.ask("/v.php").text, node.ask("/v.txt").text) == ("two", "two")
    node.agent.run_proxy(site.proxy_part([node], [node], version=VERSION))
    assert (node.ask("/v.php").text, node.ask("/v.txt").text) == ("one", "one")


def test_a_web_node_without_the_version_is_not_taken_for_one_without_the_file(site: Site) -> None:
    full, lacking = site.whole(FILES), site.node("web")
    lacking.agent.run_web(WebPart((full.address,), permalinks=True))
    full.agent.run_proxy(site.proxy_part([full, lacking], [full]))
    assert {full.ask("/style.css").status for _ in range(6)} == {200}
    full.agent.run_proxy(site.proxy_part([lacking], [full]))
    assert full.ask("/style.css").status == 503


def test_code_that_changes_itself_is_run_as_it_is_now(site: Site) -> None:
    change = "<?php file_put_contents(__DIR__ . '/conf.php', '<?php return ' . $_GET['n'] . ';');"
    node = site.whole({"change.php": change, "read.php": "<?php echo include 'conf.php';"})
    for number in ("1", "2", "3"):
        node.ask(f"/change.php?n={number}")
        assert node.ask("/read.php").text == number


def test_what_is_kept_is_the_same_in_all_versions_and_on_the_web(site: Site) -> None:
    code = {
        "write.php": "<?php mkdir(__DIR__ . '/data/sub'); echo file_put_contents(__DIR__ ."
        " '/data/sub/page.txt', $_GET['text']);",
        "read.php": "<?php echo file_get_contents(__DIR__ . '/data/sub/page.txt');",
        "data/first.txt": "first",
    }
    node = site.whole(code)
    assert node.agent.keep_directories(("data",), VERSION)
    assert not node.agent.keep_directories(("data",), VERSION)
    assert node.ask("/write.php?text=hello").text == "5"
    node.upload(code | {"data/first.txt": "second"}, "code-b")
    node.agent.run_proxy(site.proxy_part([node], [node], version="code-b"))
    assert node.ask("/read.php").text == "hello"
    assert node.ask("/data/sub/page.txt").text == "hello"
    assert node.ask("/data/first.txt").text == "first"
    other = site.node()
    other.upload(code)
    other.agent.keep_directories(("data",))
    packed = b"".join(node.agent.pack_kept().pieces)
    other.agent.unpack_kept(Upload(io.BytesIO(packed)), replace=True)
    kept = other.root / "srv/code" / VERSION / "data/sub/page.txt"
    assert kept.read_text() == "hello"
    assert kept.stat().st_uid == node.agent.code_path(VERSION).stat().st_uid
    assert node.agent.keep_directories(())
    assert node.ask("/read.php").text == "hello"


def test_large_logs_are_begun_anew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    node = site.whole(FILES)
    for name in ("access.log", "web-access.log", "php-errors.log"):
        node.ask("/error.php")
        node.ask("/style.css")
        eventually(lambda name=name: node.agent.get_log(name))
    eventually(lambda: (_figure(node, "conpaas_http_requests_total", code="2xx") or 0) >= 3)
    monkeypatch.setattr(access_log, "ROTATE_AT", 10)
    node.start().rotate_logs()
    assert node.agent.get_log("php-errors.log") == ""
    node.ask("/error.php")
    node.ask("/style.css")
    for name in ("access.log", "web-access.log", "php-errors.log"):
        eventually(lambda name=name: node.agent.get_log(name))
    eventually(lambda: (_figure(node, "conpaas_http_requests_total", code="2xx") or 0) >= 4)
    logs = [path.name for path in (node.root / "var/log").rglob("*.1")]
    assert sorted(logs) == ["php-errors.log.1", "proxy-access.log.1", "web-access.log.1"]


# -- PHP ------------------------------------------------------------------------------------------


def test_settings_reach_php(site: Site, whole: Node) -> None:
    settings = {
        "memory_limit": "77M",
        "disable_functions": "exec,phpinfo",
        "date.timezone": "Europe/Amsterdam",
        "display_errors": "On",
        "error_reporting": "32767",
    }
    try:
        assert whole.agent.run_backend(site.backend_part(whole, settings=settings))
        assert whole.ask("/ini.php?name=memory_limit").text == "77M"
        assert whole.ask("/ini.php?name=date.timezone").text == "Europe/Amsterdam"
        error = whole.ask("/error.php")
        assert "undefined_function" in error.text
    finally:
        whole.agent.run_backend(site.backend_part(whole))
    assert whole.ask("/ini.php?name=memory_limit").text == "128M"
    error = whole.ask("/error.php")
    assert (error.status, error.body) == (500, b"")


def test_errors_of_the_code_are_logged_where_users_find_them(whole: Node) -> None:
    whole.ask("/error.php")
    whole.ask("/missing.php")
    assert "undefined_function" in whole.agent.get_log("php-errors.log")
    names = {entry.filename for entry in whole.agent.list_logs()}
    assert {"access.log", "web-access.log", "php-errors.log", "php-fpm.log"} <= names
    eventually(lambda: "/error.php" in whole.agent.get_log("access.log"))


def test_figures_are_told(whole: Node) -> None:
    whole.ask("/hello.php")
    eventually(lambda: _figure(whole, "conpaas_http_requests_total", code="2xx"))
    assert _figure(whole, "conpaas_php_workers", state="active") == 0
    assert (_figure(whole, "conpaas_php_workers", state="idle") or 0) >= 1
    assert (_figure(whole, "conpaas_php_requests_total") or 0) >= 1
    assert _figure(whole, "conpaas_php_listen_queue") == 0
    assert _figure(whole, "conpaas_http_connections", state="writing") == 1  # who asks
    assert _figure(whole, "conpaas_http_request_duration_seconds_bucket", le="+Inf")


def _figure(node: Node, name: str, **labels: str) -> float | None:
    for family in node.agent.collect():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def test_a_part_of_bad_directories_is_refused(whole: Node) -> None:
    for bad in ("../x", "/etc", "a/../../b", "", ".", "a\n"):
        with pytest.raises(InvalidError, match="cannot be kept"):
            whole.agent.keep_directories((bad,))
    with pytest.raises(InvalidError, match="lies in"):
        whole.agent.keep_directories(("data", "data/media"))
