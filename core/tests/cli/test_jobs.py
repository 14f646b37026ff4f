"""What takes long is watched to its end."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

START = "/application/start"
ROW = {"aid": 1, "name": "x", "manager": None, "cloud": None, "status": "RUNNING"}


def report(state, percent=0, message="", **others):
    return {"state": state, "percent": percent, "message": message, **others}


def test_each_new_step_is_a_line_and_the_end_a_sentence(cps, configured, director, capsys):
    director.job(
        START,
        report("queued"),
        report("running", 10, "booting"),
        report("running", 20, "booting"),
        report("running", 40, "starting \x1b[1magents"),
        report("done", 100, "", result=ROW),
    )
    assert cps("cps-application", "start", "1") == 0
    captured = capsys.readouterr()
    assert captured.out == "Application 'x' with id 1 is running.\n"
    assert captured.err == "[ 10%] booting\n[ 40%] starting \\x1b[1magents\n"


def test_a_job_without_a_result_is_done(cps, configured, director, capsys):
    director.job("/applications/1/services/1/rest", report("done", 100))
    assert cps("cps-bakery", "rest", "1", "1") == 0
    assert capsys.readouterr().out == "done.\n"


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (
            report("failed", 40, error={"code": "cloud", "message": "no address is left"}),
            "no address is left",
        ),
        (report("cancelled"), "job 7 was cancelled"),
        (report("interrupted", error={}), "job 7 was interrupted"),
    ],
)
def test_a_job_that_fails_says_why_and_exits_with_1(cps, configured, director, capsys, last, told):
    director.job(START, report("running", 40, "booting"), last)
    assert cps("cps-application", "start", "1") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"[ 40%] booting\nERROR: {told}\n"


def test_an_operation_that_is_refused_never_becomes_a_job(cps, configured, director, capsys):
    director.refuse(START, 409, "wrong-state", "the application is running")
    assert cps("cps-application", "start", "1") == 1
    assert capsys.readouterr().err == "ERROR: the application is running\n"


def test_nobody_waits_who_does_not_want_to(cps, configured, director, capsys):
    director.job(START, report("running"))
    director.job("/applications/My%20app/services/1/start", report("running"))
    assert cps("cps-application", "start", "1", "--no-wait") == 0
    assert cps("cps-bakery", "start", "My app", "1", "--no-wait") == 0
    assert cps("cps-application", "start", "1", "--no-wait", "-f", "json") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "Job 7 has begun; see: cps-tools job get 7"
    assert second == "Job 7 has begun; see: cps-tools job get 7 -a 'My app'"
    assert json.loads(third) == {"job": 7, "watch": "/api/v1/jobs/7"}
    assert all(request.method == "POST" for request in director.requests)


def test_a_director_that_is_away_for_a_while_is_waited_for(
    cps, configured, director, capsys, monkeypatch
):
    director.job(START, report("done", 100, result=ROW))
    there, left = director.answers["/jobs/7"], ["502", "503"]

    def away(request):
        if left:
            return int(left.pop()), b"<html>"
        return there(request)

    director.answers["/jobs/7"] = away
    monkeypatch.setattr("conpaas.cli.watch.LONGEST_PAUSE", 0.01)
    assert cps("cps-application", "start", "1") == 0
    captured = capsys.readouterr()
    assert captured.out == "Application 'x' with id 1 is running.\n"
    assert captured.err.count("trying again") == 2


def test_a_director_that_stays_away_is_given_up(cps, configured, director, capsys, monkeypatch):
    director.job(START, report("running"))
    director.answers["/jobs/7"] = lambda request: (502, b"<html>")
    monkeypatch.setattr("conpaas.cli.watch.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("conpaas.cli.watch.PATIENCE", 0.05)
    assert cps("cps-application", "start", "1") == 1
    assert "the job may go on: cps-tools job get 7" in capsys.readouterr().err


def test_an_error_while_watching_is_no_network_failure(cps, configured, director, capsys):
    director.job(START, report("running"))
    director.refuse("/jobs/7", 403, "denied", "not yours")
    assert cps("cps-application", "start", "1") == 1
    assert capsys.readouterr().err == "ERROR: not yours\n"


def test_leaving_says_that_the_job_goes_on(configured, director):
    director.job("/applications/1/services/1/start", report("running", 10, "booting"))
    code = "import sys; sys.argv[0] = 'cps-service'; from conpaas.cli.main import main; "
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", f"{code}sys.exit(main())", "start", "1", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr.readline() == "[ 10%] booting\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=10)
    assert process.returncode == 130
    assert rest == "The job goes on; see: cps-tools job get 7 -a 1\n"
