"""The shapes of what the command index holds: plain dictionaries, because marshal keeps them.

Only type checkers and the builder of the index import this.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Argument(TypedDict):
    """Something that can be typed after a command.

    ``flags`` are empty for a positional one.  ``kind`` says how text becomes a value: ``text``,
    ``integer``, ``number``, ``reference`` (a name or an id), ``choice``, ``truth`` (yes or no),
    ``on`` and ``off`` (flags without a value), ``json``, ``upload`` (a path).  ``group`` says
    where the value goes: ``argument`` (of the operation), ``role`` (a count of nodes) or
    ``switch`` (for the command line itself).  A ``secret`` that is ``known`` is asked for once, a
    new one twice.
    """

    name: str
    group: str
    kind: str
    flags: tuple[str, ...]
    metavar: str
    help: str
    default: str
    required: bool
    many: bool
    secret: bool
    known: bool
    asked: str
    choices: dict[str, Any]


class Command(TypedDict):
    """An operation as the command line needs it.

    ``path`` is what is called; of a service, the path below the service's own.  ``preset`` are
    arguments that the object's name implies, ``where`` are values that a row must have to be
    shown, ``nodes`` is the argument that the counts of the roles make up, ``result`` is ``rows``,
    ``record``, ``file`` or ``value``, ``follow`` is the operation to go on reading with,
    ``written`` is ``module:class`` of a hand-written command, whose options are ``words``.  What
    is ``public`` is called without logging in.  A file that is text is one that the command
    ``prints``, unless it is told where to save it.
    """

    object: str
    operation: str
    summary: str
    description: str
    path: str
    of_service: bool
    arguments: list[Argument]
    preset: dict[str, Any]
    where: dict[str, Any]
    nodes: str
    result: str
    columns: tuple[str, ...]
    times: tuple[str, ...]
    is_job: bool
    reads: bool
    done: str
    confirm: str
    follow: str
    public: bool
    prints: bool
    written: str
    words: tuple[str, ...]


class Entry(TypedDict):
    """An object: its operations with their summaries, and its commands, marshalled."""

    summary: str
    is_type: bool
    operations: dict[str, str]
    commands: bytes
