"""What the director does for managers, each for its own application only."""

from __future__ import annotations

import hashlib
from typing import Any

from conpaas import api
from conpaas.api import MachineInfo, ServiceInfo, VolumeInfo
from conpaas.director import keys
from conpaas.director.jobs import Scope
from conpaas.director.leaving import is_shut_out, refuse_shut_out
from conpaas.director.machines import Life, machine_info
from conpaas.director.models import Application, Machine, Service, database
from conpaas.director.objects import APPLICATION, ApiObject
from conpaas.director.volumes import find_volume, volume_info, volumes_of
from conpaas.errors import DeniedError, InvalidError, NotFoundError
from conpaas.rpc import Download, Job, JobState, Operation, Progress, Upload
from conpaas.state import State


class DeskObject(ApiObject, api.ManagerDesk):
    """``manager``."""

    @property
    def application(self) -> Application:
        """The application whose manager is calling."""
        if self.caller.application is None:
            raise DeniedError("only the manager of an application may call here")
        found = APPLICATION.first(Application, self.caller.application)
        if found is None:
            raise NotFoundError("the application does not exist any more")
        return found

    def create_machines(
        self,
        service: int,
        roles: tuple[str, ...],
        key: str,
        cloud: str | None = None,
        replaces: tuple[int, ...] = (),
    ) -> Job[tuple[MachineInfo, ...]]:
        """Create machines for a service and wait until each has joined."""
        application = self.application
        refuse_shut_out(application.user_id)
        found = Service.get_or_none(Service.application == application, Service.number == service)
        if found is None:
            raise NotFoundError(f"application {application.id} has no service {service}")
        # Noted before it is answered: whoever stops the service from now on finds them.
        lost = self._lost(service, roles, replaces)
        rows = self.director.room.want(
            application, service, found.type, roles, key, cloud, lost=lost
        )
        yield Progress(0, "asking the cloud")
        if living := [row for row in lost if row is not None and row.state != Life.GONE]:
            yield Progress(0, f"giving {', '.join(row.name for row in living)} back first")
            self.director.room.destroy(living)  # it has the address that its successor shall have
        heirs = zip(rows, lost, strict=True)
        addresses = {row.id: one.address for row, one in heirs if one is not None and one.address}
        rows = yield from self.director.room.boot(rows, addresses)
        return tuple(machine_info(row) for row in rows)

    def keeps_addresses(self, cloud: str) -> bool:
        """Tell whether a cloud can give a machine the address that a lost one had."""
        return self.director.room.cloud(cloud).keeps_addresses

    def _lost(
        self, service: int, roles: tuple[str, ...], replaces: tuple[int, ...]
    ) -> list[Machine | None]:
        """Return for each role the machine that is replaced, None where there is none."""
        if len(replaces) not in (0, len(roles)):
            raise InvalidError("replaces: there must be a number for each role")
        rows = Machine.select().where(
            Machine.id.in_(replaces),
            Machine.application == self.application,
            Machine.service == service,
        )
        found = {row.id: row for row in rows}
        return [found.get(number) for number in replaces or (0,) * len(roles)]

    def remove_machines(self, machines: tuple[int, ...]) -> Job[None]:
        """Destroy machines of the application."""
        yield Progress(0, "giving machines back")
        rows = Machine.select().where(
            Machine.id.in_(machines),
            Machine.application == self.application,
            Machine.service != 0,
        )
        self.director.room.destroy(list(rows))

    def keep_machines(self, machines: tuple[int, ...], keys: tuple[str, ...]) -> None:
        """Doom the others; the sweeper destroys them: nobody waits for it."""
        others = Machine.select().where(
            Machine.application == self.application,
            Machine.service != 0,
            Machine.state.in_(Life.living()),
            Machine.id.not_in(machines),
            Machine.request.not_in(keys),
        )
        self.director.room.doom([row.id for row in others])

    def list_machines(self, service: int | None = None) -> tuple[MachineInfo, ...]:
        """List the living machines of the application's services, as its clouds tell."""
        rows = Machine.select().where(
            Machine.application == self.application,
            Machine.state.in_(Life.living()),
            Machine.service != 0,
        )
        if service is not None:
            rows = rows.where(Machine.service == service)
        rows = list(rows.order_by(Machine.id))
        there = {
            (name, machine.name)
            for name in {row.cloud for row in rows}
            for machine in self.director.room.cloud(name).list_machines()
        }
        return tuple(
            machine_info(row)
            for row in rows
            if (row.cloud, row.name) in there or row.state != Life.RUNNING
        )

    def list_services(self) -> tuple[ServiceInfo, ...]:
        """List the services that the application shall have."""
        rows = Service.select().where(Service.application == self.application)
        return tuple(
            ServiceInfo(row.application_id, row.number, row.type, row.name, row.state)
            for row in rows.order_by(Service.number)
        )

    def hand_over(self, states: dict[str, State], snapshot: Upload) -> None:
        """Keep the manager's state."""
        application = self.application
        if strange := [number for number in states if not number.isdecimal()]:
            raise InvalidError(f"states: {strange[0][:20]!r} is not the number of a service")
        self.director.files(application.id).put_snapshot(snapshot.stream)
        with database.atomic():
            for number, state in states.items():
                Service.update(state=state.value).where(
                    Service.application == application, Service.number == int(number)
                ).execute()

    def take_over(self) -> Download:
        """Return the state that was handed over last."""
        return self.director.files(self.application.id).snapshot()

    def put_blob(self, digest: str, content: Upload) -> None:
        """Keep a file."""
        self.director.files(self.application.id).put(digest, content.stream)

    def get_blob(self, digest: str) -> Download:
        """Return a file."""
        return self.director.files(self.application.id).get(digest)

    def delete_blob(self, digest: str) -> None:
        """Forget a file."""
        self.director.files(self.application.id).delete(digest)

    def list_volumes(self) -> tuple[VolumeInfo, ...]:
        """List the volumes of all services of the application."""
        return tuple(volume_info(row) for row in volumes_of(self.application.id))

    def create_volume(
        self, machine: int, name: str, size: int, position: int, key: str
    ) -> Job[VolumeInfo]:
        """Create a volume; nothing is left of one that cannot be created."""
        # Noted before it is answered: whoever removes the service from now on finds it.
        row = self.director.volumes.want(self._machine(machine), name, size, position, key)
        yield Progress(0, f"asking the cloud {row.cloud} for a volume of {row.wanted} MB")
        return volume_info(self.director.volumes.create(row))

    def attach_volume(self, volume: int, machine: int, position: int) -> Job[VolumeInfo]:
        """Attach a volume to a machine, of whose node it is from now on."""
        row, there = find_volume(self.application.id, volume), self._machine(machine)
        yield Progress(0, f"attaching the volume {row.name} to {there.name}")
        return volume_info(self.director.volumes.attach(row, there, position))

    def detach_volume(self, volume: int) -> Job[VolumeInfo]:
        """Detach a volume."""
        row = find_volume(self.application.id, volume)
        yield Progress(0, f"detaching the volume {row.name}")
        return volume_info(self.director.volumes.detach(row))

    def grow_volume(self, volume: int, size: int) -> Job[VolumeInfo]:
        """Make a volume larger."""
        row = find_volume(self.application.id, volume)
        yield Progress(0, f"asking the cloud {row.cloud} for {size} MB in {row.name}")
        return volume_info(self.director.volumes.grow(row, size))

    def orphan_volumes(self, volumes: tuple[int, ...]) -> None:
        """Note that volumes wait for no node any more."""
        application = self.application.id
        self.director.volumes.orphan([find_volume(application, n).id for n in volumes])

    def destroy_volume(self, volume: int) -> Job[None]:
        """Detach a volume and destroy it with its data."""
        row = find_volume(self.application.id, volume)
        yield Progress(0, f"destroying the volume {row.name}")
        self.director.volumes.destroy([row])

    def _machine(self, number: int) -> Machine:
        found: Machine | None = Machine.get_or_none(
            Machine.id == number, Machine.application == self.application, Machine.service != 0
        )
        if found is None:
            raise NotFoundError(f"the application has no machine {number}")
        return found

    def list_keys(self) -> tuple[str, ...]:
        """Return the SSH keys of the application's owner; none of one who is disabled."""
        owner = self.application.user_id
        return () if is_shut_out(owner) else tuple(row.line for row in keys.of_user(owner))

    # -- jobs: several may run at once, and the application's state is not theirs ----------------

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return what a job changes: the machines of one request."""
        number = self.application.id
        if operation.name == "create_machines":
            return Scope(f"machines {arguments['key'][:64]} of {number}", number, same=True)
        if "volume" in operation.name:
            known = [name for name in ("volume", "machine", "key") if name in arguments]
            about = " ".join(str(arguments[name])[:64] for name in known)
            return Scope(f"{operation.name} {about} of {number}", number, same=True)
        wanted = "-".join(str(machine) for machine in sorted(arguments["machines"]))
        # A digest: two long lists that begin alike are two removals.
        which = hashlib.sha256(wanted.encode()).hexdigest()[:32]
        return Scope(f"removal of machines {which} of {number}", number, same=True)

    def permit(self, operation: Operation, scope: Scope) -> None:
        """Permit in any state."""

    def begin(self, operation: Operation, scope: Scope) -> str | None:
        """Enter no state."""
        return None

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Leave no state."""
