"""The manager's part of backups: users and the schedule make them, try them, get them back."""

from __future__ import annotations

import abc
import contextlib
from typing import Annotated, Literal, TypeVar

import msgspec

from conpaas.errors import ConPaaSError, NotFoundError
from conpaas.features.backups.agent import BackupAgent
from conpaas.features.backups.book import BY_HAND, MANAGER, SAFETY, SCHEDULED
from conpaas.features.backups.making import MakingManager, advice
from conpaas.features.backups.rows import BackupRow, Restored, ScheduleRow, row_of, schedule_row
from conpaas.features.backups.schedule import Every, hours, next_time, retry_after, superfluous
from conpaas.features.backups.shelves import shelf_of
from conpaas.rpc import Job, Progress, expose, scaled
from conpaas.schema import Option
from conpaas.state import State

A = TypeVar("A", bound=BackupAgent)

BackupName = Annotated[str, "Name of a backup, as list_backups shows it", Option(metavar="name")]
#: Seconds after which it is tried again to remove what could not be removed.
_CLEAR_AGAIN = 60.0
_SETTLED = (State.INIT, State.STOPPED, State.RUNNING, State.ERROR)


class BackupManager(MakingManager[A], abc.ABC):
    """Directs the nodes of a service that can write down all it keeps, and read it back.

    Given to users:
        ``backup``, ``list_backups``, ``verify_backup``, ``restore``, ``delete_backup``,
        ``get_backup_schedule``, ``set_backup_schedule``.

    Must define:
        ``write_backup()``: the pieces of a consistent copy of all that users keep; called on a
        thread of its own, and closed early when nobody waits any more.
        ``check_backup(content, size)``: try a backup where it harms nothing, and tell what is in
        it; raise InvalidError when it is broken.
        ``read_backup(content, size)``: put it in the place of what there is; idempotent.

    May override:
        ``check_backup_place(volume)``: raise when backups must not lie on a volume.

    ``content`` is a file of ``size`` bytes whose checksum is right; it can be read again from its
    beginning (``content.seek(0)``), and from nowhere else.  A backup gives way to every other
    job: to write and to check may take long, but a fault never waits.
    """

    # -- given to users -----------------------------------------------------------------------

    @expose(
        states=(State.RUNNING,),
        resumes=True,
        gives_way=True,
        done="Backup '{name}' is made: {size} bytes.",
    )
    def backup(self) -> Job[BackupRow]:
        """Make a backup of all that the service keeps; the service goes on meanwhile."""
        self.shelf(self.backups.schedule.place)
        yield Progress(0, "making a backup")
        return row_of((yield from self.make_backup(BY_HAND)))

    @expose(reads=True)
    def list_backups(self) -> list[BackupRow]:
        """List the backups, newest first."""
        return [row_of(backup) for backup in self.backups.all()]

    @expose(
        states=(State.RUNNING,),
        resumes=True,
        gives_way=True,
        done="Backup '{name}' is {verified}: {found}.",
    )
    def verify_backup(self, name: BackupName) -> Job[BackupRow]:
        """Read a backup into a place that is thrown away afterwards, and tell what is in it."""
        backup = self.backups.find(name)
        self.shelf(backup.place)
        yield Progress(0, f"verifying {name}")
        return row_of((yield from self.try_backup(backup)))

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        done="Backup '{name}' is restored.{before}",
        confirm="What the service keeps now is replaced by what is in the backup. A backup of it "
        "is made first, unless you want none.",
    )
    def restore(
        self,
        name: BackupName,
        unsaved: Annotated[bool, "Make no backup of what there is now"] = False,
    ) -> Job[Restored]:
        """Put what is in a backup in the place of what the service keeps now.

        The backup is tried first, or only compared with its checksum when it was found good
        before: when it is broken, nothing happens to what there is.  If it cannot be read back
        all the same, what was there before is put back.  A node that dies meanwhile is replaced,
        and what it was at is begun anew.
        """
        backup = self.backups.find(name)
        self.shelf(backup.place)
        yield Progress(0, f"restoring {name}")
        if not backup.whole:
            backup = yield from scaled(self.steadily(lambda: self.try_backup(backup)), 0, 30)
        else:
            checking = self.steadily(lambda: self.check_whole(backup))
            yield from scaled(checking, 0, 30)
        before = None
        if not unsaved:
            making = self.steadily(lambda: self.make_backup(SAFETY))
            before = yield from scaled(making, 30, 50)
        try:
            yield from scaled(self.put_back(backup, before or backup), 50, 98)
        except ConPaaSError as error:
            if before is None:
                advised = {**error.to_json(), "message": f"{error}. {advice(backup)}"}
                raise ConPaaSError.from_json(advised) from error
            yield from scaled(self.go_back(before, error), 50, 98)
        told = f" What was there before is the backup '{before.name}'." if before else ""
        return Restored(name, told)

    @expose(
        states=_SETTLED,
        resumes=True,
        gives_way=True,
        done="Backup '{name}' deleted.",
        confirm="The backup is lost.",
    )
    def delete_backup(self, name: BackupName) -> Job[None]:
        """Delete a backup."""
        if self.place.resuming:
            # It may have been deleted before the crash.
            backups = [one for one in self.backups.all() if one.name == name]
        else:
            backups = [self.backups.find(name)]
            if not self.is_gone(backups[0].place):
                self.shelf(backups[0].place)
        yield Progress(0, f"deleting {name}")
        for backup in backups:
            self.backups.doom(backup)
        self.clear_away()

    @expose(reads=True)
    def get_backup_schedule(self) -> ScheduleRow:
        """Show when backups are made by themselves, and where backups are kept."""
        return schedule_row(self.backups.schedule, self._places())

    @expose(done="Backups by themselves: {every}; kept: {keep}, by {place}; verified: {verify}.")
    def set_backup_schedule(
        self,
        every: Annotated[Every | None, "Hours between two backups, or off"] = None,
        keep: Annotated[
            Annotated[int, msgspec.Meta(ge=1, le=1000)] | None,
            "How many of those that were made by themselves are kept",
        ] = None,
        place: Annotated[
            str | None, f"Where backups are kept: {MANAGER}, or the name of a volume"
        ] = None,
        verify: Annotated[
            Literal["on", "off"] | None, "Whether each is tried when it has been made"
        ] = None,
    ) -> ScheduleRow:
        """Say when backups are made by themselves, and where backups are kept.

        The first is made at once, the others at the same time of the day or hour.  One that was
        missed is made up for as soon as the service is RUNNING and has nothing else to do.
        """
        if place is not None and place != MANAGER:
            self._check_place(place)
        before, now = self.backups.schedule, self.place.samples.now()
        changes: dict[str, object] = {
            name: value for name, value in (("keep", keep), ("place", place)) if value is not None
        }
        if verify is not None:
            changes["verify"] = verify == "on"
        if every is not None and hours(every) != before.every:
            last = before.next - 3600 * before.every
            begun = last if before.every else now - 3600 * hours(every)
            changes |= {"every": hours(every), "next": begun + 3600 * hours(every), "again": 0.0}
            if not hours(every):
                changes["failed"] = ""
        return schedule_row(self.backups.reschedule(**changes), self._places())

    def _check_place(self, place: str) -> None:
        """Raise when backups cannot be kept on a volume now."""
        try:
            self.check_backup_place(self.volumes.find(place))
        except NotFoundError as error:
            raise NotFoundError(f"place: {error}; or say {MANAGER}") from error
        shelf_of(self, place)

    def _places(self) -> list[str]:
        places = [MANAGER]
        for volume in self.volumes.all():
            with contextlib.suppress(ConPaaSError):
                self._check_place(volume.name)
                places.append(volume.name)
        return places

    # -- by itself ----------------------------------------------------------------------------

    def due(self) -> str | None:
        """Return the operation by which a backup is made whose time has come."""
        schedule, now = self.backups.schedule, self.place.samples.now()
        if schedule.every and now >= max(schedule.next, schedule.again):
            return "back_up_by_schedule"
        if self.backups.loose() and now >= self.clear_again:
            self.clear_again = now + _CLEAR_AGAIN
            return "clear_away_backups"
        return super().due()

    @expose(states=(State.RUNNING,), gives_way=True, hidden=True)
    def clear_away_backups(self) -> Job[None]:
        """Remove what is left of backups that were cut off."""
        yield Progress(0, "removing what is left of backups")
        self.clear_away()

    @expose(states=(State.RUNNING,), resumes=True, gives_way=True, hidden=True)
    def back_up_by_schedule(self) -> Job[None]:
        """Make the backup whose time has come, try it, and delete those that are too many."""
        yield Progress(0, "the time of a backup has come")
        begun = self.place.remember("begun", self.place.samples.now)
        try:
            backup = yield from scaled(self.make_backup(SCHEDULED), 0, 60)
            if self.backups.schedule.verify and backup.whole is None:
                yield from scaled(self.try_backup(backup), 60, 95)
        except Exception as error:
            if str(error) != self.backups.schedule.failed:
                self.place.note(f"the backup that was due failed: {error}")
            again = self.place.samples.now() + retry_after(self.backups.schedule)
            self.backups.reschedule(failed=str(error), again=again)
            raise
        schedule = self.backups.schedule
        self.backups.reschedule(next=next_time(schedule, begun), again=0.0, failed="")
        for old in superfluous(self.backups.all(), schedule.keep):
            yield Progress(95, f"deleting {old.name}, which is old")
            self.backups.doom(old)
        self.clear_away()
