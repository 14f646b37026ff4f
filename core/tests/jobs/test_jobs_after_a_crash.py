"""Jobs that were cut off are run again, or told as interrupted: no name stays taken."""

import io

import pytest
from job_target import Target, crash, ended, submit

from conpaas.errors import BusyError
from conpaas.jobs import JobRunner, resuming
from conpaas.rpc import Job, JobState, Progress, Upload, expose


def test_a_job_that_was_cut_off_is_run_again_from_the_top(records, runner, target):
    number = submit(runner, target, "work", steps=2)
    target.wait_for_step()
    runner, target = crash(records, target)
    runner.recover({"thing": target}.get)
    assert runner.busy("thing")
    target.let_go_on(2)
    report = ended(runner, number)
    assert (report.state, report.result) == (JobState.DONE, 2)
    assert target.states == [(JobState.DONE, "")]


def test_a_job_that_cannot_be_taken_up_is_told_as_interrupted(records, runner, target):
    number = submit(runner, target, "delicate")
    target.wait_for_step()
    runner, target = crash(records, target)
    runner.recover({"thing": target}.get)
    report = runner.report(number)
    assert report.state is JobState.INTERRUPTED
    assert "try again" in report.error["message"]
    assert target.states == [(JobState.INTERRUPTED, report.error["message"])]
    assert not runner.busy("thing")


def test_a_job_whose_target_is_gone_is_interrupted(records, runner, target):
    number = submit(runner, target, "work", steps=1)
    target.wait_for_step()
    runner, _ = crash(records, target)
    runner.recover(lambda name: None)
    assert runner.report(number).state is JobState.INTERRUPTED


def test_a_job_of_an_operation_that_the_new_version_lacks_is_interrupted(records, runner, target):
    number = submit(runner, target, "work", steps=1)
    target.wait_for_step()
    records.execute("UPDATE job SET operation = 'no_more'")
    other = Target("other", runner)
    second = submit(runner, other, "work", steps=1)
    other.wait_for_step()
    runner, target = crash(records, target)
    other = Target("other", runner)
    runner.recover({"thing": target, "other": other}.get)
    report = runner.report(number)
    assert report.state is JobState.INTERRUPTED
    assert "no_more" in report.error["message"]
    assert not runner.busy("thing")
    other.let_go_on()
    assert ended(runner, second).state is JobState.DONE


@pytest.mark.parametrize("arguments", ['{"steps": "two"}', '{"stairs": 2}', '{"steps": -1}'])
def test_a_job_whose_arguments_no_longer_fit_ends_and_blocks_nobody(
    records, runner, target, arguments
):
    number = submit(runner, target, "work", steps=1)
    target.wait_for_step()
    records.execute("UPDATE job SET arguments = ?", arguments)
    runner, target = crash(records, target)
    runner.recover({"thing": target}.get)
    assert ended(runner, number).state in (JobState.INTERRUPTED, JobState.FAILED)
    assert target.states


def test_a_job_that_resumes_finds_that_its_file_went_with_its_request(records, runner, target):
    upload = Upload(io.BytesIO(b"12345"))
    number = submit(runner, target, "put", content=upload, name="y")
    target.wait_for_step()
    runner, target = crash(records, target)
    runner.recover({"thing": target}.get)
    target.let_go_on()
    report = ended(runner, number)
    assert report.state is JobState.FAILED
    assert report.error is not None
    assert report.error["message"] == "the file for y is gone"


def test_a_job_with_a_file_that_does_not_resume_is_interrupted(records, runner, target):
    number = submit(runner, target, "put_once", content=Upload(io.BytesIO(b"12345")))
    target.wait_for_step()
    runner, target = crash(records, target)
    runner.recover({"thing": target}.get)
    assert runner.report(number).state is JobState.INTERRUPTED


def test_a_job_may_take_a_file_before_its_first_step(runner, target):
    number = submit(runner, target, "put", content=Upload(io.BytesIO(b"12345")))
    target.let_go_on()
    assert ended(runner, number).result == 5


def test_what_a_job_decided_it_decides_again_the_same_way(records, runner, target):
    number = submit(runner, target, "decide")
    target.wait_for_step()
    assert target.seen == [False]
    runner, again = crash(records, target)
    again.seen = ["something else", "and more"]
    runner.recover({"thing": again}.get)
    again.let_go_on()
    assert ended(runner, number).result == [1, 42]
    assert again.seen[-1] is True


def test_outside_a_job_everything_is_decided_anew(runner):
    assert [runner.remember("x", lambda: [1]), runner.remember("x", lambda: [2])] == [[1], [2]]
    assert not resuming()


class Parent(Target):
    """Its job has another target do a part."""

    child: Target

    @expose(resumes=True)
    def whole(self) -> Job[None]:
        """Have the other do its part."""
        yield Progress(0, "")
        try:
            submit(self.runner, self.child, "halt")
        except BusyError as error:
            self.seen.append(error.detail["job"])
        self.step()


def test_a_parent_that_is_taken_up_finds_its_child_at_work_however_the_threads_run(records):
    for again in range(20):
        runner = JobRunner(records)
        parent, child = Parent("parent", runner), Target("child", runner)
        parent.child = child
        if again:
            runner.recover({"parent": parent, "child": child}.get)
        else:
            submit(runner, parent, "whole")
        parent.wait_for_step()
        child.wait_for_step()
        assert len(runner.latest()) == 2
        assert parent.seen == ([2] if again else [])
