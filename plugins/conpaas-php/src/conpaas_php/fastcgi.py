"""Requests by FastCGI, sent straight to where code runs, by Debian's cgi-fcgi."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping

from conpaas.errors import UnreachableError


def request(address: str, variables: Mapping[str, str], seconds: float, limit: int) -> bytes:
    """Send a request without a body.

    Args:
        address: Where to, with the port.
        variables: Of FastCGI.
        seconds: For all of it; what has come by then is returned.
        limit: Bytes of the answer that are returned, at most.

    Returns:
        The answer: headers and body.

    Raises:
        UnreachableError: There is none.
    """
    command = ["cgi-fcgi", "-bind", "-connect", address]
    # Through a file: a pipe that is full would hold up whoever reads only its beginning.
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        try:
            answer = _read(process, seconds, limit)
        finally:
            process.kill()
            process.wait()
        complaints.seek(0)
        words = complaints.read(1000).decode(errors="replace").strip()
    if not answer:
        raise UnreachableError(words or f"there was no answer within {seconds:g} seconds")
    return answer


def _read(process: subprocess.Popen[bytes], seconds: float, limit: int) -> bytes:
    """Return what a process prints, up to a time and a length."""
    assert process.stdout is not None  # noqa: S101
    deadline = time.monotonic() + seconds
    answer = b""
    with process.stdout as output:
        while len(answer) < limit:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                break
            piece = os.read(output.fileno(), limit - len(answer))
            if not piece:
                break
            answer += piece
    return answer
