"""What it costs that members of a cluster encrypt what they tell each other (needs root).

Two clusters of two databases each on this machine, configured as the service configures them; one
without TLS between its members.  ``mariadb-slap`` on 8 connections inserts rows of 1 kB, each of
them a transaction, then rows of 64 kB: each is on both members when it is acknowledged.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from harness import BenchError, Figure, alternate, median_of

from conpaas_mysql.testing import Databases, Node

_CLIENTS = 8
#: Sizes of rows in kB, and how many of them make a measurement.
_ROWS = ((1, 3000), (64, 600))


def measure(runs: int) -> Iterator[Figure]:
    """Measure both sizes."""
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="conpaas-bench-", dir="/var/tmp")
            )
        )
        directory.chmod(0o755)
        plain = _cluster(stack, directory, encrypted=False)
        encrypted = _cluster(stack, directory, encrypted=True)
        for size, count in _ROWS:
            base, ours = alternate(
                lambda size=size, count=count: _insert(plain, size, count),  # type: ignore[misc]
                lambda size=size, count=count: _insert(encrypted, size, count),  # type: ignore[misc]
                runs=runs,
            )
            yield Figure(
                f"rows of {size} kB with TLS between members, and without",
                median_of(base), median_of(ours), "/s", at_least=True,
            )  # fmt: skip


def _cluster(stack: ExitStack, directory: Path, encrypted: bool) -> Node:
    databases = Databases(directory, settings={"innodb_log_file_size": "96M"})
    stack.callback(databases.close)
    first, second = databases.machine(), databases.machine()
    for node in databases.nodes:
        own = {}
        if not encrypted:
            own = {
                "socket.ssl": "no",
                "gmcast.listen_addr": f"tcp://{node.address}:4567",
                "ist.recv_addr": f"tcp://{node.address}:4568",
                "ist.recv_bind": f"tcp://{node.address}:4568",
            }
        part = databases.part(node, databases.nodes, **own)
        node.agent.configure_database(part, databases.secrets)
    first.create()
    second.join()
    ((told,),) = first.rows("SELECT @@wsrep_provider_options")
    if ("socket.ssl = YES" in told) is not encrypted:
        raise BenchError(f"encryption is {not encrypted}: {told}")
    first.rows("CREATE DATABASE slap")
    return first


def _insert(node: Node, size: int, count: int) -> float:
    """Insert rows as fast as it goes; return how many in a second."""
    node.rows("CREATE OR REPLACE TABLE slap.t (id INT AUTO_INCREMENT PRIMARY KEY, c MEDIUMTEXT)")
    socket = node.root / "run/conpaas-mysql/server/mysqld.sock"
    done = subprocess.run(
        [
            "mariadb-slap", "--no-defaults", f"--socket={socket}", "--user=root", "--no-drop",
            "--create-schema=slap",
            f"--query=INSERT INTO slap.t (c) VALUES (REPEAT(MD5(RAND()), {size * 32}))",
            f"--concurrency={_CLIENTS}", f"--number-of-queries={count}", "--iterations=1",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    took = re.search(r"Average number of seconds to run all queries: ([\d.]+)", done.stdout)
    if took is None:
        raise BenchError(f"mariadb-slap: {done.stdout}{done.stderr}")
    return count / float(took[1])
