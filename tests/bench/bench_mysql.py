"""The MySQL service beside MariaDB with Galera by hand (needs root).

Queries: ``mariadb-slap`` with 8 connections that are kept asks a database straight, and through a
balancer (glb) before the same one.  Adding a node: from ``add_nodes``, with the making of its
machine and its volume, until the new database has all data, beside a bare ``mariadbd`` that joins
another one, with the same configuration, on machines with volumes that are there already, and as
much data.  A new service: from ``start`` until a query is answered, beside ``mariadb-install-db``
and a server that begins a cluster, on a machine that is there already.  Makes a nutshell called
``bench`` and destroys it at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

from bare_galera import BareGalera, filling
from harness import BenchError, Figure, alternate, median_of
from machines import Application, BareCloud, Service, nutshell

from conpaas.rpc import finish

_PASSWORD = "correct horse 7"
_QUERIES, _CLIENTS = 6000, 8
#: MB of the data that a joining database gets: what is ours takes as long with any.
_DATA = (64, 512)


def measure(runs: int) -> Iterator[Figure]:
    """Measure all three."""
    few = max(2, runs // 2)
    with ExitStack() as stack:
        stack.enter_context(nutshell())
        application = Application()
        service = application.service("mysql")
        service.manager.set_password(password=_PASSWORD)
        direct = service.manager.get_address().host
        cloud = BareCloud()
        stack.callback(cloud.down)
        bare = BareGalera(cloud, like=direct)
        base, ours = alternate(bare.create, lambda: _create(application), runs=few)
        yield Figure(
            "a new MySQL service to its first query", median_of(base), median_of(ours), "s", 2.0
        )
        finish(service.manager.add_nodes(nodes={"glb": 1}))
        balanced = service.manager.get_address().host
        if direct == balanced:
            raise BenchError("the address is not the balancer's")
        base, ours = alternate(lambda: _slap(direct), lambda: _slap(balanced), runs=runs)
        yield Figure(
            "queries through glb beside straight (8 kept connections)",
            median_of(base), median_of(ours), "/s", 0.75, at_least=True,
        )  # fmt: skip
        bare.create()
        there = 0
        for whole in _DATA:
            bare.fill(there, whole)
            _fill(direct, there, whole)
            there = whole
            base, ours = alternate(
                bare.join,
                lambda: _add(service, whole),  # noqa: B023 - called within the loop
                runs=few,
            )
            yield Figure(
                f"add_nodes --mysql 1 with {whole} MB beside a bare join",
                median_of(base), median_of(ours), "s", 1.2,
            )  # fmt: skip


def _create(application: Application) -> float:
    begin = time.perf_counter()
    service = application.service("mysql")
    service.manager.set_password(password=_PASSWORD)
    _sql(service.manager.get_address().host, "SELECT 1")
    wall = time.perf_counter() - begin
    application.remove(service)
    return wall


def _add(service: Service, megabytes: int) -> float:
    begin = time.perf_counter()
    finish(service.manager.add_nodes(nodes={"mysql": 1}))
    wall = time.perf_counter() - begin
    newest = max(
        (n for n in service.manager.list_nodes() if n.role == "mysql"), key=lambda n: n.agent_id
    )
    if _sql(newest.ip, "SELECT COUNT(*) FROM filled.rows").strip() != str(megabytes * 16):
        raise BenchError(f"{newest.ip} has not all data")
    finish(service.manager.remove_nodes(nodes={"mysql": 1}))
    return wall


def _fill(host: str, there: int, megabytes: int) -> None:
    for statement in filling(there, megabytes):
        _sql(host, statement)


def _sql(host: str, statement: str) -> str:
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-h", host, "-u", "mysqldb", "-N", "-B", "-e", statement],
        env={**os.environ, "MYSQL_PWD": _PASSWORD},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchError(f"{host}: {done.stderr}")
    return done.stdout


def _slap(host: str) -> float:
    """Ask as fast as it goes; return the queries in a second."""
    query = "SELECT id, LENGTH(content) FROM slap.words WHERE id = 7"
    _sql(host, "CREATE DATABASE IF NOT EXISTS slap")
    _sql(host, "CREATE TABLE IF NOT EXISTS slap.words (id INT PRIMARY KEY, content TEXT)")
    _sql(host, "REPLACE INTO slap.words VALUES (7, 'seven')")
    done = subprocess.run(
        [
            "mariadb-slap", "--no-defaults", "-h", host, "-u", "mysqldb", "--no-drop",
            "--create-schema=slap", f"--query={query}", "--delimiter=;",
            f"--concurrency={_CLIENTS}", f"--number-of-queries={_QUERIES}", "--iterations=1",
        ],
        env={**os.environ, "MYSQL_PWD": _PASSWORD},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    took = re.search(r"Average number of seconds to run all queries: ([\d.]+)", done.stdout)
    if took is None:
        raise BenchError(f"mariadb-slap at {host}: {done.stdout}{done.stderr}")
    return _QUERIES / float(took[1])
