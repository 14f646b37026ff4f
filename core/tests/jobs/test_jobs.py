"""Jobs outlive requests, survive the process, and are alone on what they change."""

import threading

import pytest
from job_target import WAIT, Target, ended, submit

from conpaas import jobs
from conpaas.errors import (
    AgentError,
    BusyError,
    ConPaaSError,
    InvalidError,
    NotFoundError,
    WrongStateError,
)
from conpaas.jobs import JobRunner
from conpaas.rpc import KEPT_STEPS, Job, JobState, Progress, expose

# -- from the first step to the end ---------------------------------------------------------------


def test_a_job_runs_to_its_end_and_tells_how_it_gets_on(runner, target):
    number = submit(runner, target, "work", steps=2)
    target.wait_for_step()
    report = runner.report(number)
    assert (report.state, report.percent, report.message) == (JobState.RUNNING, 0, "step 0")
    assert (report.user, report.target, report.operation) == ("anna", "thing", "work")
    target.let_go_on()
    target.wait_for_step()
    assert runner.report(number).message == "step 1"
    target.let_go_on()
    report = ended(runner, number)
    assert (report.state, report.percent, report.result) == (JobState.DONE, 100, 2)
    assert report.finished >= report.created
    assert target.states == ["begun", (JobState.DONE, "")]


def test_a_job_keeps_what_it_told_on_its_way(runner, target):
    number = submit(runner, target, "work", steps=3)
    target.let_go_on(3)
    ended(runner, number)
    told = runner.report(number).steps
    assert [(step.percent, step.message) for step in told] == [
        (0, "step 0"), (33, "step 1"), (66, "step 2")
    ]  # fmt: skip
    assert [step.time for step in told] == sorted(step.time for step in told)
    assert runner.latest()[0].steps == ()


def test_of_very_many_steps_the_first_and_the_last_are_kept(runner, target):
    number = submit(runner, target, "work", steps=KEPT_STEPS + 20)
    target.let_go_on(KEPT_STEPS + 20)
    ended(runner, number)
    told = [step.message for step in runner.report(number).steps]
    assert len(told) == KEPT_STEPS
    assert (told[0], told[-2], told[-1]) == (
        "step 0", f"step {KEPT_STEPS - 2}", f"step {KEPT_STEPS + 19}"
    )  # fmt: skip


def test_checks_before_the_first_step_answer_the_caller_and_leave_nothing(runner, target):
    with pytest.raises(InvalidError, match="negative"):
        submit(runner, target, "work", steps=-1)
    assert (target.states, runner.latest(), runner.busy("thing")) == ([], [], False)


def test_a_state_that_does_not_allow_it_answers_the_caller_and_leaves_nothing(runner, target):
    target.refusal = WrongStateError("no")
    with pytest.raises(WrongStateError):
        submit(runner, target, "at_once")
    assert (target.states, target.seen, runner.latest()) == ([], [], [])
    assert not runner.busy("thing")


def test_a_job_that_never_yields_is_a_job_all_the_same(runner, target):
    report = ended(runner, submit(runner, target, "at_once"))
    assert (report.state, report.result) == (JobState.DONE, "done at once")
    assert target.seen == ["at once"]


def test_a_job_of_no_steps_at_all_ends_well(runner, target):
    assert ended(runner, submit(runner, target, "work", steps=0)).state is JobState.DONE


def test_a_job_that_fails_keeps_the_error_for_those_who_follow_it(runner, target):
    report = ended(runner, submit(runner, target, "fail", how="agent"))
    assert (report.state, report.percent, report.message) == (JobState.FAILED, 10, "node-3 burns")
    assert report.error == AgentError("node-3 burns", ["node-3"]).to_json()
    assert target.states[-1] == (JobState.FAILED, "node-3 burns")


def test_a_job_that_breaks_is_a_bug_that_is_logged_and_told(runner, target, caplog):
    report = ended(runner, submit(runner, target, "fail", how="bug"))
    assert report.state is JobState.FAILED
    assert report.error["code"] == "internal"
    assert "ZeroDivisionError: so wrong" in report.error["message"]
    assert "Traceback" in caplog.text


def test_a_result_that_is_no_json_fails_the_job_instead_of_hanging_it(runner, target):
    report = ended(runner, submit(runner, target, "answer", what="lock"))
    assert report.state is JobState.FAILED
    assert not runner.busy("thing")
    assert target.states[-1][0] is JobState.FAILED


def test_a_job_that_failed_tells_what_it_was_asked_with_but_no_secret(runner, target, records):
    runner.recover({target.name: target}.get)
    number = submit(runner, target, "sign", name="contract", password="canary-7")
    assert ended(runner, number).arguments == {"name": "contract"}
    assert [job.arguments for job in runner.latest()] == [{}]
    done = submit(runner, target, "sign", name="contract", password="canary-7", fails=False)
    assert ended(runner, done).arguments == {}
    # Nobody asked: it is the manager's own doing.
    own = runner.submit(
        target, target.declared("sign"), {"name": "contract", "password": "canary-7"}
    )
    assert ended(runner, own).arguments == {}


def test_a_job_that_is_not_there_is_not_found(runner):
    with pytest.raises(NotFoundError):
        runner.report(1)


def test_the_latest_jobs_come_first(runner, target):
    numbers = []
    for _ in range(3):
        numbers.append(submit(runner, target, "at_once"))
        ended(runner, numbers[-1])
    assert [report.id for report in runner.latest(2)] == numbers[:0:-1]


def test_old_jobs_are_forgotten_and_running_ones_never(runner, target, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 3)
    other = Target("other", runner)
    first = submit(runner, other, "work", steps=1)
    other.wait_for_step()
    numbers = [first]
    for _ in range(6):
        numbers.append(submit(runner, target, "at_once"))
        ended(runner, numbers[-1])
    there = {report.id for report in runner.latest()}
    assert first in there and numbers[-1] in there
    assert numbers[1] not in there
    assert len(there) <= 3 + 2
    other.let_go_on()
    ended(runner, first)


def test_each_end_is_announced_after_it_is_recorded(records):
    seen = []
    runner = JobRunner(records, changed=lambda: seen.append(runner.latest(1)[0].state))
    target = Target(runner=runner)
    ended(runner, submit(runner, target, "at_once"))
    assert seen == [JobState.DONE]


def test_nobody_hears_of_an_end_before_it_has_been_announced(records):
    announcing, go_on = threading.Event(), threading.Event()

    def announce():
        announcing.set()
        assert go_on.wait(WAIT)

    runner = JobRunner(records, changed=announce)
    target = Target(runner=runner)
    number = submit(runner, target, "at_once")
    assert announcing.wait(WAIT)
    report = runner.report(number)
    assert (report.state, report.result, report.finished) == (JobState.RUNNING, None, None)
    assert runner.busy("thing")
    go_on.set()
    assert ended(runner, number).result == "done at once"


# -- one at a time --------------------------------------------------------------------------------


def test_a_second_job_is_refused_while_one_is_at_work(runner, target):
    number = submit(runner, target, "work", steps=1)
    target.wait_for_step()
    with pytest.raises(BusyError, match="wait") as refusal:
        submit(runner, target, "at_once")
    assert refusal.value.detail == {"job": number}
    assert runner.busy("thing")
    target.let_go_on()
    ended(runner, number)
    ended(runner, submit(runner, target, "at_once"))


def test_jobs_on_other_things_go_on_meanwhile(runner, target):
    submit(runner, target, "work", steps=1)
    target.wait_for_step()
    other = Target("other", runner)
    assert ended(runner, submit(runner, other, "at_once")).state is JobState.DONE
    target.let_go_on()


def test_of_many_at_once_one_gets_in(runner, target):
    got, refused = [], []
    start = threading.Barrier(8)

    def attempt():
        start.wait(WAIT)
        try:
            got.append(submit(runner, target, "work", steps=1))
        except BusyError:
            refused.append(True)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    target.let_go_on()
    ended(runner, got[0])


def test_a_preempting_operation_cancels_the_one_at_work_at_its_next_step(runner, target):
    number = submit(runner, target, "work", steps=5)
    target.wait_for_step()
    stopped = []
    thread = threading.Thread(target=lambda: stopped.append(submit(runner, target, "stop")))
    thread.start()
    running = runner._running["thing"]
    assert running.cancelled.wait(WAIT)
    assert "stop" not in target.seen
    target.let_go_on()
    thread.join(WAIT)
    assert ended(runner, number).state is JobState.CANCELLED
    assert ended(runner, stopped[0]).state is JobState.DONE
    assert target.states[1][0] is JobState.CANCELLED
    assert target.states.index("begun") < 1 and target.seen == ["stop"]


def test_a_job_that_does_not_hear_is_told_of(runner, target, monkeypatch):
    monkeypatch.setattr(jobs, "CANCEL_PATIENCE", 0.01)
    number = submit(runner, target, "work", steps=1)
    target.wait_for_step()
    with pytest.raises(BusyError, match="told to stop") as refusal:
        submit(runner, target, "stop")
    assert refusal.value.detail == {"job": number}
    target.let_go_on()
    assert ended(runner, number).state is not JobState.RUNNING


def test_a_cancelled_jobs_clean_up_is_run(runner, target):
    cleaned = []

    class Tidy(Target):
        @expose()
        def careful(self) -> Job[None]:
            """Clean up."""
            try:
                yield Progress(0, "begun")
                self.step()
                yield Progress(50, "half")
            finally:
                cleaned.append(True)

    tidy = Tidy("tidy", runner)
    number = submit(runner, tidy, "careful")
    tidy.wait_for_step()
    runner._running["tidy"].cancelled.set()
    tidy.let_go_on()
    assert ended(runner, number).state is JobState.CANCELLED
    assert cleaned == [True]


def test_an_end_that_the_target_cannot_take_frees_it_all_the_same(runner, target, caplog):
    class Stubborn(Target):
        def end(self, operation, before, state, reason):
            raise RuntimeError("I will not")

    stubborn = Stubborn("stubborn", runner)
    number = submit(runner, stubborn, "work", steps=1)
    running = runner._running["stubborn"]
    stubborn.let_go_on()
    assert running.ended.wait(WAIT)
    assert not runner.busy("stubborn")
    assert "I will not" in caplog.text
    # It counts as cut off: the next start takes it up again.
    assert runner.report(number).state is JobState.RUNNING


def test_errors_tell_the_number_of_the_job_they_wait_for(runner, target):
    class Slow(Target):
        @expose()
        def check(self) -> Job[None]:
            """Check long."""
            self.step()
            yield Progress(0, "")

    slow = Slow("slow", runner)
    thread = threading.Thread(target=submit, args=(runner, slow, "check"))
    thread.start()
    slow.wait_for_step()
    with pytest.raises(ConPaaSError) as refusal:
        submit(runner, slow, "work")
    assert "job 0" not in refusal.value.message
    assert refusal.value.detail is None
    slow.let_go_on()
    thread.join(WAIT)
