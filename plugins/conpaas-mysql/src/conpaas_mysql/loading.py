"""Carries a dump out with the user's own rights, by the mariadb client.

The client splits the SQL into statements, and stops at the first one that fails.  It is the system
user of the account's name: the server knows it by that, and no password is there to be seen.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket as sockets
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conpaas.errors import AgentError, ConPaaSError, InvalidError, WrongStateError
from conpaas.rpc import Job, Progress
from conpaas_mysql.dump_file import DumpFile
from conpaas_mysql.failed_statements import explanation, is_of_the_server
from conpaas_mysql.parts import USER

#: Seconds between two looks at whether to go on.
_PAUSE = 0.2
#: Characters of a statement that failed, as people are told of it.
_STATEMENT = 200
#: Errors of the server that refuse a connection: access denied, locked, expired.
_NO_WAY_IN = {1045, 1698, 1862, 4151}
_FAILED = re.compile(
    r"^ERROR(?: (?P<code>\d+) \(\w+\))?(?: at line (?P<line>\d+))?: (?P<words>.*)", re.M | re.S
)


@dataclass(frozen=True)
class Failure:
    """What the client said at its end."""

    code: int
    line: int
    words: str
    statement: str


def load(file: DumpFile, socket: Path, given_up: threading.Event, user: str = USER) -> Job[None]:
    """Carry out all statements of a dump, one after the other.

    Args:
        file: The dump.
        socket: Of the server.
        given_up: Once it is set, this ends between two statements, or in the middle of one that
            then does not count.
        user: Whom the client runs as, and the account of the server that it uses.

    Raises:
        InvalidError: A statement failed: says where, what it says, and what the server says.
        AgentError: The server went away, or the client.
        WrongStateError: It was given up.
    """
    with tempfile.TemporaryFile() as errors:
        ours, theirs = sockets.socketpair()
        with ours, theirs:
            # The client holds our end too: should this process die, it does not see an end in
            # the middle of a statement, which it would carry out as far as it goes.
            client = subprocess.Popen(
                _command(socket, user),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(ours.fileno(),),
            )
            try:
                theirs.close()
                yield from _feed(file, ours, client, given_up)
                yield from _end(ours, client, given_up)
            finally:
                client.kill()
                client.wait()
        if client.returncode != 0:
            raise _error(file.name, _failure(errors), client.returncode)


def _command(socket: Path, user: str) -> list[str]:
    setpriv, client = shutil.which("setpriv"), shutil.which("mariadb")
    if setpriv is None or client is None:
        raise AgentError("this machine lacks setpriv (util-linux) or mariadb (mariadb-client)")
    return [
        setpriv,
        *(f"--reuid={user}", f"--regid={user}", "--clear-groups", "--reset-env", "--no-new-privs"),
        # When the thread that began it ends, so does the client.
        "--pdeathsig=KILL",
        "--",
        client,
        "--no-defaults",
        f"--socket={socket}",
        f"--user={user}",
        # No command of the client but DELIMITER counts: none that runs programs or reads files.
        *("--batch", "--binary-mode", "--sandbox", "--local-infile=0"),
        *("--default-character-set=utf8mb4", "--max-allowed-packet=1G"),
    ]


def _feed(
    file: DumpFile,
    ours: sockets.socket,
    client: subprocess.Popen[bytes],
    given_up: threading.Event,
) -> Job[None]:
    ours.settimeout(_PAUSE)
    for piece in file.pieces():
        yield Progress(file.percent, f"loading {file.name}")
        left = memoryview(piece)
        while left:
            _go_on(given_up)
            try:
                left = left[ours.send(left) :]
            except TimeoutError:
                if client.poll() is not None:
                    return
                yield Progress(file.percent, f"loading {file.name}")
            except (BrokenPipeError, ConnectionResetError):
                return


def _end(
    ours: sockets.socket, client: subprocess.Popen[bytes], given_up: threading.Event
) -> Job[None]:
    with contextlib.suppress(OSError):  # it may have ended by itself
        ours.shutdown(sockets.SHUT_WR)
    while client.poll() is None:
        _go_on(given_up)
        yield Progress(100, "waiting for the last statement")
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(_PAUSE)


def _go_on(given_up: threading.Event) -> None:
    if given_up.is_set():
        raise WrongStateError(
            "loading was given up; what was carried out until then has been carried out"
        )


def _failure(errors: IO[bytes]) -> Failure | None:
    """Return what the client said: it prints the statement between two lines, then the error."""
    size = errors.seek(0, 2)
    errors.seek(0)
    beginning = errors.read(1 << 12)
    errors.seek(max(0, size - (1 << 13)))
    end = errors.read()
    last = end.rfind(b"\nERROR ") + 1
    found = _FAILED.search(end[last:].decode(errors="replace"))
    if found is None:
        return None
    statement = ""
    if beginning.startswith(b"--------------\n"):
        statement = (
            beginning.partition(b"\n")[2]
            .partition(b"\n--------------\n")[0]
            .decode(errors="replace")
        )
    return Failure(
        code=int(found["code"] or 0),
        line=int(found["line"] or 0),
        words=" ".join(found["words"].split()),
        statement=_shortened(statement),
    )


def _shortened(statement: str) -> str:
    text = " ".join(statement.split())
    # What follows may be a password.
    secret = re.search(r"(?i)\b(identified|password)\b", text)
    cut = min(_STATEMENT, secret.end() if secret else _STATEMENT)
    return text[:cut] + (" …" if len(text) > cut else "")


def _error(name: str, failure: Failure | None, status: int) -> ConPaaSError:
    if failure is None:
        return AgentError(f"{name}: the mariadb client ended with {status} and said nothing")
    if failure.code in _NO_WAY_IN and not failure.line:
        return WrongStateError(
            f"{name}: the account {USER} was changed so that it cannot be used "
            f"({failure.words}): setting its password (set_password) mends it"
        )
    where = f"at line {failure.line}" if failure.line else "before the first line"
    told = f"{failure.words.rstrip('.')} (error {failure.code})" if failure.code else failure.words
    statement = f", which begins {failure.statement!r}," if failure.statement else ""
    hint = explanation(failure.code, failure.words, failure.statement)
    text = (
        f"{name}: the statement {where}{statement} failed: {told}.{f' {hint}' if hint else ''} "
        "What stands before it has been carried out, and nothing after it."
    )
    return AgentError(text) if is_of_the_server(failure.code) else InvalidError(text)
