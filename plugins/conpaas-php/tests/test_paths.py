"""Tricks with the paths of requests show nothing that is nobody's business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conpaas_php.testing import FILES, Node, Site, raw


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    """A machine that does everything."""
    return site.whole(FILES)


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
    answer = raw(node.address, f"GET {path} HTTP/1.0")
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


def test_the_dots_and_slashes_of_a_path_are_resolved_before_it_is_judged(site: Site) -> None:
    node = _guarded(site)
    for path in (
        "/hello.php",
        "//hello.php",
        "/sub/../hello.php",
        "/sub/%2e%2e/hello.php",
        "/%68ello.php",
    ):
        assert raw(node.address, f"GET {path} HTTP/1.0").endswith(b"ran"), path
    assert node.ask("/.well-known/acme").text == "token"


def test_an_uploaded_picture_is_never_run(site: Site) -> None:
    node = _guarded(site)
    for path in ("/avatar.jpg/x.php", "/avatar.jpg/.php", "/avatar.jpg%00.php"):
        answer = raw(node.address, f"GET {path} HTTP/1.0")
        assert b"PWNED" not in answer
        assert int(answer.split()[1]) in (400, 403, 404)
    missing = node.ask("/avatar.jpg/x.php")
    assert (missing.status, missing.text.strip()) == (403, "Access denied.")


def test_a_very_long_address_is_refused_and_does_no_harm(whole: Node) -> None:
    assert b" 414 " in raw(whole.address, f"GET /{'x' * 70_000} HTTP/1.1")[:20]
    assert whole.ask("/hello.php").text == "hello"


def test_nothing_answers_in_a_private_directory(site: Site) -> None:
    files = {"index.php": "front", "data/page.txt": "SECRET", "data/x.php": "<?php echo 'ran';"}
    node = site.whole(files | {"data-sheet.txt": "public", "sub/data/page.txt": "public"})
    part = site.proxy_part([node], [node])
    node.agent.run_proxy(replace(part, private=("data", "some.thing/in-side")))
    for path in ("/data", "/data/", "/data/page.txt", "/data/x.php", "/data/none", "/x/../data/"):
        answer = raw(node.address, f"GET {path} HTTP/1.0")
        assert answer.split()[1] == b"404", path
        assert b"SECRET" not in answer
    assert node.ask("/data-sheet.txt").text == "public"
    assert node.ask("/sub/data/page.txt").text == "public"
    assert node.ask("/pretty").text == "front"
