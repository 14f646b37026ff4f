"""Sessions of a server that is about to end."""

from __future__ import annotations

import time
from pathlib import Path

from conpaas.errors import UnreachableError
from conpaas.rpc import Job, Progress
from conpaas_mysql.client import session

#: Sessions that are in the middle of something; those of the server itself never end.
_BUSY = """
    SELECT COUNT(*) FROM information_schema.PROCESSLIST
    WHERE ID <> CONNECTION_ID() AND USER <> 'system user' AND USER <> 'event_scheduler'
    AND (COMMAND NOT IN ('Sleep', 'Daemon', 'Killed') OR ID IN
        (SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX))
"""


def wait_for_sessions(socket: Path, seconds: float) -> Job[int]:
    """Wait until no session is in the middle of a statement or a transaction.

    Args:
        socket: Of the server.
        seconds: At most.

    Returns:
        How many still are.
    """
    import pymysql

    until = time.monotonic() + seconds
    told = 0
    while True:
        try:
            with session(socket) as connection:
                busy = int(connection.rows(_BUSY)[0][0])
        except (UnreachableError, pymysql.Error):
            return 0  # one that does not answer has nothing that could be waited for
        if busy == 0 or time.monotonic() > until:
            return busy
        if busy != told:
            yield Progress(0, f"waiting for {busy} sessions that are in the middle of something")
            told = busy
        time.sleep(0.1)
