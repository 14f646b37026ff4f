"""The parts of nodes come, go, are killed and come back."""

from __future__ import annotations

import http.client
import io
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.rpc import Upload
from conpaas.supervisor.process import ProcessSupervisor
from conpaas_php.testing import FILES, VERSION, Node, Site, ask, eventually
from conpaas_web import access_log
from conpaas_web.parts import WebPart


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    """A machine that does everything."""
    return site.whole(FILES)


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
            try:
                connection.sendall(bytes.fromhex("0101000100080000 0001000000000000"))
                # Whoever is refused may be so before this is sent, or after.
                connection.sendall(bytes.fromhex("0104000100000000 0105000100000000"))
                answer = connection.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
            assert bool(answer) == is_answered


def test_a_part_that_is_left_answers_its_last_requests(site: Site) -> None:
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
    node.supervisor = ProcessSupervisor(node.root / "var/log/conpaas", pause=0.05)
    node.start_agent().on_boot()
    assert node.agent.list_parts() == ["proxy", "web"]
    assert node.supervisor.names() == ["nginx-proxy", "nginx-web"]
    assert node.ask("/style.css").status == 200


@pytest.mark.parametrize("program", ["nginx-proxy", "nginx-web", "php-fpm"])
def test_a_program_that_is_killed_comes_back_without_leaving_anything(
    site: Site, program: str
) -> None:
    node = site.whole(FILES)
    before = node.processes(program)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))
    eventually(lambda: node.ask("/").text == "index GET / ")
    assert node.ask("/style.css").status == 200


@pytest.mark.parametrize("killed", ["what confines it", "php-fpm"])
def test_php_itself_may_be_killed_below_its_keeper(site: Site, killed: str) -> None:
    node = site.whole(FILES)
    before = node.processes("php-fpm")
    os.kill(before[1 if killed == "what confines it" else 2], signal.SIGKILL)
    eventually(lambda: node.supervisor.pid("php-fpm") not in (None, before[0]))
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))
    eventually(lambda: node.ask("/hello.php").text == "hello")


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


def test_a_version_whose_arrival_was_cut_off_is_ready_after_the_agent_comes_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = site.node()
    node.agent.keep_directories(("data",))

    def killed(version: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(node.agent, "_prepare", killed)
        with pytest.raises(KeyboardInterrupt):
            node.upload({"data/x": "x", "index.php": "x"})
    node.start_agent().on_boot()
    tree = node.agent.code_path(VERSION)
    assert (tree / "data").is_symlink()
    assert (tree / "data/x").read_text() == "x"
    assert tree.stat().st_uid == (tree / "index.php").stat().st_uid
    assert os.geteuid() != 0 or tree.stat().st_uid != 0


def test_a_version_that_cannot_be_used_is_not_there(site: Site) -> None:
    node = site.node()
    node.upload({"data/x": "x"})
    node.agent.keep_directories(("data",))
    with pytest.raises(InvalidError, match="data of code-b cannot be kept: it is no directory"):
        node.upload({"data": "a file"}, "code-b")
    assert node.agent.list_code() == [VERSION]


def test_large_logs_are_begun_anew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    node = site.whole(FILES)
    for name in ("access.log", "web-access.log", "php-errors.log"):
        node.ask("/error.php")
        node.ask("/style.css")
        eventually(lambda name=name: node.agent.get_log(name))
    eventually(lambda: (node.figure("conpaas_http_requests_total", code="2xx") or 0) >= 3)
    monkeypatch.setattr(access_log, "ROTATE_AT", 10)
    node.start_agent().rotate_logs()
    assert node.agent.get_log("php-errors.log") == ""
    node.ask("/error.php")
    node.ask("/style.css")
    for name in ("access.log", "web-access.log", "php-errors.log"):
        eventually(lambda name=name: node.agent.get_log(name))
    eventually(lambda: (node.figure("conpaas_http_requests_total", code="2xx") or 0) >= 4)
    logs = [path.name for path in (node.root / "var/log").rglob("*.1")]
    assert sorted(logs) == ["php-errors.log.1", "proxy-access.log.1", "web-access.log.1"]
