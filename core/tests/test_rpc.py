"""One declaration gives arguments, stub and description."""

import io

import pytest
from declared import Answer, Clock, Declared, Implemented, Wire, report, watching

from conpaas import rpc
from conpaas.errors import (
    AgentError,
    BusyError,
    ConPaaSError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from conpaas.rpc import (
    JobStarted,
    JobState,
    JobStep,
    Operation,
    Progress,
    Upload,
    arguments_from_json,
    expose,
    find_operation,
    finish,
    follow,
    operations,
    patiently,
    scaled,
    stub,
)
from conpaas.state import State

# -- declarations ---------------------------------------------------------------------------------


def test_what_is_marked_is_offered_and_nothing_else():
    assert list(operations(Declared)) == ["ask", "change", "get", "put"]


def test_the_declaration_stands_at_the_top_and_its_implementation_inherits_it():
    assert operations(Implemented) == operations(Declared)


def test_a_subclass_may_describe_an_operation_anew_but_not_change_how_it_runs():
    class Louder(Implemented):
        @expose(reads=False)
        def ask(self, name: str, loud: bool = False) -> Answer:
            """Shout at somebody."""
            return Answer(name, 0)

    declared = find_operation(Louder, "ask")
    assert declared.summary == "Shout at somebody."
    assert [p.name for p in declared.parameters] == ["name", "loud"]
    assert declared.reads


def test_an_operation_tells_all_that_is_derived_from_it():
    ask = find_operation(Declared, "ask")
    assert ask.summary == "Ask somebody."
    assert ask.description == "More about it."
    assert ask.result is Answer and not ask.is_job
    name, count = ask.parameters
    assert (name.required, name.hint.help, name.hint.option.short) == (True, "Whom", "-n")
    assert (count.required, count.default) == (False, 1)
    change = find_operation(Declared, "change")
    assert change.is_job and change.result is Answer
    assert change.states == (State.RUNNING,) and change.resumes
    assert find_operation(Declared, "put").upload.name == "content"
    assert find_operation(Declared, "get").is_download


def test_an_operation_that_is_not_there_is_not_found():
    for name in ("helper", "other", "__init__", "no such", "x" * 10_000):
        with pytest.raises(NotFoundError) as refusal:
            find_operation(Implemented, name)
        assert len(refusal.value.message) < 120


# -- arguments ------------------------------------------------------------------------------------


def arguments(given, name="ask", upload=None):
    return arguments_from_json(find_operation(Declared, name), given, upload)


def test_arguments_are_checked_and_defaults_left_to_the_method():
    assert arguments({"name": "x"}) == {"name": "x"}
    assert arguments({"name": "x", "count": 3}) == {"name": "x", "count": 3}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "'name' is missing"),
        ({"name": 3}, "^name"),
        ({"name": "x", "count": "3"}, "^count"),
        ({"name": "x", "count": None}, "^count"),
        ({"name": "x", "counts": 3}, r"unknown argument 'counts' \(it takes: name, count\)"),
        ({"name": "x", "self": 3}, "unknown argument 'self'"),
        ([], "must be a JSON object"),
        (None, "must be a JSON object"),
        ("name", "must be a JSON object"),
    ],
)
def test_arguments_that_are_not_those_of_the_declaration_are_refused(given, told):
    with pytest.raises(InvalidError, match=told):
        arguments(given)


def test_a_file_stands_beside_the_other_arguments():
    upload = Upload(io.BytesIO(b"x"))
    assert arguments({"name": "a"}, "put", upload) == {"name": "a", "content": upload}


def test_a_file_cannot_be_given_as_json():
    with pytest.raises(InvalidError):
        arguments({"name": "a", "content": "text"}, "put")
    with pytest.raises(InvalidError, match="'content' is missing"):
        arguments({"name": "a"}, "put")


# -- stubs ----------------------------------------------------------------------------------------


def test_a_stub_takes_arguments_by_position_and_by_name():
    wire = Wire({"text": "hi", "count": 2})
    remote = stub(Declared, wire)
    assert remote.ask("a", 2) == Answer("hi", 2)
    remote.ask("a", count=2)
    remote.ask(count=2, name="a")
    assert wire.sent == [("ask", {"name": "a", "count": 2})] * 3


def test_a_stub_sends_no_defaults_so_that_the_server_has_its_own():
    wire = Wire({"text": "", "count": 0})
    stub(Declared, wire).ask("a")
    assert wire.sent == [("ask", {"name": "a"})]


def test_a_stub_refuses_what_python_would_refuse():
    remote = stub(Declared, Wire({"text": "", "count": 0}))
    with pytest.raises(TypeError, match="ask"):
        remote.ask("a", 2, "one too many")
    with pytest.raises(TypeError, match="name"):
        remote.ask("a", name="twice")


def test_a_stub_has_the_operations_only():
    with pytest.raises(AttributeError):
        stub(Declared, Wire()).helper()


def test_values_travel_as_json():
    wire = Wire()
    stub(Declared, wire).put(Answer("x", 1), upload := Upload(io.BytesIO()))
    assert wire.sent == [("put", {"name": {"text": "x", "count": 1}, "content": upload})]


def test_an_answer_of_another_type_is_refused():
    with pytest.raises(ConPaaSError, match="result"):
        stub(Declared, Wire({"text": 3})).ask("a")


def test_an_error_of_the_other_side_is_raised_here():
    with pytest.raises(BusyError, match="wait"):
        stub(Declared, Wire(BusyError("wait"))).ask("a")


def test_a_job_is_sent_at_once_and_watched_when_somebody_looks():
    wire = Wire(
        JobStarted("/jobs/7"), [report(JobState.DONE, 100, result={"text": "x", "count": 1})]
    )
    job = stub(Declared, wire).change(1)
    assert wire.sent and wire.reports
    assert finish(job) == Answer("x", 1)


class Returning(Wire):
    """Does not answer the first call."""

    def send(self, operation, arguments):
        answered = bool(self.sent)
        self.sent.append((operation.name, dict(arguments)))
        if not answered:
            raise UnreachableError("no answer")
        raise JobStarted("/jobs/7")


def test_a_patient_caller_asks_again_for_a_job_that_may_be_asked_for_twice():
    done = report(JobState.DONE, 100, result={"text": "x", "count": 1})
    wire, steps = Returning(reports=[done]), []
    job = stub(Declared, wire, patient=True).change(1)
    assert finish(job, steps.append) == Answer("x", 1)
    assert wire.sent == [("change", {"count": 1})] * 2
    assert [step.message for step in steps] == ["no answer: asking again"]


def test_nobody_asks_again_who_is_not_patient_or_for_what_may_not_be_asked_for_twice():
    for call in (
        lambda wire: stub(Declared, wire).change(1),
        lambda wire: stub(Declared, wire, patient=True).put("x", Upload(io.BytesIO(), "", 0)),
    ):
        wire = Returning()
        with pytest.raises(UnreachableError):
            call(wire)
        assert len(wire.sent) == 1


# -- jobs -----------------------------------------------------------------------------------------


def test_following_a_job_yields_its_progress_and_returns_its_result():
    seen = []
    result = finish(
        watching(
            report(JobState.QUEUED),
            report(JobState.RUNNING, 10, "one"),
            report(JobState.RUNNING, 10, "one"),
            report(JobState.RUNNING, 50, "two"),
            report(JobState.DONE, 100, "two", result={"text": "x", "count": 1}),
        ),
        seen.append,
    )
    assert result == Answer("x", 1)
    assert list(dict.fromkeys(seen)) == [Progress(0, ""), Progress(10, "one"), Progress(50, "two")]


def test_steps_that_came_and_went_between_two_looks_are_yielded_too():
    steps = tuple(JobStep(0.0, 10 * n, f"step {n}") for n in range(4))
    seen = []
    finish(
        watching(
            report(JobState.RUNNING, 0, "step 0", steps=steps[:1]),
            report(JobState.RUNNING, 25, "step 2", steps=steps[:3]),
            report(JobState.DONE, 100, "step 3", steps=steps, result={"text": "x", "count": 1}),
        ),
        seen.append,
    )
    assert seen == [
        *(Progress(0, "step 0"), Progress(0, "step 0")),
        *(Progress(10, "step 1"), Progress(20, "step 2"), Progress(25, "step 2")),
        Progress(30, "step 3"),
    ]


@pytest.mark.parametrize("kind", [AgentError, BusyError, NotFoundError])
def test_a_job_that_fails_raises_the_error_that_ended_it(kind):
    error = kind("so it is", detail=[1]).to_json()
    with pytest.raises(kind, match="so it is") as raised:
        finish(watching(report(JobState.FAILED, error=error)))
    assert raised.value.detail == [1]


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.INTERRUPTED, JobState.FAILED])
def test_a_job_that_ends_without_a_reason_still_raises(state):
    with pytest.raises(ConPaaSError, match=f"job 7 was {state}"):
        finish(watching(report(state)))


def test_a_server_that_is_away_for_a_moment_is_waited_for():
    away = UnreachableError("no answer")
    done = report(JobState.DONE, 100, result={"text": "", "count": 0})
    steps = []
    finish(watching(away, report(JobState.RUNNING, 30, "x"), away, away, done), steps.append)
    # What was seen last is shown meanwhile: progress never falls.
    assert [step.percent for step in steps] == [0, 30, 30, 30]


def test_a_server_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(rpc, "PATIENCE", 60.0)
    now = Clock()

    class Dead(Wire):
        """Each call takes as long as its time-out."""

        def report(self, watch):
            now.sleep(25)
            raise UnreachableError("no answer")

    with pytest.raises(UnreachableError):
        finish(follow(Dead(), "/jobs/7", sleep=now.sleep, clock=now))
    assert 60 < now() < 90


def test_patience_begins_anew_with_each_answer(monkeypatch):
    monkeypatch.setattr(rpc, "PATIENCE", 2.0)
    now = Clock()
    away, there = UnreachableError("no answer"), report(JobState.RUNNING, 1, "x")
    wire = Wire(reports=[*[away, there] * 20, report(JobState.DONE)])
    finish(follow(wire, "/jobs/7", sleep=now.sleep, clock=now))
    assert now() > 5


def test_watchers_ask_less_and_less_often_but_never_seldom():
    waited = []
    reports = [report(JobState.RUNNING, 1, "x")] * 100 + [report(JobState.DONE, result=None)]
    finish(follow(Wire(reports=reports), "/jobs/7", sleep=waited.append))
    assert waited == sorted(waited)
    assert waited[0] <= 0.03 and waited[-1] == 0.5


def test_a_watched_job_can_be_given_up_at_each_step():
    job = watching(*[report(JobState.RUNNING, 1, "x")] * 3)
    next(job)
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def counting():
    for percent in (0, 50, 100):
        yield Progress(percent, f"at {percent}")
    return "end"


def test_a_job_as_a_part_of_another_has_its_share_of_the_way():
    steps = []
    assert finish(scaled(counting(), 40, 60), steps.append) == "end"
    assert [step.percent for step in steps] == [40, 50, 60]
    assert [step.message for step in steps] == ["at 0", "at 50", "at 100"]


def test_a_part_that_fails_fails_the_whole():
    def failing():
        yield Progress(0, "")
        raise AgentError("no")

    with pytest.raises(AgentError):
        finish(scaled(failing(), 0, 10))


def test_a_whole_that_is_given_up_gives_its_parts_up():
    ended = []

    def part():
        try:
            yield Progress(0, "")
        finally:
            ended.append(True)

    job = scaled(part(), 0, 10)
    next(job)
    job.close()
    assert ended


def test_a_patient_job_waits_until_nothing_else_is_at_work():
    answers = [BusyError("wait for job 3"), BusyError("wait for job 4"), "done"]
    waited = []

    def begin():
        answer = answers.pop(0)
        if isinstance(answer, BusyError):
            raise answer
        yield Progress(50, "at work")
        return answer

    steps = []
    assert finish(patiently(begin, waited.append), steps.append) == "done"
    assert [step.message for step in steps] == ["wait for job 3", "wait for job 4", "at work"]
    assert len(waited) == 2


def test_only_the_states_that_go_on_have_not_ended():
    assert [s for s in JobState if not s.ended] == [JobState.QUEUED, JobState.RUNNING]


def test_operations_are_values():
    assert isinstance(hash(find_operation(Declared, "get")), int)
    assert isinstance(find_operation(Declared, "ask"), Operation)
