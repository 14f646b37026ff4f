"""The agent of the PHP service, with the real programs."""

from __future__ import annotations

import pytest

from conpaas_php.testing import Node, Site

FILES = {
    "index.php": "<?php echo 'index ', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'];",
    "hello.php": "<?php echo 'hello ', getenv('NAME');",
    "style.css": "body { color: red }",
}


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    return site.whole(FILES)


def test_code_and_files_are_served(whole: Node) -> None:
    assert whole.ask("/").text == "index GET /"
    assert whole.ask("/hello.php").text == "hello "
    assert whole.ask("/style.css").text == FILES["style.css"]
    assert whole.ask("/a/pretty/url?x=1").text == "index GET /a/pretty/url?x=1"
