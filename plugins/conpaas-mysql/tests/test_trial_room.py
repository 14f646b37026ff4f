"""A backup is tried where it harms nobody, as long as there is room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.rpc import Job, Progress, finish
from conpaas_mysql.trial_room import left_free, place_for, while_room

DISK, VOLUME = Path("/disk"), Path("/volume")
MB, GB = 1 << 20, 1 << 30
Disks = dict[Path, tuple[int, int]]


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Disks:
    """File systems by where they are: their size, and how much of it is free."""
    disks: Disks = {DISK: (10 * GB, 5 * GB), VOLUME: (100 * GB, 50 * GB)}

    def usage(path: Path) -> object:
        total, free = disks[path]
        return shutil._ntuple_diskusage(total, total - free, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return disks


@pytest.mark.parametrize(
    ("size", "live", "place"),
    [
        (1 * GB, 1 * GB, DISK),
        (3 * GB, 3 * GB, VOLUME),
        # The tables that there are tell that the SQL takes more than it looks like.
        (1 * GB, 20 * GB, VOLUME),
        # That much room is nowhere: what the backup needs at least will do.
        (1 * GB, 90 * GB, DISK),
        (3 * GB, 90 * GB, VOLUME),
    ],
)
def test_the_disk_of_the_machine_comes_before_the_volume_of_the_data(
    disks: Disks, size: int, live: int, place: Path
) -> None:
    assert place_for([DISK, VOLUME], size, live, "node-1") == place


def test_a_trial_leaves_a_tenth_free_within_bounds(disks: Disks) -> None:
    disks[DISK] = (512 * MB, 400 * MB)
    assert left_free(DISK) == 128 * MB
    disks[DISK] = (5 * GB, 5 * GB)
    assert left_free(DISK) == GB // 2
    assert left_free(VOLUME) == GB


def test_it_is_told_when_nothing_has_enough_room(disks: Disks) -> None:
    with pytest.raises(AgentError) as refused:
        place_for([DISK, VOLUME], 40 * GB, 0, "node-1")
    assert str(refused.value) == (
        "there is no room to try the backup on node-1: it needs 61512 MB for a while, beside 1024 "
        "MB that stay free, and 51200 MB are free; make the volume of its data larger "
        "(grow_volume), or have backups that are made by themselves not tried "
        "(set_backup_schedule --verify off)"
    )


def test_the_smallest_volume_that_a_database_needs_has_room_for_a_small_backup(
    disks: Disks,
) -> None:
    disks[VOLUME] = (512 * MB, 210 * MB)
    assert place_for([VOLUME], 6 * MB, 0, "node-1") == VOLUME


def _loading(during: Callable[[], None], ended: list[str]) -> Job[str]:
    try:
        yield Progress(10, "loading")
        during()
        yield Progress(20, "loading")
        return "all of it"
    finally:
        ended.append("ended")


def test_a_trial_ends_when_it_takes_more_room_than_may_be_used(disks: Disks) -> None:
    ended: list[str] = []

    def fill() -> None:
        disks[VOLUME] = (100 * GB, GB - MB)

    assert finish(while_room(_loading(lambda: None, ended), VOLUME, "node-1")) == "all of it"
    job = while_room(_loading(fill, ended), VOLUME, "node-1")
    assert next(job).percent == 10
    with pytest.raises(AgentError) as refused:
        next(job)
    assert str(refused.value) == (
        "there is no room to try the backup on node-1: it takes more than expected, and only "
        "1023 MB are free at /volume, where 1024 MB must stay free; the trial was ended, and has "
        "harmed nothing; make the volume of its data larger (grow_volume), or have backups that "
        "are made by themselves not tried (set_backup_schedule --verify off)"
    )
    assert ended == ["ended", "ended"]


def test_a_backup_that_only_lacked_room_does_not_count_as_broken(disks: Disks) -> None:
    def fail() -> None:
        raise InvalidError("the backup is broken: the table is full")

    with pytest.raises(InvalidError, match="broken"):
        finish(while_room(_loading(fail, []), VOLUME, "node-1"))

    def fill() -> None:
        disks[VOLUME] = (100 * GB, 0)
        fail()

    with pytest.raises(AgentError, match="no room to try the backup"):
        finish(while_room(_loading(fill, []), VOLUME, "node-1"))
