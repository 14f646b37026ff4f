"""The far side of a cloud in memory: what exists there, and what shall go wrong."""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from conpaas.clouds.base import Cloud, CloudMachine, CloudVolume, MachineState
from conpaas.errors import CloudError, InvalidError


@dataclass(frozen=True)
class MemorySettings:
    """The settings of a cloud in memory.

    Args:
        size: The size of machines when nobody asks for another.
        subnet: Where its machines' addresses are from; nothing is ever sent there.
        quota: How many machines there may be at once; 0 does not limit them.
    """

    size: str = "small"
    subnet: str = "198.18.0.0/15"
    quota: int = 0


class MemoryProvider:
    """The far side of a cloud in memory: what exists, and what shall go wrong.

    It outlives the :class:`MemoryCloud` objects that talk to it, as a real provider outlives the
    director: hand the same one to the next.

    Given to you:
        ``on_create(machine, user_data)``, ``on_start(machine)``, ``on_stop(machine)`` and
        ``on_destroy(machine)``: set them to be told when a machine boots, is started again, stops
        and goes.  They are called without any lock; what they raise reaches the caller.
    """

    def __init__(
        self,
        settings: MemorySettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or MemorySettings()
        self.clock = clock
        self.on_create: Callable[[CloudMachine, str], None] = lambda machine, user_data: None
        self.on_start: Callable[[CloudMachine], None] = lambda machine: None
        self.on_stop: Callable[[CloudMachine], None] = lambda machine: None
        self.on_destroy: Callable[[CloudMachine], None] = lambda machine: None
        self.machines: dict[str, CloudMachine] = {}
        self.volumes: dict[str, CloudVolume] = {}
        self.consoles: dict[str, str] = {}
        self.lock = threading.RLock()
        self._failures: dict[str, collections.deque[str]] = collections.defaultdict(
            collections.deque
        )
        self._boots: collections.deque[tuple[MachineState, str]] = collections.deque()
        self._lost = 0
        self._promised: collections.deque[str] = collections.deque()
        self._numbers = itertools.count(1)
        self._addresses = _in_turn(self.settings.subnet)

    # --- faults

    def fail_next(self, operation: str, words: str, times: int = 1) -> None:
        """Let the next calls of an operation fail with a provider's words, and do nothing.

        Args:
            operation: The name of a method of :class:`~conpaas.clouds.base.Cloud`.
            words: What the error quotes.
            times: How many calls.
        """
        if not hasattr(Cloud, operation):
            raise InvalidError(f"a cloud has no operation {operation!r}")
        self._failures[operation].extend([words] * times)

    def lose_next_answer(self, times: int = 1) -> None:
        """Let the next creations succeed and tell their callers that no answer came in time."""
        self._lost += times

    def get_stuck_next(self) -> None:
        """Let the next machine stay pending for ever; it never boots."""
        self._boots.append((MachineState.PENDING, ""))

    def die_in_boot_next(self, console: str = "Kernel panic - not syncing\n") -> None:
        """Let the next machine fail as it boots, with these last words on its console."""
        self._boots.append((MachineState.FAILED, console))

    def give_address_next(self, address: str) -> None:
        """Let the next machine have this address, even if another one has it."""
        self._promised.append(address)

    def vanish(self, machine_id: str) -> None:
        """Make a machine go as if someone had deleted it by hand."""
        self.remove(machine_id)

    def stop(self, machine_id: str) -> None:
        """Stop a machine, as the restart of its host does."""
        machine = dataclasses.replace(self.machines[machine_id], state=MachineState.STOPPED)
        self.on_stop(self.put(machine))

    # --- what the cloud asks

    def check(self, operation: str) -> None:
        """Raise the failure that was ordered for this operation, if one was."""
        with self.lock:
            failures = self._failures[operation]
            words = failures.popleft() if failures else None
        if words is not None:
            raise CloudError(f"the cloud could not {operation.replace('_', ' ')}: {words}")

    def answer(self, name: str) -> None:
        """Raise what a caller sees whose answer gets lost, if that was ordered."""
        with self.lock:
            lost = self._lost > 0
            self._lost -= lost
        if lost:
            raise CloudError(f"the cloud did not answer in time about {name}")

    def put(self, machine: CloudMachine) -> CloudMachine:
        """Keep a machine as it is now."""
        with self.lock:
            self.machines[machine.id] = machine
        return machine

    def make(self, name: str, tags: Mapping[str, str], wanted: str | None = None) -> CloudMachine:
        """Make a machine that boots, or does not, as ordered; at an address if that is free."""
        with self.lock:
            if 0 < self.settings.quota <= len(self.machines):
                raise CloudError(
                    f"the cloud could not create {name}: quota exceeded, "
                    f"{len(self.machines)} of {self.settings.quota} machines"
                )
            state, console = self._boots.popleft() if self._boots else (MachineState.RUNNING, "")
            promised = bool(self._promised)
            address = self._promised.popleft() if promised else self._free_address(wanted)
            machine_id = f"m-{next(self._numbers)}"
            self.consoles[machine_id] = console
            return self.put(
                CloudMachine(
                    id=machine_id,
                    name=name,
                    state=state,
                    address=None if state is MachineState.PENDING else address,
                    private_address=None if state is MachineState.PENDING else address,
                    tags=dict(tags),
                    created=self.clock(),
                )
            )

    def make_volume(self, name: str, size: int, tags: Mapping[str, str]) -> CloudVolume:
        """Make a volume."""
        with self.lock:
            volume_id = f"v-{next(self._numbers)}"
            volume = CloudVolume(
                volume_id, name, max(size, 1), tags=dict(tags), created=self.clock()
            )
            self.volumes[volume_id] = volume
            return volume

    def remove(self, machine_id: str) -> None:
        """Remove a machine, and take its volumes from it."""
        with self.lock:
            machine = self.machines.pop(machine_id, None)
            self.consoles.pop(machine_id, None)
            for volume in list(self.volumes.values()):
                if volume.machine == machine_id:
                    self.place(volume, None)
        if machine is not None:
            self.on_destroy(machine)

    def place(self, volume: CloudVolume, machine_id: str | None) -> CloudVolume:
        """Say where a volume is attached."""
        device = f"/media/{volume.id}" if machine_id else None
        placed = dataclasses.replace(volume, machine=machine_id, device=device)
        with self.lock:
            self.volumes[volume.id] = placed
        return placed

    def _free_address(self, wanted: str | None) -> str:
        taken = {machine.address for machine in self.machines.values()}
        if wanted is not None and wanted not in taken and _is_in(wanted, self.settings.subnet):
            return wanted
        return next(address for address in self._addresses if address not in taken)


def _is_in(address: str, subnet: str) -> bool:
    try:
        return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(subnet)
    except ValueError:
        return False


def _in_turn(subnet: str) -> Iterator[str]:
    network = ipaddress.IPv4Network(subnet)
    while True:
        yield from (str(network[index]) for index in range(2, network.num_addresses - 1))
