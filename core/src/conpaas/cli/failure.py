"""How the command line gives up: the classes of its exit codes."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 - what is told, not what is wrong with the program
    """What went wrong, for the person who typed the command; ``code`` is the director's."""

    exit_code = 1

    def __init__(self, message: str, code: str = "", detail: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail


class Usage(Failure):
    """The command was typed wrongly; ``usage`` is how to type it."""

    exit_code = 2

    def __init__(self, message: str, usage: str = "") -> None:
        super().__init__(message)
        self.usage = usage


class Missing(Usage):
    """A positional argument was left out.

    ``given`` are those that were not, ``settings`` the global options among the words.
    """

    def __init__(self, message: str, given: list[str], settings: dict[str, str]) -> None:
        super().__init__(message)
        self.given = given
        self.settings = settings


class Unreachable(Failure):
    """Nothing came back: whether the call arrived is unknown."""


class Interrupted(Failure):
    """The user pressed Ctrl-C while a job was watched."""

    exit_code = 130
