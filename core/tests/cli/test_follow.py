"""A log is shown as it grows, until its reader has seen enough."""

import json
import os
import signal
import subprocess
import sys

import pytest

LOG = "/applications/1/services/4/read_agent_log"
GET = ("cps-bakery", "get_agent_log", "1", "4", "node-2")


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr("conpaas.cli.follow.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("conpaas.cli.follow.LONGEST_PAUSE", 0.002)


def grow(director, path, *pieces):
    """Answer with these pieces one after the other; then the log cannot be read any more."""
    left = list(enumerate(pieces, 1))

    def answer(request):
        if not left:
            error = {"code": "not-found", "message": "the node is gone", "detail": None}
            return 404, {"error": error}
        number, text = left.pop(0)
        return 200, {"result": {"text": text, "after": f"place-{number}"}}

    director.answers[path] = answer


def test_each_piece_is_shown_and_asked_for_with_what_the_one_before_said(
    cps, configured, director, capsys
):
    grow(director, LOG, "one\ntw", "o\n", "", "three\n")
    assert cps(*GET, "-f", "startup.log", "-n", "7", "--follow") == 1
    captured = capsys.readouterr()
    assert captured.out == "one\ntwo\nthree\n"
    assert captured.err == "ERROR: the node is gone\n"
    first = {"agent_id": "node-2", "filename": "startup.log", "lines": 7}
    asked = [request.json for request in director.requests]
    assert asked[:2] == [{**first, "after": None}, {**first, "after": "place-1"}]
    assert asked[-1]["after"] == "place-4"


def test_the_log_of_a_manager_is_followed_too(cps, configured, director, capsys):
    grow(director, "/application/read_log", "started\n")
    assert cps("cps-application", "get_log", "1", "--follow") == 1
    assert capsys.readouterr().out == "started\n"
    assert director.requests[0].json == {"application": 1, "after": None}


def test_a_terminal_is_not_commanded_by_a_log(cps, configured, director, capsys, monkeypatch):
    grow(director, LOG, "a\x1b[2Jb\tc\n")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert cps(*GET, "--follow") == 1
    assert capsys.readouterr().out == "a\\x1b[2Jb\tc\n"


def test_a_director_that_is_away_for_a_moment_is_asked_again(cps, configured, director, capsys):
    answers = [(502, b"<html>"), (200, {"result": {"text": "back\n", "after": "x"}})]
    gone = (404, {"error": {"code": "not-found", "message": "gone", "detail": None}})
    director.answers[LOG] = lambda request: answers.pop(0) if answers else gone
    assert cps(*GET, "--follow") == 1
    captured = capsys.readouterr()
    assert captured.out == "back\n"
    assert "trying again" in captured.err


def test_other_formats_than_text_are_refused(cps, configured, director, capsys):
    assert cps("cps-service", "get_log", "1", "4", "--follow", "-f", "json") == 2
    assert "leave --format and --column out" in capsys.readouterr().err
    assert director.requests == []


def test_ctrl_c_ends_it_quietly(configured, director):
    director.answers[LOG] = {"text": "one\n", "after": "x"}
    code = "import sys; sys.argv[0] = 'cps-service'; from conpaas.cli.main import main; "
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", f"{code}sys.exit(main())", *GET[1:], "--follow"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert told.strip() == ""
    assert json.loads(director.requests[0].body)["after"] is None
