"""DokuWiki on the PHP service, as the manual's 3.3 tells it, at the command line: one story.

The steps are told by tests in their order: each finds what the one before has left.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dokuwiki
import pytest
from e2e import Nutshell, wait_for
from hosted import Hosted
from person import Person
from visitor import WikiVisitor


@pytest.fixture(scope="module")
def site(nutshell: Nutshell, running: int, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    return Hosted(nutshell, running, tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
def story(site: Hosted) -> dict[str, Any]:
    """What later steps must know of earlier ones."""
    return {}


@pytest.fixture
def anna(story: dict[str, Any]) -> WikiVisitor:
    """Somebody who has logged in to the wiki, and still is."""
    return story["anna"]  # type: ignore[no-any-return]


def test_a_new_service_starts_and_says_where_it_is(site: Hosted) -> None:
    said = site.ok("start")
    (row,) = site.rows("list_nodes")
    assert row["role"] == "proxy, web, backend"
    assert site.url == f"http://{row['ip']}/"
    assert site.url in said or site.url in site.ok("get_address")
    assert "ConPaaS" in site.text()


def test_dokuwiki_is_uploaded_and_seen_when_it_is_enabled(
    site: Hosted, story: dict[str, Any], tmp_path: Path
) -> None:
    site.ok("set_web_config --kept_directories data,conf --health_path /doku.php")
    archive = dokuwiki.archive(tmp_path / "archive.tar.gz", {"edition.txt": "first"})
    out = site.ok(f"upload_code {archive}")
    found = re.search(r"Code version '(code-\S+)' uploaded\.", out)
    assert found, out
    assert "ConPaaS" in site.text(), "not used before it is enabled"
    site.ok(f"enable_code {found[1]}")
    story["first"] = found[1]
    assert site.text("/edition.txt") == "first"
    assert f"[{dokuwiki.TITLE}]" in WikiVisitor(site.url).get("doku.php?id=start").text


def test_somebody_logs_in_and_writes_a_page(site: Hosted, story: dict[str, Any]) -> None:
    anna = story["anna"] = WikiVisitor(site.url)
    assert not anna.is_logged_in
    anna.log_in(dokuwiki.ADMIN, dokuwiki.PASSWORD)
    anna.save("plan", "====== Plan ======\nBuy <b>milk</b> & honey, ümläut.")
    assert anna.read("plan") == "====== Plan ======\nBuy <b>milk</b> & honey, ümläut."
    shown = WikiVisitor(site.url).get("doku.php?id=plan").text
    assert "Buy &lt;b&gt;milk&lt;/b&gt; &amp; honey" in shown


def test_it_is_scaled_as_the_manual_prints_it(site: Hosted, anna: WikiVisitor) -> None:
    url = site.url
    site.refused(
        "add_nodes --proxy 1",
        "Cannot add more proxy servers without at least one stand-alone 'web' node and one "
        "stand-alone 'backend' node",
    )
    site.ok("add_nodes --backend 2 --proxy 1 --web 1")
    assert site.roles() == ["backend", "backend", "proxy", "proxy", "web"]
    assert site.address() == url
    others = site.rows("get_address")["others"]
    (second,) = others if isinstance(others, list) else [others]
    for address in (url, second):
        there = WikiVisitor(address)
        for _ in range(6):  # both backends in their turn
            assert "milk" in there.read("plan")
    for _ in range(6):
        assert anna.is_logged_in
    site.refused("remove_nodes --backend 2", "Not enough")
    site.refused("remove_nodes --proxy 2", "Not enough 'proxy' nodes will be left")


def test_a_backend_and_a_web_node_come_from_another_cloud(site: Hosted) -> None:
    site.ok("add_nodes --backend 1 --web 1 --cloud mycloud")
    clouds = [node["cloud"] for node in site.nodes() if node["role"] in ("backend", "web")]
    assert sorted(clouds) == ["local", "local", "local", "mycloud", "mycloud"]
    site.ok("remove_nodes --backend 2 --web 1")
    # The manual prints the blank, too.
    site.ok("add_nodes -- backend 1")
    site.ok("remove_nodes --backend 1")
    assert site.roles() == ["backend", "proxy", "proxy", "web"]


def test_versions_are_switched_and_rolled_back_and_what_was_written_stays(
    site: Hosted, story: dict[str, Any], anna: WikiVisitor, tmp_path: Path
) -> None:
    archive = dokuwiki.archive(tmp_path / "archive.tar.gz", {"edition.txt": "second"})
    story["second"] = site.rows(f"upload_code {archive}")["codeVersionId"]
    site.ok(f"enable_code {story['second']}")
    assert site.text("/edition.txt") == "second"
    assert "milk" in anna.read("plan")
    assert anna.is_logged_in
    anna.save("plan", "Cheese.")
    site.ok(f"enable_code {story['first']}")
    assert site.text("/edition.txt") == "first"
    assert anna.read("plan") == "Cheese."
    rows = {row["codeVersionId"]: row["current"] for row in site.rows("list_codes")}
    assert rows[story["first"]] == "*" and rows[story["second"]] == ""
    copy = tmp_path / "copy.tar.gz"
    site.ok(f"download_code -v {story['second']} -o {copy}")
    assert copy.read_bytes() == archive.read_bytes()
    site.refused(f"delete_code {story['first']}", "active")
    site.ok(f"delete_code {story['second']}")


def test_it_comes_back_to_one_node_with_everything_that_was_written(
    site: Hosted, anna: WikiVisitor
) -> None:
    url = site.url
    site.ok("remove_nodes --proxy 1 --backend 1 --web 1")
    assert site.roles() == ["proxy, web, backend"]
    assert site.address() == url
    assert anna.read("plan") == "Cheese."
    assert anna.is_logged_in
    anna.save("plan", "Cheese and wine.")
    assert WikiVisitor(url).read("plan") == "Cheese and wine."


def test_code_is_pushed_with_git_as_the_manual_prints_it(
    site: Hosted, tmp_path: Path, story: dict[str, Any]
) -> None:
    ben = Person(tmp_path)
    assert site.ok(f"upload_key {ben.key}.pub") == "1 keys added to authorized_keys.\n"
    url = site.rows("get_repository")["url"]
    wait_for("git", lambda: ben.run(f"git clone {url}", ben.directory).returncode == 0)
    number = str(site.sid)
    (ben.code / number).mkdir()
    (ben.code / number / "index.php").write_text("<?php echo 'pushed';")
    ben.ok(f"git add {number}/index.php")
    ben.ok(f'git commit -am "New index.php version for service {number}"')
    said = ben.ok("git push origin master")
    command = re.search(r"to enable it: (.*\S)", said)
    assert command, said
    site.nutshell.cps.ok(command[1])
    assert site.text() == "pushed"
    site.ok(f"enable_code {story['first']}")
    assert WikiVisitor(site.url).read("plan") == "Cheese and wine."
