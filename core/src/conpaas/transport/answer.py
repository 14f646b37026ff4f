"""What comes back from another server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conpaas.errors import AgentError, ConPaaSError, UnreachableError


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    ``headers`` has lower-case names.  ``body`` is all of the body, or empty when it was asked for
    as a stream: then ``chunks`` yields it as it comes.  A stream that is not read to its end must
    be closed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    chunks: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def json(self) -> Any:
        """Return the value that the body holds.

        Raises:
            AgentError: It is no JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            start = self.body[:80].decode(errors="replace")
            raise AgentError(
                f"The other server answered {self.status} with what is no JSON: {start!r}"
            ) from error

    def close(self) -> None:
        """Give up the rest of a stream."""
        close = getattr(self.chunks, "close", None)
        if close is not None:
            close()


def raise_for_error(answer: Answer) -> None:
    """Raise the error that the answer carries, if it carries one.

    An error of ours is raised as the class that it had on the other side.
    """
    if answer.status < 400:
        return
    try:
        error = json.loads(answer.body)["error"]
        known = ConPaaSError.from_json({**error, "message": error["message"]})
    except (ValueError, TypeError, KeyError):
        text = answer.body[:200].decode(errors="replace").strip()
        kind = UnreachableError if answer.status in (502, 503, 504) else AgentError
        raise kind(f"The other server answered {answer.status}: {text or 'nothing'}") from None
    raise known
