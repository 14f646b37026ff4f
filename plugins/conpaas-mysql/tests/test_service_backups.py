"""Backups of a whole service: through director, manager and real databases."""

import datetime as dt
import io
import os
import subprocess

import pytest

from conpaas.clouds.memory import MemoryCloud
from conpaas.errors import BusyError, InvalidError, WrongStateError
from conpaas.manager.config import LimitsSection
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas_mysql import backup_manager
from conpaas_mysql.client import session
from conpaas_mysql.parts import USER, data_volume
from conpaas_mysql.testing import eventually


class Shop:
    """A service of one database, and what its user does with it."""

    def __init__(self, cluster):
        self.cluster, self.run = cluster, cluster.run
        self.service = cluster.service("mysql")
        self.run(self.service.start())
        self.sql("CREATE DATABASE shop", "CREATE TABLE shop.cake (id INT PRIMARY KEY)")
        self.sql("INSERT INTO shop.cake VALUES (1), (2), (3)")

    @property
    def agent(self):
        return self.cluster.agents(1, 1)[0].agent

    def sql(self, *statements):
        """Carry statements out; return what the last one finds."""
        database = self.agent.database
        with session(database.directories.socket, seconds=60) as found:
            found.run("SET SESSION wsrep_sync_wait = 1, wsrep_dirty_reads = OFF")
            return [found.rows(statement) for statement in statements][-1]

    def cakes(self):
        """Return how many cakes there are."""
        return self.sql("SELECT COUNT(*) FROM shop.cake")[0][0]


@pytest.fixture(scope="module")
def shop():
    if subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        subprocess.run(["useradd", "--system", "--no-create-home", USER], check=True)
    network = f"127.{20 + os.getpid() % 230}.0.0/16"
    with Cluster(subnet=network, limits=LimitsSection(nodes_per_service=20)) as cluster:
        yield Shop(cluster)


def test_a_backup_is_made_verified_and_restored(shop):
    made = shop.run(shop.service.backup())
    checked = shop.run(shop.service.verify_backup(name=made.name))
    assert (checked.verified, checked.found) == ("good", "1 database, 1 table, 3 rows")
    shop.sql("DELETE FROM shop.cake WHERE id > 1", "CREATE DATABASE newer")
    restored = shop.run(shop.service.restore(name=made.name))
    assert shop.cakes() == 3
    assert shop.sql("SHOW DATABASES LIKE 'newer'") == []
    before = restored.before.split("'")[1]
    shop.run(shop.service.restore(name=before, unsaved=True))
    assert shop.cakes() == 1
    assert shop.sql("SHOW DATABASES LIKE 'newer'") == [("newer",)]
    shop.run(shop.service.restore(name=made.name, unsaved=True))
    assert shop.cluster.state(1, 1) is State.RUNNING


def test_backups_are_made_by_themselves_and_tried(shop):
    shop.service.set_backup_schedule(every="24", keep=1)

    def made():
        return [row for row in shop.service.list_backups() if row.kind == "schedule"]

    def next_one():
        return dt.datetime.fromisoformat(shop.service.get_backup_schedule().next)

    def once_more():
        shop.cluster.look()
        return made() and made()[0].verified != "no" and len(made()) == 1

    eventually(once_more, 60)
    first = made()[0]
    assert first.found == "1 database, 1 table, 3 rows"
    eventually(lambda: next_one() > dt.datetime.now(dt.UTC))
    due = next_one()
    shop.cluster.sampling_clock.advance(seconds=24 * 3600)
    eventually(lambda: once_more() and made()[0] != first, 60)
    eventually(lambda: next_one() - due == dt.timedelta(days=1))
    shop.service.set_backup_schedule(every="off")


def test_backups_do_not_lie_with_the_data(shop):
    with pytest.raises(InvalidError, match="has the data itself"):
        shop.service.set_backup_schedule(place=data_volume(1, 0))
    schedule = shop.service.get_backup_schedule()
    assert (schedule.place, schedule.places) == ("manager", ["manager"])


def test_a_data_volume_grows_and_where_it_must_be_detached_its_database_pauses(shop, monkeypatch):
    volume = data_volume(1, 0)
    size = next(v.vol_size for v in shop.service.list_volumes() if v.vol_name == volume)
    shop.run(shop.service.grow_volume(vol_name=volume, vol_size=size + 100))
    assert shop.cakes() == 3
    grow, stopped = MemoryCloud.grow_volume, []

    def grow_detached(self, volume_id, size):
        if self.provider.volumes[volume_id].machine:
            raise WrongStateError("it is attached")
        stopped.append(not shop.agent.get_database_status().is_running)
        return grow(self, volume_id, size)

    monkeypatch.setattr(MemoryCloud, "grow_volume", grow_detached)
    row = shop.run(shop.service.grow_volume(vol_name=volume, vol_size=size + 200))
    assert (row.vol_size, row.state, stopped) == (size + 200, "attached", [True])
    assert shop.cakes() == 3
    told = [change.reason for change in shop.service.get_history()]
    assert not any("took queries" in reason or "had stopped" in reason for reason in told), (
        "it was meant"
    )


def test_work_that_was_given_up_may_take_a_moment_to_end():
    content, tries = io.BytesIO(b"backup"), []

    def begin():
        tries.append(content.read())
        if len(tries) < 3:
            raise BusyError("read_database_backup is still at work")
        return len(tries)

    assert backup_manager._again(begin, content) == 3
    assert tries == [b"backup"] * 3
