"""What jobs change in tests, and what tests do with its jobs."""

import threading
from typing import Annotated

from conpaas.errors import AgentError, ConPaaSError, InvalidError
from conpaas.jobs import JobRunner, resuming
from conpaas.rpc import Job, Progress, Upload, expose, find_operation
from conpaas.schema import Option

WAIT = 10


class Target:
    """What jobs change in these tests; its steps wait until the test lets them go on."""

    def __init__(self, name="thing", runner=None):
        self.name = name
        self.runner = runner
        self.states = []
        self.seen = []
        self.gate = threading.Semaphore(0)
        self.stepped = threading.Semaphore(0)
        self.refusal = None

    # -- as the runner wants it

    def declared(self, operation):
        return find_operation(type(self), operation)

    def make(self, operation, arguments):
        return getattr(self, operation.name)(**arguments)

    def permit(self, operation):
        if self.refusal is not None:
            raise self.refusal

    def begin(self, operation):
        self.states.append("begun")
        return "before"

    def end(self, operation, before, state, reason):
        assert before == "before"
        self.states.append((state, reason))

    # -- for the tests

    def step(self):
        # Without a time-out: a job that a test leaves behind must not wake up in another one.
        self.stepped.release()
        self.gate.acquire()

    def let_go_on(self, steps=1):
        self.gate.release(steps)

    def wait_for_step(self):
        assert self.stepped.acquire(timeout=WAIT)

    @expose(resumes=True)
    def work(self, steps: int = 2) -> Job[int]:
        """Work."""
        if steps < 0:
            raise InvalidError("steps must not be negative")
        for number in range(steps):
            yield Progress(100 * number // steps, f"step {number}")
            self.step()
        return steps

    @expose()
    def delicate(self) -> Job[None]:
        """Work that cannot be taken up again."""
        yield Progress(0, "begun")
        self.step()

    @expose(preempts=True)
    def stop(self) -> Job[str]:
        """Take precedence."""
        yield Progress(0, "stopping")
        self.seen.append("stop")
        return "stopped"

    @expose(preempts=True, resumes=True)
    def halt(self) -> Job[None]:
        """Take precedence, and take long."""
        yield Progress(0, "halting")
        self.step()

    @expose()
    def at_once(self) -> Job[str]:
        """Never yield."""
        self.seen.append("at once")
        return "done at once"
        yield

    @expose()
    def fail(self, how: str) -> Job[None]:
        """Fail."""
        yield Progress(10, "about to fail")
        if how == "agent":
            raise AgentError("node-3 burns", detail=["node-3"])
        raise ZeroDivisionError("so wrong")

    @expose()
    def sign(
        self,
        name: str,
        password: Annotated[str, "Never shown", Option(secret=True)],
        fails: bool = True,
    ) -> Job[None]:
        """Fail with a secret in hand."""
        yield Progress(0, "signing")
        if fails:
            raise AgentError("it was not accepted")

    @expose()
    def answer(self, what: str) -> Job[object]:
        """Answer something that is no JSON."""
        yield Progress(0, "")
        return threading.Lock() if what == "lock" else {"set": {1}}

    @expose(resumes=True)
    def decide(self) -> Job[list[int]]:
        """Decide once."""
        yield Progress(0, "deciding")
        self.seen.append(resuming())
        chosen = self.runner.remember("chosen", lambda: [len(self.seen), 42])
        yield Progress(50, "decided")
        self.step()
        return chosen

    @expose(resumes=True)
    def put(self, content: Upload, name: str = "x") -> Job[int]:
        """Take a file."""
        if content.is_gone:
            raise ConPaaSError(f"the file for {name} is gone")
        return (yield from self.put_once(content))

    @expose()
    def put_once(self, content: Upload) -> Job[int]:
        """Take a file, and do not go on without it."""
        size = len(content.stream.read())
        yield Progress(0, "got it")
        self.step()
        return size


def submit(runner, target, operation, /, **arguments):
    return runner.submit(target, target.declared(operation), arguments, "anna")


def ended(runner, number):
    """Wait for the end of a job and return its report."""
    target = runner.report(number).target
    with runner._lock:
        running = runner._running.get(target)
    if running is not None:
        assert running.ended.wait(WAIT)
    report = runner.report(number)
    assert report.state.ended, report
    return report


def crash(records, target):
    """Return a runner and a target as after a crash: the old ones never get to write again."""
    runner = JobRunner(records)
    fresh = type(target)(target.name, runner)
    return runner, fresh
