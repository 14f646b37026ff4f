"""Requests to a machine that does everything, with the real programs."""

from __future__ import annotations

import hashlib
import http.client
import json
import os

import psutil
import pytest

from conpaas_php.testing import FILES, VERSION, Node, Site
from conpaas_web.parts import WebPart


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    """A machine that does everything."""
    return site.whole(FILES)


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
    node = site.whole(FILES)
    settings = {"post_max_size": "128M"}
    node.agent.run_backend(site.backend_part(node, settings=settings))
    node.agent.run_proxy(site.proxy_part([node], [node], body_limit=128 << 20))
    piece = os.urandom(1 << 20)
    for chunked, pieces in ((False, 20), (True, 100)):
        wanted = hashlib.md5(piece * pieces, usedforsecurity=False).hexdigest()
        headers = {"Expect": "100-continue"} if chunked else {"Content-Length": str(pieces << 20)}
        connection = http.client.HTTPConnection(node.address, timeout=40)
        body = (piece for _ in range(pieces))
        connection.request("POST", "/upload.php", body, headers, encode_chunked=chunked)
        count, digest, memory = connection.getresponse().read().split()
        connection.close()
        assert (int(count), digest.decode()) == (pieces << 20, wanted)
        assert int(memory) < 4 << 20
    workers = node.processes("nginx-proxy")
    assert sum(psutil.Process(pid).memory_info().rss for pid in workers) < 60 << 20


def test_the_code_may_write_in_its_own_tree_and_nowhere_else(whole: Node) -> None:
    assert whole.ask("/write.php").text == "11"
    assert whole.ask("/written.txt").text == "by the code"
    for path in (
        "/etc/passwd",
        str(whole.root / "etc/conpaas-php/pool.json"),
        "/proc/self/environ",
    ):
        assert whole.ask(f"/outside.php?path={path}").text == "no", path
