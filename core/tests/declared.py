"""A declaration, what implements it, and a wire that answers what a test wants."""

import abc
from dataclasses import dataclass
from typing import Annotated

from conpaas.rpc import Download, Job, JobReport, Progress, Upload, expose, follow
from conpaas.schema import Option
from conpaas.state import State


@dataclass(frozen=True)
class Answer:
    text: str
    count: int


class Declared(abc.ABC):
    """As in api.py: the declarations alone."""

    @abc.abstractmethod
    @expose(reads=True)
    def ask(
        self, name: Annotated[str, "Whom", Option("-n")], count: Annotated[int, "How often"] = 1
    ) -> Answer:
        """Ask somebody.

        More about it.

        Args:
            name: Not repeated.
        """

    @abc.abstractmethod
    @expose(states=(State.RUNNING,), meanwhile=State.ADAPTING, then=State.RUNNING, resumes=True)
    def change(self, count: int) -> Job[Answer]:
        """Change it."""

    @abc.abstractmethod
    @expose()
    def put(self, name: str, content: Upload) -> None:
        """Put a file."""

    @abc.abstractmethod
    @expose(reads=True)
    def get(self, name: str) -> Download:
        """Get a file."""

    def helper(self) -> str:
        """Not offered."""
        return "help"


class Implemented(Declared):
    def ask(self, name, count=5):
        """Something that is not for users."""
        return Answer(name, count)

    def change(self, count):
        yield Progress(0, "")
        return Answer("", count)

    def put(self, name, content): ...
    def get(self, name): ...
    def other(self): ...


class Wire:
    """A channel that notes what is sent, and answers what it was given."""

    def __init__(self, answer=None, reports=()):
        self.answer = answer
        self.reports = list(reports)
        self.sent = []

    def send(self, operation, arguments):
        self.sent.append((operation.name, dict(arguments)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def report(self, watch):
        assert watch == "/jobs/7"
        report = self.reports.pop(0)
        if isinstance(report, Exception):
            raise report
        return report


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def report(state, percent=0, message="", **more):
    return JobReport(7, "service 1", "change", state, percent, message, **more)


def watching(*reports):
    return follow(Wire(reports=reports), "/jobs/7", Answer, sleep=lambda seconds: None)
