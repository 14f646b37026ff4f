"""The rule by which a path finds its script or file is the same in nginx and in Python."""

from __future__ import annotations

import socket

import pytest

from conpaas_php.testing import VERSION, Node, Site
from conpaas_web.routing import File, Nothing, Redirect, Route, Script, route

ECHO = "<?php echo 'ran ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '';"
FILES = {
    "index.php": ECHO,
    "a.php": ECHO,
    "dir/index.php": ECHO,
    "dir/b.php": ECHO,
    "pages/index.html": "sent /pages/index.html",
    "both/index.html": "sent /both/index.html",
    "both/index.php": ECHO,
    "file.txt": "sent /file.txt",
    "with space.txt": "sent /with space.txt",
    "ü.txt": "sent /ü.txt",
    "empty/.keep": "hidden",
    ".hidden": "hidden",
    ".well-known/x": "sent /.well-known/x",
    "a.php.bak": "hidden",
    "C.PHP": "hidden",
    "x.phtml": "hidden",
    "dir.php/inner.php": ECHO,
}
PATHS = (
    "/", "/index.php", "/a.php", "/a.php/", "/a.php/b/c", "/a.php/b.php", "//a.php", "/./a.php",
    "/dir", "/dir/", "/dir//", "/dir/b.php", "/dir/../a.php", "/dir/..", "/dir/.",
    "/x/../file.txt",
    "/pages", "/pages/", "/both/", "/file.txt", "/file.txt/", "/file.txt/x", "/with%20space.txt",
    "/%C3%BC.txt", "/%66ile.txt", "/empty", "/empty/", "/empty/.keep", "/.hidden", "/%2ehidden",
    "/.well-known/x", "/.well-known/", "/.well-knownx", "/a.php.bak", "/C.PHP", "/x.phtml",
    "/nothing", "/nothing/deep/", "/nothing.php", "/dir.php/inner.php", "/a.phpx", "/a.php%0a",
    "/a%2ephp", "/..", "/../a.php", "/%2e%2e/a.php", "/dir/%2e%2e/%2e%2e/a.php", "/a.php%00",
    "/.well-known/../.hidden", "/dir/%2e./a.php",
)  # fmt: skip


@pytest.fixture(scope="module")
def nodes(site: Site) -> dict[bool, Node]:
    return {permalinks: site.whole(FILES, permalinks) for permalinks in (True, False)}


def answered(node: Node, path: str) -> str:
    """Return the body of a 200, where a redirect leads, or the status of all else."""
    with socket.create_connection((node.address, 80), 10) as connection:
        request = f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.decode().partition("\r\n\r\n")
    status = head.split()[1]
    if status == "301":
        return "to " + next(v for v in head.splitlines() if v.startswith("Location")).split()[1]
    if status == "200":
        return body
    assert status in ("400", "403", "404"), answer
    return "nothing"


def foreseen(found: Route) -> str:
    match found:
        case Script(path, path_info):
            exists = path[1:] in FILES
            return f"ran {path} {path_info}" if exists else "nothing"
        case File(path):
            return f"sent {path}"
        case Redirect(path):
            return f"to {path}"
        case Nothing():
            return "nothing"


@pytest.mark.parametrize("permalinks", [True, False])
def test_nginx_does_what_the_rule_says(nodes: dict[bool, Node], permalinks: bool) -> None:
    node = nodes[permalinks]
    tree = node.root / "srv/code" / VERSION
    wanted = {path: foreseen(route(tree, path, permalinks)) for path in PATHS}
    assert {path: answered(node, path) for path in PATHS} == wanted
    assert sum(answer != "nothing" for answer in wanted.values()) > 20
