"""Declare an operation once; serve it, call it and describe it from that declaration.

An operation is a method marked :func:`expose`.  Its signature gives the arguments (``Annotated``
text is their help), its docstring the help, and its return type says how it runs: ``-> T`` is
answered at once, ``-> Job[T]`` is a generator of :class:`Progress`.  What such a generator does
before its first ``yield`` are checks, made inside the request; from there on it is a job.  After a
crash a job that ``resumes`` is run again from the top, so its steps must be idempotent.
"""

from __future__ import annotations

import functools
import inspect
import json
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

from conpaas.errors import ConPaaSError, InvalidError, NotFoundError, UnreachableError
from conpaas.progress import KEPT_STEPS as KEPT_STEPS
from conpaas.progress import Job as Job
from conpaas.progress import JobReport as JobReport
from conpaas.progress import JobState as JobState
from conpaas.progress import JobStep as JobStep
from conpaas.progress import Progress as Progress
from conpaas.progress import finish as finish
from conpaas.progress import finished as finished
from conpaas.progress import in_turn as in_turn
from conpaas.progress import patiently as patiently
from conpaas.progress import scaled as scaled
from conpaas.progress import share_of as share_of
from conpaas.schema import Hint, from_json, to_json
from conpaas.state import State

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

REQUIRED = inspect.Parameter.empty
#: How long a follower waits for a server that stopped answering: it may be coming back, seconds.
PATIENCE = 60.0


@dataclass(frozen=True)
class Piece:
    """What a text has grown by, and where to go on: ``after`` is for the next question only."""

    text: str
    after: str


@dataclass
class Upload:
    """A file on its way in: read ``stream`` once, in pieces.

    A job's file has arrived as a whole before the job begins, and is there until it has ended.
    A job that resumes after a crash has it no more: ``is_gone`` is true then, and nothing in it.
    """

    stream: IO[bytes]
    filename: str = "upload"
    size: int | None = None
    is_gone: bool = False


@dataclass
class Download:
    """A file on its way out, in pieces; ``size`` in bytes where it is known."""

    pieces: Iterator[bytes]
    filename: str = "download"
    media_type: str = "application/octet-stream"
    size: int | None = None


@dataclass(frozen=True)
class Parameter:
    """One argument of an operation."""

    name: str
    hint: Hint
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is REQUIRED

    @property
    def is_upload(self) -> bool:
        """Whether it is a file."""
        return self.hint.inner is Upload


@dataclass(frozen=True)
class Operation:
    """What one :func:`expose` line declares."""

    name: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    result: Any
    is_job: bool
    reads: bool = False
    states: tuple[State, ...] = ()
    meanwhile: State | None = None
    then: State | None = None
    otherwise: State | None = None
    resumes: bool = False
    preempts: bool = False
    gives_way: bool = False
    done: str = ""
    confirm: str = ""
    hidden: bool = False
    admin: bool = False
    public: bool = False
    costs: bool = False
    follow: str = ""
    prints: bool = False

    @property
    def upload(self) -> Parameter | None:
        """The argument that is a file, if there is one."""
        return next((p for p in self.parameters if p.is_upload), None)

    @property
    def is_download(self) -> bool:
        """Whether the result is a file."""
        return self.result is Download


def expose(
    *,
    reads: bool = False,
    states: tuple[State, ...] = (),
    meanwhile: State | None = None,
    then: State | None = None,
    otherwise: State | None = None,
    resumes: bool = False,
    preempts: bool = False,
    gives_way: bool = False,
    done: str = "",
    confirm: str = "",
    hidden: bool = False,
    admin: bool = False,
    public: bool = False,
    costs: bool = False,
    follow: str = "",
    prints: bool = False,
) -> Callable[[F], F]:
    """Offer a method to callers on other machines.

    Args:
        reads: It changes nothing: always allowed, safe to repeat.
        states: The states of the service that allow it; none given means all.
        meanwhile: The state while its job runs; none given leaves the state alone.
        then: The state after success; none given means the one before.
        otherwise: The state after a failure; none given means the one before.
        resumes: After a crash its job is run again from the top; a file that it was given is gone.
        preempts: A job that is running is cancelled for it, where others are told ``busy``.
        gives_way: Its job is cancelled for any other that does not give way itself: for what takes
            long and can be tried again.
        done: What a client says on success, formatted with the arguments and the result's fields.
        confirm: What will be lost: a client asks before it calls.
        hidden: For servers among themselves: no command, no form.
        admin: Only administrators may call it.
        public: Anybody may call it, without logging in.
        costs: It asks for machines, which cost credit.
        follow: The operation by which a client goes on reading a text that grows.  It takes the
            same arguments and ``after`` (what the piece before said, or None) and returns a
            :class:`Piece`.
        prints: Its file is text, which a command line writes to stdout unless it is told a name.
    """
    marks = {name: value for name, value in locals().items() if name != "marks"}

    def mark(method: F) -> F:
        method.__conpaas__ = marks  # type: ignore[attr-defined]
        return method

    return mark


def operations(cls: type) -> dict[str, Operation]:
    """Return the operations that ``cls`` exposes, by name, sorted.

    A method that overrides an exposed one is that operation: the declaration stands at the top.
    """
    return _operations(cast("Hashable", cls))


@functools.cache
def _operations(cls: Hashable) -> dict[str, Operation]:
    found = {}
    classes = cast("type", cls).__mro__[::-1]
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        for owner in classes:
            declared = owner.__dict__.get(name)
            if marks := getattr(declared, "__conpaas__", None):
                described = method if hasattr(method, "__conpaas__") else declared
                found[name] = _describe(name, cast("Callable[..., Any]", described), marks)
                break
    return found


def _for_people(text: str) -> str:
    """Return a docstring's text without the marks that are for its reader in the code."""
    return text.strip().replace("``", "'")


def _describe(name: str, method: Callable[..., Any], marks: dict[str, Any]) -> Operation:
    hints = get_type_hints(method, include_extras=True)
    parameters = tuple(
        Parameter(p.name, Hint.of(hints[p.name]), p.default)
        for p in list(inspect.signature(method).parameters.values())[1:]
    )
    returned = hints.get("return", type(None))
    is_job = get_origin(returned) is Generator
    summary, _, rest = (inspect.getdoc(method) or "").partition("\n")
    return Operation(
        name=name,
        summary=summary,
        description=_for_people(rest.partition("\nArgs:")[0].partition("\nRaises:")[0]),
        parameters=parameters,
        result=get_args(returned)[2] if is_job else returned,
        is_job=is_job,
        **marks,
    )


def find_operation(cls: type, name: str) -> Operation:
    """Return one operation of ``cls``.

    Raises:
        NotFoundError: It has none of that name.
    """
    try:
        return operations(cls)[name]
    except KeyError:
        raise NotFoundError(f"there is no operation {name[:60]!r} here") from None


def arguments_from_json(
    operation: Operation, given: Any, upload: Upload | None = None
) -> dict[str, Any]:
    """Return a call's arguments, checked against its declaration.

    Raises:
        InvalidError: One is unknown, missing or wrong.
    """
    if not isinstance(given, dict):
        raise InvalidError(f"{operation.name}: the arguments must be a JSON object")
    values = dict(given)
    if upload is not None and operation.upload is not None:
        values[operation.upload.name] = upload
    known = {p.name: p for p in operation.parameters}
    if unknown := sorted(values.keys() - known.keys()):
        takes = ", ".join(known) or "none"
        raise InvalidError(
            f"{operation.name}: unknown argument {unknown[0][:60]!r} (it takes: {takes})"
        )
    for parameter in operation.parameters:
        if parameter.required and parameter.name not in values:
            raise InvalidError(f"{operation.name}: the argument {parameter.name!r} is missing")
    return {
        name: value if isinstance(value, Upload) else from_json(value, known[name].hint.full, name)
        for name, value in values.items()
    }


def tellable(operation: Operation, recorded: str) -> dict[str, Any]:
    """Return the arguments of a job, recorded as JSON, that may be shown to who asked for it."""
    secret = {p.name for p in operation.parameters if p.hint.option.secret}
    return {name: value for name, value in json.loads(recorded).items() if name not in secret}


class JobStarted(Exception):  # noqa: N818 - an answer, not an error
    """A channel's answer that a job has begun; ``watch`` is where its reports are."""

    def __init__(self, watch: str) -> None:
        super().__init__(watch)
        self.watch = watch


class Channel(Protocol):
    """Carries calls to the process that serves them."""

    def send(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        """Deliver a call whose arguments are JSON and return the result as JSON.

        Raises:
            JobStarted: The answer was a job.
            ConPaaSError: The error that the other side raised, or that the way there failed.
        """

    def report(self, watch: str) -> JobReport:
        """Return the present report of a job that a call began."""


def stub(cls: type[T], channel: Channel, patient: bool = False) -> T:
    """Return an object typed as ``cls`` whose operations run at the other end of ``channel``.

    Args:
        cls: Declares the operations.
        channel: Leads to who serves them.
        patient: Whether a job that resumes, and so can be asked for twice, waits for an end that
            does not answer when it shall begin: it may be coming back.
    """
    methods = {
        name: staticmethod(_remote(operation, channel, patient))
        for name, operation in operations(cls).items()
    }
    return cast("T", type(f"{cls.__name__}Stub", (), methods)())


def _remote(operation: Operation, channel: Channel, patient: bool) -> Callable[..., Any]:
    names = [p.name for p in operation.parameters]

    def send(arguments: Mapping[str, Any]) -> Any:
        try:
            result = channel.send(operation, arguments)
        except JobStarted as started:
            # The call has gone out: only the watching is lazy.
            return follow(channel, started.watch, operation.result)
        return result if operation.is_download else from_json(result, operation.result, "result")

    def call(*values: Any, **named: Any) -> Any:
        if len(values) > len(names):
            raise TypeError(f"{operation.name}() takes {len(names)} arguments, not {len(values)}")
        placed = dict(zip(names, values, strict=False))
        if twice := placed.keys() & named.keys():
            raise TypeError(f"{operation.name}() got {', '.join(sorted(twice))} twice")
        given = placed | named
        arguments = {k: v if isinstance(v, Upload) else to_json(v) for k, v in given.items()}
        try:
            return send(arguments)
        except UnreachableError as error:
            if not (patient and operation.resumes):
                raise
            return _again(error, lambda: send(arguments))

    return call


def _again(error: UnreachableError, begin: Callable[[], Job[T]]) -> Job[T]:
    yield Progress(0, f"{error}: asking again")
    return (yield from patiently(begin, away=PATIENCE))


def follow(
    channel: Channel,
    watch: str,
    hint: Any = Any,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Job[Any]:
    """Watch a job: yield its progress, return its result or raise its error.

    Steps that came and went between two looks are yielded too: what moved where must be told.
    """
    seen: Progress | None = None
    pause, answered, told = 0.02, clock(), 0
    while True:
        try:
            report = channel.report(watch)
            answered = clock()
        except UnreachableError:
            # By the clock: a call that nobody answers may itself take as long.
            if clock() - answered > PATIENCE:
                raise
            report = None
        if report is not None:
            for missed in report.steps[told:]:
                told, pause = told + 1, 0.02
                seen = Progress(missed.percent, missed.message)
                yield seen
            step = Progress(report.percent, report.message)
            if report.state is JobState.DONE:
                return from_json(report.result, hint, "result")
            if report.state.ended:
                raise ConPaaSError.from_json(
                    report.error or {"message": f"job {report.id} was {report.state}"}
                )
            if step != seen:
                seen, pause = step, 0.02
        # Yielded even when nothing is new: each yield is a place where a job can be cancelled.
        yield seen or Progress(0, "waiting")
        sleep(pause)
        pause = min(pause * 1.15, 0.5)


@dataclass(frozen=True)
class PerRole:
    """Marks a ``dict[str, int]`` argument as counts of nodes for each role.

    The command line derives an option for each role of the service type, and ``--count`` for its
    default role.
    """

    help: str = field(default="How many nodes with the role {role}")
