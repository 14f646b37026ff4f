"""Errors that travel: raised on one machine, raised as the same class on another.

Each class is named for what its reader can do next.  Anything that is not a
:class:`ConPaaSError` is a bug: it is logged with its traceback and answered as ``internal``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ConPaaSError(Exception):
    """Base of every error that a caller may see; itself, a bug of ours.

    Args:
        message: What is true and what to do, in one or two sentences.
        detail: Anything that helps a program or a person further, as JSON can hold it.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    _classes: ClassVar[dict[str, type[ConPaaSError]]] = {}

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def __init_subclass__(cls) -> None:
        """Make the class findable by its code."""
        ConPaaSError._classes[cls.code] = cls

    def to_json(self) -> dict[str, Any]:
        """Return the error as it stands on the wire."""
        return {"code": self.code, "message": self.message, "detail": self.detail}

    @staticmethod
    def from_json(error: dict[str, Any]) -> ConPaaSError:
        """Rebuild the error that the other side raised."""
        known = ConPaaSError._classes.get(str(error.get("code")), ConPaaSError)
        return known(str(error.get("message", "no message")), error.get("detail"))

    @staticmethod
    def classes() -> dict[str, type[ConPaaSError]]:
        """Return the classes by code, sorted (the generated reference lists them)."""
        return dict(sorted(ConPaaSError._classes.items()))


class InvalidError(ConPaaSError):
    """An argument is missing, unknown or wrong: correct it."""

    code, status = "invalid", 400


class UnauthenticatedError(ConPaaSError):
    """Nobody known is calling: log in, or get a certificate."""

    code, status = "unauthenticated", 401


class NoCreditError(ConPaaSError):
    """The credit is used up: get more."""

    code, status = "no-credit", 402


class DeniedError(ConPaaSError):
    """The caller is known and may not do this: ask someone who may."""

    code, status = "denied", 403


class NotFoundError(ConPaaSError):
    """The thing named does not exist: correct the name."""

    code, status = "not-found", 404


class WrongStateError(ConPaaSError):
    """The object's state does not allow this: do something else first."""

    code, status = "wrong-state", 409


class UnsavedError(ConPaaSError):
    """Something would be lost that cannot be saved: do what it says, or give that up."""

    code, status = "unsaved", 409


class BusyError(ConPaaSError):
    """Another job is changing the object: wait for it."""

    code, status = "busy", 409


class TooLargeError(ConPaaSError):
    """What was sent is over a limit: send less, or have the limit raised."""

    code, status = "too-large", 413


class TooManyError(ConPaaSError):
    """It was tried too often: wait for as long as the message says, then try again."""

    code, status = "too-many", 429


class CloudError(ConPaaSError):
    """The cloud refused or failed: its own words are in the message."""

    code, status = "cloud", 502


class AgentError(ConPaaSError):
    """A node failed at its part: the node and the reason are in the message."""

    code, status = "agent", 502


class StartupScriptError(AgentError):
    """The startup script of a service failed on a machine that lives: mend the script."""

    code = "startup-script"


class UnreachableError(ConPaaSError):
    """The other machine does not answer: wait, or look at it."""

    code, status = "unreachable", 503


class PluginError(ConPaaSError):
    """A plugin breaks the contract: tell its author."""

    code, status = "plugin", 500
