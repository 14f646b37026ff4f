"""What a backup of a cluster is: a dump of all databases, with the accounts in front, gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO

from conpaas.errors import InvalidError
from conpaas.rpc import Job, Upload
from conpaas_mysql import dumping, user_accounts
from conpaas_mysql.client import session
from conpaas_mysql.dump_file import DumpFile

_HEAD = b"-- ConPaaS backup 1 of a MySQL service: accounts, then all databases\n"
#: More accounts than any service has; lines are read one by one.
_MOST = 100_000
_LONGEST = 1 << 20
#: Gzip's own, with its header; little effort: the disk and the network are slower.
_GZIP, _LEVEL = 31, 1
_ANYTHING = (1 << 63) - 1
_PATIENCE = 30.0


def write(socket: Path) -> Generator[bytes, None, None]:
    """Return a backup of a server in pieces; most of what can fail has failed when it returns.

    Args:
        socket: Of the server.

    Raises:
        InvalidError: Views cannot be dumped: says which.
        AgentError: mariadb-dump failed, maybe after some of the pieces.
    """
    with session(socket, seconds=_PATIENCE) as connection:
        accounts = list(user_accounts.statements(connection))
    return _compressed(accounts, dumping.dump(socket))


def _compressed(
    accounts: list[str], dump: Generator[bytes, None, None]
) -> Generator[bytes, None, None]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    with closing(dump):
        head = _HEAD + b"".join(user_accounts.as_comment(one) for one in accounts)
        yield packer.compress(head)
        for piece in dump:
            if packed := packer.compress(piece):
                yield packed
    yield packer.flush()


class BackupFile:
    """A backup that has arrived.

    Args:
        upload: Its stream can be sought in.
    """

    def __init__(self, upload: Upload) -> None:
        self.dump = DumpFile(upload, _ANYTHING)
        self._stream: IO[bytes] = upload.stream

    def check(self) -> Job[int]:
        """Judge it as a whole, and return how many bytes of SQL it has.

        Raises:
            InvalidError: It is damaged, cut off, or no backup of a cluster.
        """
        self.accounts()
        return (yield from self.dump.check())

    def accounts(self) -> list[str]:
        """Return the statements that make the accounts.

        Raises:
            InvalidError: It is no backup of a cluster, or damaged.
        """
        self._stream.seek(0)
        plain = gzip.GzipFile(fileobj=self._stream)
        found: list[str] = []
        try:
            if plain.readline(_LONGEST) != _HEAD:
                raise InvalidError("the backup is broken: it is none of a MySQL service")
            while len(found) < _MOST:
                statement = user_accounts.from_comment(plain.readline(_LONGEST))
                if statement is None:
                    break
                found.append(statement)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise InvalidError(f"the backup is broken: {error}") from error
        return found
