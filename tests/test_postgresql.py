"""The director on PostgreSQL: the same system, with its records in Debian's postgresql."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e import Nutshell, kill, wait_for

from conpaas.director.config import CreditsSection, DirectorConfig, DirectorSection
from conpaas.director.database import migrate, open_database
from conpaas.director.models import Application, Machine, User
from conpaas.errors import NoCreditError
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.statements import history, usage

NAME = "e2epg"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A PostgreSQL of our own, that listens on a socket only: its URL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or os.geteuid() != 0:
        pytest.skip("needs root and Debian's postgresql: ./packages.sh postgresql")
    programs = found[-1].parent
    # The server refuses to run as root; pytest's own directories are closed to its user.
    directory = Path(tempfile.mkdtemp(prefix="conpaas-postgresql-"))
    account = pwd.getpwnam("postgres")
    os.chown(directory, account.pw_uid, account.pw_gid)
    data = directory / "data"

    def run(*command: str) -> subprocess.Popen[bytes]:
        log = (directory / "log").open("ab")
        with log:
            return subprocess.Popen(
                command, user="postgres", group="postgres", extra_groups=[], cwd="/",
                stdout=log, stderr=log,
            )  # fmt: skip

    made = run(str(programs / "initdb"), "-D", str(data), "--auth=trust", "--no-sync")
    assert made.wait(60) == 0, (directory / "log").read_text()
    server = run(
        str(programs / "postgres"), "-D", str(data), "-k", str(directory),
        "-c", "listen_addresses=", "-c", "fsync=off",
    )  # fmt: skip

    def ready() -> bool:
        # Its socket is there before it takes anybody.
        return run(str(programs / "pg_isready"), "-h", str(directory)).wait(30) == 0

    try:
        wait_for("the server", ready)
        yield f"postgresql://postgres@/postgres?host={directory}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def on_postgresql(make_nutshell: Callable[..., Nutshell], postgresql: str) -> Iterator[Nutshell]:
    """A nutshell whose director keeps its records there."""
    made = make_nutshell(NAME)
    made.ok("stop")
    text = made.config.read_text()
    made.config.write_text(
        text.replace("[director]\n", f'[director]\ndatabase_url = "{postgresql}"\n')
    )
    (made.home / "director" / "director.db").unlink()
    made.ok("start")
    yield made
    # Before the database goes: its processes would complain for ever.
    made.destroy()


@pytest.mark.long
def test_a_director_on_postgresql_runs_an_application(on_postgresql: Nutshell) -> None:
    cps = on_postgresql.cps
    assert not (on_postgresql.home / "director" / "director.db").exists()
    assert "no problem found" in on_postgresql.admin("check")
    assert cps.ok("cps-application create First").endswith("created with id 1.\n")
    cps.refused("cps-application create First", "you have an application called 'First' already")
    cps.ok("cps-application start 1")
    cps.ok("cps-service add helloworld 1")
    cps.ok("cps-service start 1 1")
    cps.ok("cps-service add_nodes 1 1 --count 2")
    assert len(cps.rows("cps-helloworld get_helloworld 1 1")) == 3
    cps.ok("cps-service remove_nodes 1 1 --count 1")
    jobs = cps.rows("cps-job list")
    assert {job["state"] for job in jobs} == {"done"}
    on_postgresql.no_leaks()

    cps.ok("cps-application stop 1")
    cps.ok("cps-application start 1")
    cps.ok("cps-service start 1 1")
    cps.ok("cps-application delete 1")
    assert on_postgresql.machines() == {}
    assert cps.rows("cps-application list") == []


@pytest.mark.long
def test_a_worker_killed_on_postgresql_is_followed_by_another(on_postgresql: Nutshell) -> None:
    cps = on_postgresql.cps
    aid = cps.rows("cps-application create Second")["aid"]
    cps.ok(f"cps-application start {aid} --no-wait")
    wait_for("its machine", on_postgresql.machines)
    kill(on_postgresql.process("worker"))

    def running() -> bool:
        return bool(cps.rows(f"cps-application get_info {aid}")["status"] == "RUNNING")

    wait_for("the application", running, 60)
    on_postgresql.no_leaks()
    cps.ok(f"cps-application delete {aid}")


def test_of_twenty_at_once_one_gets_the_last_credit(postgresql: str, tmp_path: Path) -> None:
    """Here transactions run side by side: what makes them wait is the row of the account."""
    everybody = open_database(postgresql, tmp_path)
    with everybody.connection_context():
        everybody.execute_sql("DROP DATABASE IF EXISTS credits WITH (FORCE)")
        everybody.execute_sql("CREATE DATABASE credits")
    database = open_database(postgresql.replace("/postgres?", "/credits?"), tmp_path)
    migrate(database)
    ledger = Ledger(
        DirectorConfig(
            DirectorSection(name="race", url="https://director:5555"),
            credits=CreditsSection(initial_credit=1),
        )
    )
    with database.connection_context():
        user = User.create(username="user", password="!")
        ledger.open_account(user, None)
        application = Application.create(user=user, name="app", state="RUNNING")
    gate, refused = threading.Barrier(20), []

    def spend(number: int) -> None:
        with database.connection_context():
            gate.wait()
            try:
                with database.atomic():
                    machine = Machine.create(
                        application=application, service=1, role="node", cloud="local",
                        state="wanted", request=f"request {number}",
                    )  # fmt: skip
                    ledger.charge_first([machine])
            except NoCreditError as error:
                refused.append(error.detail)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == [{"needed": 1, "left": 0}] * 19
    with database.connection_context():
        assert (ledger.balance(user.id), Machine.select().count()) == (0, 1)
        assert ledger.charge_due(user.id, time.time() + 3600.0) == [application.id]
        assert [line.balance for line in history(user.id, None, 10)] == [0, 1]
        assert [used.credits for used in usage(user.id, 2, time.time())] == [1]
        Machine.update(state="gone").execute()
        for _ in range(2):
            ledger.refund(list(Machine.select()), time.time())
        assert ledger.balance(user.id) == 1
