"""A version of the code is tried on one backend before anybody is sent there."""

from __future__ import annotations

import time

import pytest

from conpaas.errors import AgentError
from conpaas_php import agent as agent_module
from conpaas_php.testing import VERSION, Node, Site, archive
from conpaas_web.parts import CodeCheck

FILES = {
    "index.php": "<?php echo 'index of ', $_SERVER['REQUEST_URI'];",
    "teapot.php": '<?php http_response_code(418); echo "first\\nsecond";',
    "broken.php": "<?php this is no PHP",
    "loop.php": "<?php while (true) { }",
    "sleep.php": "<?php sleep(30);",
    "endless.php": "<?php while (true) { echo str_repeat('x', 1000), \"\\n\"; flush(); }",
    "silent.php": "<?php exit;",
    "binary.php": "<?php echo random_bytes(5000);",
    "suicide.php": "<?php posix_kill(getmypid(), 9);",
    "info.php": "<?php echo $_SERVER['PATH_INFO'], '|', $_SERVER['QUERY_STRING'];",
    "health.html": "fine",
    "admin/index.php": "<?php echo 'admin';",
    "pages/index.html": "a page",
}


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    return site.whole(FILES)


def check(node: Node, path: str, version: str = VERSION, permalinks: bool = True) -> CodeCheck:
    return node.agent.check_code(version, path, permalinks)


def test_it_answers_as_it_would_to_a_proxy(whole: Node) -> None:
    assert check(whole, "/").status == 200
    assert check(whole, "/").lines[-1] == "index of /"
    assert check(whole, "/health.html") == CodeCheck(200, ("fine",))
    assert check(whole, "/pages/").lines == ("a page",)
    assert check(whole, "/admin") == CodeCheck(301, ("Location: /admin/",))
    assert check(whole, "/admin/").lines[-1] == "admin"
    assert check(whole, "/info.php/a/b?c=d").lines[-1] == "/a/b|c=d"
    assert check(whole, "/pretty/url?a=b").lines[-1] == "index of /pretty/url?a=b"
    assert check(whole, "/pretty/url", permalinks=False).status == 404
    assert check(whole, "/../../etc/passwd").status == 404


def test_the_status_and_the_first_lines_are_told(whole: Node) -> None:
    found = check(whole, "/teapot.php")
    assert found.status == 418
    assert found.lines[0].startswith("Status: 418")
    assert found.lines[-2:] == ("first", "second")


def test_a_fatal_error_is_a_500(whole: Node) -> None:
    assert check(whole, "/broken.php").status == 500
    assert check(whole, "/missing.php").status == 404


def test_code_that_loops_or_sleeps_is_given_up(
    whole: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "_CHECK_TIMEOUT", 0.5)
    for path in ("/loop.php", "/sleep.php"):
        begun = time.monotonic()
        found = check(whole, path)
        assert (found.status, found.lines) == (0, ("there was no answer within 0.5 seconds",))
        assert time.monotonic() - begun < 5


def test_code_that_prints_without_end_is_cut_off(whole: Node) -> None:
    found = check(whole, "/endless.php")
    assert found.status == 200
    assert sum(len(line) for line in found.lines) < 10_000


def test_answers_of_any_kind_are_told(whole: Node) -> None:
    assert check(whole, "/silent.php").status == 200
    assert check(whole, "/binary.php").status == 200
    assert check(whole, "/suicide.php").status == 0


def test_a_version_that_is_not_there_cannot_be_tried(whole: Node) -> None:
    with pytest.raises(AgentError, match="code-x is not on this node"):
        check(whole, "/", "code-x")


def test_a_version_is_tried_while_another_one_is_served(whole: Node) -> None:
    whole.agent.update_code("code-b", archive({"index.php": "<?php bad();"}), 1 << 20, 10)
    assert check(whole, "/", "code-b").status == 500
    assert whole.ask("/").text == "index of /"
    assert check(whole, "/").status == 200


def test_without_a_backend_there_is_no_answer(site: Site) -> None:
    node = site.node()
    node.upload(FILES)
    found = check(node, "/")
    assert found.status == 0
    assert "Could not connect" in found.lines[0]
