"""Logs that are followed, through director and manager."""

import pytest

from conpaas.api import Applications
from conpaas.errors import InvalidError


def test_a_log_of_a_node_is_followed(running):
    service, node = running.service, running.nodes()[0].id
    piece = service.read_agent_log(node, filename="word.log", lines=1)
    assert piece.text == "hi\n"
    directory = running.cluster.machine(running.nodes()[0].machine).directory
    with (directory / "root/word.log").open("a") as file:
        file.write("ho\n")
    piece = service.read_agent_log(node, filename="word.log", lines=1, after=piece.after)
    assert piece.text == "ho\n"
    assert service.read_agent_log(node, filename="word.log", after=piece.after).text == ""
    with pytest.raises(InvalidError, match=r"no log 'words\.log'"):
        service.read_agent_log(node, filename="words.log")
    with pytest.raises(InvalidError, match="after"):
        service.read_agent_log(node, filename="word.log", after="../../etc/passwd")


def test_the_log_of_a_service_is_followed(running):
    piece = running.service.read_log(lines=1)
    assert piece.text.count("\n") == 1
    running.run(running.service.stop())
    assert "EPILOGUE -> STOPPED" in running.service.read_log(after=piece.after).text


def test_the_log_of_an_application_is_followed(running):
    running.machine.manager._log_file.write_text("one\ntwo\n")
    applications = running.cluster.api(Applications)
    assert applications.get_log(application=running.aid, lines=1) == "two\n"
    piece = applications.read_log(application=running.aid, lines=1)
    assert piece.text == "two\n"
    with running.machine.manager._log_file.open("a") as file:
        file.write("three\n")
    assert applications.read_log(application=running.aid, after=piece.after).text == "three\n"
