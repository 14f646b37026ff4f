"""The life of volumes: created, attached, detached, destroyed; never leaked, never lost."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import peewee

from conpaas.api import VolumeInfo
from conpaas.clouds.base import Cloud, CloudVolume
from conpaas.director.config import DirectorConfig
from conpaas.director.machines import Life
from conpaas.director.models import Machine, database
from conpaas.director.volumes_model import Volume
from conpaas.errors import CloudError, ConPaaSError, InvalidError, NotFoundError, WrongStateError

logger = logging.getLogger(__name__)


class VolumeState(enum.StrEnum):
    """Where a volume of ours is in its life."""

    WANTED = "wanted"  #: its cloud is being asked for it
    AVAILABLE = "available"  #: it is there; with a machine noted, it is being attached to that
    ATTACHED = "attached"
    DOOMED = "doomed"  #: it is being destroyed
    GONE = "gone"


_KEPT = (VolumeState.AVAILABLE.value, VolumeState.ATTACHED.value)


class VolumeRoom:
    """Creates, attaches, detaches and destroys volumes.

    What shall be is noted before a cloud is asked: whatever is cut off is found again by its name.

    Args:
        config: Of the director.
        clouds: By name.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        config: DirectorConfig,
        clouds: Mapping[str, Cloud],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._clouds = clouds
        self._clock = clock

    def want(self, machine: Machine, name: str, size: int, position: int, request: str) -> Volume:
        """Note that a volume shall be; the same request gets the same volume.

        Args:
            machine: For whose node it is: in its cloud, of its service.
            name: As users call it.
            size: In MB.
            position: Of the node among those of its role.
            request: The key of the request.

        Raises:
            InvalidError: The size is out of range, or the application has a volume of that name.
        """
        self._require_size(size)
        application = machine.application_id
        try:
            with database.atomic():
                found = Volume.get_or_none(
                    Volume.application == application, Volume.request == request
                )
                if found is not None:
                    return found
                row = Volume.create(
                    application=application,
                    service=machine.service,
                    name=name,
                    held=f"{application}/{name}",
                    cloud=machine.cloud,
                    wanted=size,
                    size=size,
                    state=VolumeState.WANTED.value,
                    request=request,
                    role=machine.role,
                    position=position,
                    created=self._clock(),
                )
                row.cloud_name = (
                    f"{self._config.director.name}-u{machine.application.user_id}-a{application}"
                    f"-v{row.id}-{name}"
                )
                row.save(only=[Volume.cloud_name])
                return row
        except peewee.IntegrityError:
            raise InvalidError(
                f"application {application} has a volume {name!r} already: "
                "take another name, or delete that one"
            ) from None

    def create(self, row: Volume) -> Volume:
        """Create a volume that shall be; one that is there already is fine.

        Raises:
            CloudError: It cannot be made, or was given up meanwhile; nothing is left of it.
        """
        if row.state == VolumeState.WANTED:
            try:
                made = self._create_one(row)
            except ConPaaSError:
                self._destroy_quietly(row)
                raise
            Volume.update(cloud_id=made.id, size=made.size).where(Volume.id == row.id).execute()
            Volume.update(state=VolumeState.AVAILABLE.value).where(
                Volume.id == row.id, Volume.state == VolumeState.WANTED.value
            ).execute()
        row = Volume.get_by_id(row.id)
        if row.state not in _KEPT:
            self._destroy_quietly(row)
            raise CloudError(f"the volume {row.name} was given up while it was being created")
        return row

    def attach(self, row: Volume, machine: Machine, position: int) -> Volume:
        """Attach a volume to a machine, of whose node it is from now on.

        Raises:
            WrongStateError: It is attached elsewhere, or being destroyed.
            InvalidError: The machine is in another cloud.
            CloudError: The cloud refused; the volume is left detached.
        """
        self._require_kept(row)
        if row.state == VolumeState.ATTACHED and row.machine != machine.id:
            raise WrongStateError(
                f"the volume {row.name} is attached to machine {row.machine}: detach it first"
            )
        if row.cloud != machine.cloud:
            raise InvalidError(
                f"the volume {row.name} is in the cloud {row.cloud} and {machine.name} in "
                f"{machine.cloud}: a volume stays in its cloud"
            )
        if row.state == VolumeState.AVAILABLE and row.machine not in (None, machine.id):
            # An attachment elsewhere was cut off half-way.
            row = self.detach(row)
        Volume.update(machine=machine.id).where(
            Volume.id == row.id, Volume.state == VolumeState.AVAILABLE.value
        ).execute()
        try:
            device = self._attach_one(row, machine)
        except ConPaaSError:
            if row.state != VolumeState.ATTACHED:  # else it is in use there
                self._detach_quietly(row)
            raise
        with database.atomic():
            there = Machine.get_by_id(machine.id).state in Life.living()
            if there:
                Volume.update(
                    state=VolumeState.ATTACHED.value,
                    machine=machine.id,
                    device=device,
                    service=machine.service,
                    role=machine.role,
                    position=position,
                ).where(Volume.id == row.id, Volume.state.in_(_KEPT)).execute()
        if not there:
            self._detach_quietly(row)
            raise CloudError(f"{machine.name} was given up while {row.name} was being attached")
        row = Volume.get_by_id(row.id)
        self._require_kept(row)
        return row

    def detach(self, row: Volume) -> Volume:
        """Detach a volume; one that is not attached is fine.

        Raises:
            CloudError: Its cloud refused.
        """
        if row.cloud_id is not None:
            self._cloud(row).detach_volume(row.cloud_id)
        Volume.update(state=VolumeState.AVAILABLE.value, machine=None, device=None).where(
            Volume.id == row.id, Volume.state.in_(_KEPT)
        ).execute()
        return Volume.get_by_id(row.id)

    def grow(self, row: Volume, size: int) -> Volume:
        """Make a volume at least ``size`` MB large; one that is so already is left alone.

        Raises:
            InvalidError: The size is out of range.
            WrongStateError: It is being made or destroyed, or its cloud wants it detached first.
            CloudError: The cloud refused, or cannot do it; the volume is as it was.
        """
        self._require_size(size)
        self._require_kept(row)
        if size > row.size:
            grown = self._grow_one(row, size)
            # Of two that ask at once the larger wins, whoever is last.
            Volume.update(wanted=size, size=grown.size).where(
                Volume.id == row.id, Volume.size < grown.size
            ).execute()
        return Volume.get_by_id(row.id)

    def orphan(self, numbers: Sequence[int]) -> None:
        """Note that volumes wait for no node any more."""
        Volume.update(position=None).where(Volume.id.in_(numbers)).execute()

    def machines_gone(self, machines: Sequence[Machine]) -> None:
        """Note that machines went and took nothing with them: their volumes are detached."""
        Volume.update(state=VolumeState.AVAILABLE.value, machine=None, device=None).where(
            Volume.machine.in_([machine.id for machine in machines]), Volume.state.in_(_KEPT)
        ).execute()

    def destroy(self, rows: Sequence[Volume]) -> None:
        """Detach volumes and destroy them with their data; those that are gone are fine.

        Raises:
            CloudError: A cloud failed; what it kept stays noted, and is destroyed later.
        """
        numbers = [row.id for row in rows]
        Volume.update(state=VolumeState.DOOMED.value).where(Volume.id.in_(numbers)).execute()
        failures = []
        for row in Volume.select().where(Volume.id.in_(numbers)):
            try:
                self._destroy_one(row)
            except ConPaaSError as error:
                failures.append(f"{row.name}: {error}")
                continue
            Volume.update(
                state=VolumeState.GONE.value, held=None, machine=None, gone=self._clock()
            ).where(Volume.id == row.id).execute()
        if failures:
            raise CloudError("; ".join(failures))

    # -- what is asked of clouds --------------------------------------------------------------

    def _cloud(self, row: Volume) -> Cloud:
        try:
            return self._clouds[row.cloud]
        except KeyError:
            raise CloudError(
                f"the volume {row.name} is in the cloud {row.cloud}, which is not configured any "
                "more"
            ) from None

    def _create_one(self, row: Volume) -> CloudVolume:
        tags = {
            "conpaas-application": str(row.application_id),
            "conpaas-service": str(row.service),
            "conpaas-role": row.role,
            "conpaas-volume": str(row.id),
        }
        try:
            return self._cloud(row).create_volume(row.cloud_name, row.wanted, tags)
        except CloudError:
            # The answer alone may have got lost.
            if (found := self._find(row)) is None:
                raise
            return found

    def _attach_one(self, row: Volume, machine: Machine) -> str:
        cloud = self._cloud(row)
        there = machine.cloud_id
        if there is None:
            # It has joined, but the worker died that was to note what the cloud calls it.
            known = cloud.find_machine(machine.name)
            if known is None:
                raise CloudError(f"the cloud {cloud.name} has no machine {machine.name}")
            there = known.id
        try:
            return cloud.attach_volume(str(row.cloud_id), there)
        except CloudError:
            # The answer alone may have got lost.
            found = self._find(row)
            if found is None or found.machine != there or not found.device:
                raise
            return found.device

    def _grow_one(self, row: Volume, size: int) -> CloudVolume:
        try:
            return self._cloud(row).grow_volume(str(row.cloud_id), size)
        except CloudError:
            # The answer alone may have got lost.
            found = self._find(row)
            if found is None or found.size < size:
                raise
            return found

    def _destroy_one(self, row: Volume) -> None:
        cloud = self._cloud(row)
        # By name too: an answer that got lost leaves a volume whose id nobody wrote down.
        found = self._find(row)
        for volume_id in {row.cloud_id, found.id if found else None} - {None}:
            cloud.detach_volume(str(volume_id))
            cloud.destroy_volume(str(volume_id))

    def _find(self, row: Volume) -> CloudVolume | None:
        volumes = self._cloud(row).list_volumes()
        return next((volume for volume in volumes if volume.name == row.cloud_name), None)

    def _destroy_quietly(self, row: Volume) -> None:
        try:
            self.destroy([row])
        except ConPaaSError as error:
            logger.warning("volume %s is destroyed later: %s", row.cloud_name, error)

    def _detach_quietly(self, row: Volume) -> None:
        try:
            self.detach(row)
        except ConPaaSError as error:
            # Its record says where it may be attached: the next attachment detaches it first.
            logger.warning("volume %s is not detached: %s", row.cloud_name, error)

    def _require_size(self, size: int) -> None:
        most = self._config.limits.volume
        if not 0 < size <= most:
            raise InvalidError(f"a volume may have 1 to {most} MB, not {size}")

    def _require_kept(self, row: Volume) -> None:
        if row.state not in _KEPT:
            raise WrongStateError(f"the volume {row.name} is {row.state}")


def find_volume(application: int, number: int) -> Volume:
    """Return a volume of an application.

    Raises:
        NotFoundError: It has none of that number.
    """
    row: Volume | None = Volume.get_or_none(Volume.id == number, Volume.application == application)
    if row is None:
        raise NotFoundError(f"application {application} has no volume {number}")
    return row


def volumes_of(application: int, service: int | None = None) -> list[Volume]:
    """Return the volumes of an application that are not gone: of one service, or of all."""
    rows = Volume.select().where(
        Volume.application == application, Volume.state != VolumeState.GONE.value
    )
    if service is not None:
        rows = rows.where(Volume.service == service)
    return list(rows.order_by(Volume.id))


def volume_info(row: Volume) -> VolumeInfo:
    """Return a volume as managers see it."""
    return VolumeInfo(
        id=row.id,
        name=row.name,
        aid=row.application_id,
        sid=row.service,
        wanted=row.wanted,
        size=row.size,
        cloud=row.cloud,
        state=row.state,
        machine=row.machine,
        device=row.device,
        role=row.role,
        position=row.position,
    )
