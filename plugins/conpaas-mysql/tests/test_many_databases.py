"""A cluster of more than nine databases: numbers of two digits are numbers like the others."""

from __future__ import annotations

import pytest

from conpaas.errors import InvalidError
from conpaas.state import State
from conpaas_mysql.parts import data_volume
from conpaas_mysql.theatre import Theatre


def test_the_tenth_database_and_those_after_it_keep_their_volumes_and_lose_no_others(
    theatre: Theatre,
) -> None:
    theatre.start(mysql=11)
    theatre.write()
    names = {data_volume(1, position) for position in range(11)}
    assert set(theatre.volumes()) == names
    theatre.user.create_volume(vol_name="mysql-1-shelf", vol_size=100, agent_id="node-2")
    theatre.idle()

    # None of them is a place for backups, and one whose name only looks alike is.
    for position in (0, 8, 9, 10):
        with pytest.raises(InvalidError, match="has the data itself"):
            theatre.user.set_backup_schedule(place=data_volume(1, position))
    assert theatre.user.get_backup_schedule().places == ["manager", "mysql-1-shelf"]

    # One that is lost comes back to its own.
    theatre.break_machines("mysql-10")
    theatre.settle()
    assert theatre.state is State.RUNNING and len(theatre.primary()) == 11
    found = {volume.vol_name: volume.agent_id for volume in theatre.user.list_volumes()}
    new = next(a for a in theatre.agents() if a.database_part.name == "mysql-10")
    assert found["mysql-1-10"] == new.place.node

    # The last to come is the first to go, with its volume.
    theatre.remove(mysql=1)
    assert set(theatre.volumes()) == names - {"mysql-1-11"} | {"mysql-1-shelf"}
    theatre.remove(mysql=8)
    assert set(theatre.volumes()) == {"mysql-1-1", "mysql-1-2", "mysql-1-shelf"}
    assert theatre.write()
