"""The life of machines: created, joined, destroyed; never leaked, never lost."""

from __future__ import annotations

import enum
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from conpaas.api import MachineInfo
from conpaas.clouds.base import Cloud, CloudMachine, MachineState
from conpaas.director.certificates import Certificates
from conpaas.director.config import DirectorConfig
from conpaas.director.models import Application, Machine, database
from conpaas.errors import CloudError, ConPaaSError, InvalidError
from conpaas.machine.user_data import render
from conpaas.nearest import did_you_mean
from conpaas.rpc import Job, Progress

AT_ONCE = 10  #: how many calls to clouds are under way at once for one job
LOOK_EVERY = 2.0  #: seconds between looks at a booting machine through its cloud
logger = logging.getLogger(__name__)


class Life(enum.StrEnum):
    """Where a machine of ours is in its life."""

    WANTED = "wanted"  #: its cloud is being asked for it
    BOOTING = "booting"  #: it is there and has not joined yet
    RUNNING = "running"  #: it has joined
    DOOMED = "doomed"  #: it is being destroyed
    GONE = "gone"

    @staticmethod
    def living() -> list[str]:
        """Return the states of machines that count."""
        return [Life.WANTED.value, Life.BOOTING.value, Life.RUNNING.value]


class MachineRoom:
    """Creates machines, waits until they have joined, destroys them.

    Args:
        config: Of the director.
        clouds: By name.
        certificates: Issues and revokes.
        clock, sleep: Of the waiting.
        wanted: Called with new machines, in the transaction that notes them; it may refuse.
        gone: Called with machines that are gone, in the transaction that notes it.
    """

    def __init__(
        self,
        config: DirectorConfig,
        clouds: Mapping[str, Cloud],
        certificates: Certificates,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        wanted: Callable[[list[Machine]], None] = lambda machines: None,
        gone: Callable[[list[Machine]], None] = lambda machines: None,
    ) -> None:
        self._config = config
        self._clouds = clouds
        self._certificates = certificates
        self._wanted = wanted
        self._gone = gone
        self._clock = clock
        self._sleep = sleep

    def cloud(self, name: str | None) -> Cloud:
        """Return the cloud of that name, the default one for None or "default".

        Raises:
            InvalidError: There is none.
        """
        wanted = name if name not in (None, "", "default") else self._config.director.default_cloud
        if wanted not in self._clouds:
            raise InvalidError(
                f"there is no cloud {str(wanted)[:60]!r}{did_you_mean(str(wanted), self._clouds)}"
            )
        return self._clouds[str(wanted)]

    def want(
        self,
        application: Application,
        service: int,
        kind: str,
        roles: Sequence[str],
        request: str,
        cloud: str | None,
        takes_over: bool = False,
        lost: Sequence[Machine | None] = (),
    ) -> list[Machine]:
        """Note that machines shall be; the same request gets the same machines.

        Args:
            application: Whose they are.
            service: Number of the service, 0 for the manager.
            kind: What stands at the end of their names: ``mgr`` or the service type.
            roles: One for each machine.
            request: The key of the request.
            cloud: Name of the cloud, None for the application's.
            takes_over: The machine is a manager's that replaces a lost one.
            lost: For each role the machine whose cloud the new one shall be in, if any.
        """
        place = self.cloud(cloud or application.cloud)
        with database.atomic():
            found = list(_asked(application, request))
            if found:
                return found
            for role, before in zip(roles, lost or [None] * len(roles), strict=True):
                row = Machine.create(
                    application=application,
                    service=service,
                    role=role,
                    cloud=place.name if before is None else before.cloud,
                    state=Life.WANTED.value,
                    request=request,
                    takes_over=takes_over,
                    created=self._clock(),
                )
                part = f"s{service}-{kind}" if service else kind
                row.name = (
                    f"{self._config.director.name}-u{application.user_id}-a{application.id}"
                    f"-{part}-{row.id}"
                )
                row.save(only=[Machine.name])
            machines = list(_asked(application, request))
            self._wanted(machines)
            return machines

    def boot(
        self, machines: Sequence[Machine], addresses: Mapping[int, str] | None = None
    ) -> Job[list[Machine]]:
        """Create machines that shall be and wait until they have joined.

        Args:
            machines: Which.
            addresses: Those that they shall have if possible, by the machine's number.

        Raises:
            CloudError: One failed; then all of them are destroyed.
        """
        try:
            yield Progress(0, f"creating {', '.join(m.name for m in machines)}")
            self._create([m for m in machines if m.state == Life.WANTED], addresses or {})
            yield from self._wait_joined([m.id for m in machines])
        except Exception:
            try:
                self.destroy(machines)
            except ConPaaSError as another:
                logger.warning("they are swept later: %s", another)
            raise
        return list(Machine.select().where(Machine.id.in_([m.id for m in machines])))

    def destroy(self, machines: Sequence[Machine]) -> None:
        """Destroy machines and revoke their certificates; those that are gone are fine.

        Raises:
            CloudError: A cloud failed; what it kept stays noted, and is swept later.
        """
        numbers = [machine.id for machine in machines]
        # Those noted as gone too: a creation may have come through after it was given up.
        rows = list(Machine.select().where(Machine.id.in_(numbers)))
        self.doom([row.id for row in rows])
        failures = []
        for row, error in _each(self._destroy_one, rows):
            if error is None:
                with database.atomic():
                    Machine.update(state=Life.GONE.value, gone=self._clock()).where(
                        Machine.id == row.id
                    ).execute()
                    self._gone([row])
            else:
                failures.append(f"{row.name}: {error}")
        if failures:
            raise CloudError("; ".join(failures))

    def doom(self, numbers: Sequence[int]) -> None:
        """Note that machines are to be destroyed, and shut them out at once."""
        with database.atomic():
            Machine.update(state=Life.DOOMED.value, token=None).where(
                Machine.id.in_(numbers)
            ).execute()
            self._certificates.revoke_machines(numbers)

    def is_gone(self, row: Machine) -> bool:
        """Whether the cloud does not have a machine any more, or only what is left of it."""
        found = self.cloud(row.cloud).find_machine(row.name)
        return found is None or found.state is MachineState.FAILED

    # -- creating -----------------------------------------------------------------------------

    def _create(self, rows: Sequence[Machine], addresses: Mapping[int, str]) -> None:
        tokens = {row.id: self._token(row) for row in rows}
        failures = []
        for row, error in _each(
            lambda row: self._create_one(row, tokens[row.id], addresses.get(row.id)), rows
        ):
            if error is not None:
                failures.append(f"{row.name}: {error}")
            elif not self._note_created(row):
                failures.append(f"{row.name}: it was given up while it was being created")
        if failures:
            raise CloudError("; ".join(failures))

    def _token(self, row: Machine) -> str | None:
        """Return a new token; None when the machine is there, and has one."""
        if row.token is not None and self.cloud(row.cloud).find_machine(row.name) is not None:
            return None
        token = secrets.token_urlsafe(32)
        Machine.update(
            token=token_digest(token),
            token_expires=self._clock() + self._config.machines.token_lifetime,
        ).where(Machine.id == row.id).execute()
        return token

    def _create_one(self, row: Machine, token: str | None, address: str | None) -> None:
        cloud = self.cloud(row.cloud)
        if token is None:
            found = cloud.find_machine(row.name)
        else:
            found = cloud.create_machine(
                row.name,
                render(
                    self._config.director.url, self._certificates.authority.ca_pem, token, row.name
                ),
                {
                    "conpaas-application": str(row.application_id),
                    "conpaas-service": str(row.service),
                    "conpaas-role": row.role,
                    "conpaas-machine": str(row.id),
                },
                **({"address": address} if address and cloud.keeps_addresses else {}),
            )
        if found is None:
            raise CloudError("it vanished while it was being created")
        row.cloud_id, row.address = found.id, found.address

    def _note_created(self, row: Machine) -> bool:
        # Only what is still wanted: it may have joined already, or been given up meanwhile.
        Machine.update(cloud_id=row.cloud_id, address=row.address).where(
            Machine.id == row.id
        ).execute()
        Machine.update(state=Life.BOOTING.value).where(
            Machine.id == row.id, Machine.state == Life.WANTED.value
        ).execute()
        return Machine.get_by_id(row.id).state in Life.living()

    def _wait_joined(self, numbers: Sequence[int]) -> Job[None]:
        until = self._clock() + self._config.machines.boot_timeout
        look = self._clock() + LOOK_EVERY
        pause = 0.02
        while True:
            rows = list(Machine.select().where(Machine.id.in_(numbers)))
            waiting = [row for row in rows if row.state != Life.RUNNING]
            there = len(rows) - len(waiting)
            yield Progress(20 + 80 * there // len(rows), f"{there} of {len(rows)} have joined")
            if not waiting:
                return
            if any(row.state in (Life.DOOMED, Life.GONE) for row in waiting):
                raise CloudError("the machines were given up while they were booting")
            if self._clock() > look:
                self._look_at(waiting)
                look = self._clock() + LOOK_EVERY
            if self._clock() > until:
                raise CloudError(
                    f"after {self._config.machines.boot_timeout:.0f} s these have not joined: "
                    + "; ".join(self._last_words(row) for row in waiting)
                )
            self._sleep(pause)
            pause = min(pause * 1.1, 0.25)

    def _look_at(self, rows: Sequence[Machine]) -> None:
        """Raise when a machine that has not joined is not running any more."""
        for row in rows:
            found = self.cloud(row.cloud).find_machine(row.name)
            if found is None:
                raise CloudError(f"{row.name} vanished while it was booting")
            if found.state in (MachineState.STOPPED, MachineState.FAILED):
                raise CloudError(f"{row.name} died while it was booting: {self._last_words(row)}")
            if found.address and not row.address:
                Machine.update(address=found.address).where(Machine.id == row.id).execute()

    def _last_words(self, row: Machine) -> str:
        try:
            words = self.cloud(row.cloud).console(row.cloud_id or "").strip()
        except ConPaaSError as error:
            words = f"(its console cannot be read: {error})"
        return f"{row.name}: {words[-1000:] or 'it said nothing'}"

    def _destroy_one(self, row: Machine) -> None:
        cloud = self.cloud(row.cloud)
        # By name too: an answer that got lost leaves a machine whose id nobody wrote down.
        found: CloudMachine | None = cloud.find_machine(row.name)
        for machine_id in {row.cloud_id, found.id if found else None} - {None}:
            cloud.destroy_machine(str(machine_id))


def token_digest(token: str) -> str:
    """Return what is kept of a joining token."""
    return hashlib.sha256(token.encode()).hexdigest()


def machine_info(row: Machine) -> MachineInfo:
    """Return a machine as users see it."""
    return MachineInfo(
        id=row.id,
        name=row.name,
        aid=row.application_id,
        sid=row.service,
        role=row.role,
        address=row.address,
        cloud=row.cloud,
        state=row.state,
    )


def _asked(application: Application, request: str) -> Sequence[Machine]:
    found: Sequence[Machine] = (
        Machine.select()
        .where(Machine.application == application, Machine.request == request)
        .order_by(Machine.id)
    )
    return found


def _each(
    work: Callable[[Machine], None], rows: Sequence[Machine]
) -> list[tuple[Machine, ConPaaSError | None]]:
    """Do something to each machine, several at once; return each with its error."""

    def attempt(row: Machine) -> ConPaaSError | None:
        try:
            work(row)
        except ConPaaSError as error:
            return error
        return None

    if not rows:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(rows)), thread_name_prefix="cloud") as pool:
        return list(zip(rows, pool.map(attempt, rows), strict=True))
