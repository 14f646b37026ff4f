"""The contract of a kind of cloud: what the director asks of the place that machines come from."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from conpaas.errors import CloudError

#: Tag that every machine and volume of a deployment carries; its value is the deployment's name.
DEPLOYMENT_TAG = "conpaas-deployment"


class MachineState(enum.StrEnum):
    """What a cloud says about a machine."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CloudMachine:
    """A machine as its cloud knows it.

    ``id`` is the cloud's; ``name`` is ours and unique among living machines of a deployment.
    ``address`` is where users and other machines reach it, None while the cloud has not said.
    ``created`` is in seconds since 1970, UTC.
    """

    id: str
    name: str
    state: MachineState
    address: str | None
    private_address: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0


@dataclass(frozen=True)
class CloudVolume:
    """A volume as its cloud knows it; ``size`` in MB, ``machine`` the id it is attached to."""

    id: str
    name: str
    size: int
    machine: str | None = None
    device: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0


@dataclass(frozen=True)
class Size:
    """A kind of machine to choose from; ``memory`` and ``disk`` in MB (disk 0: not limited)."""

    name: str
    memory: int
    cpus: int
    disk: int = 0


class Cloud(abc.ABC):
    """A configured place that machines come from.

    One object for each ``[clouds.<name>]`` section of the director's configuration.  Creating the
    object must be cheap and must not talk to the cloud.  Every method may raise
    :class:`~conpaas.errors.CloudError` with the provider's own words; a time-out is a CloudError
    too.  Methods are called from several threads and processes at once.

    Must define:
        ``kind``, ``Settings``, ``create_machine``, ``list_machines``, ``destroy_machine``,
        ``create_volume``, ``list_volumes``, ``attach_volume``, ``detach_volume``,
        ``destroy_volume``, ``sizes``.

    May override:
        ``find_machine``, ``start_machine``, ``console``, ``problems``, ``grow_volume``.

    May set:
        ``keeps_addresses``, where it can give a machine the address that an earlier one had.
        ``grows_volumes``, where it overrides ``grow_volume``.

    Given to you:
        ``self.name`` (the section's name), ``self.settings`` (an instance of ``Settings``),
        ``self.deployment`` (whose machines these are: tag with it, list only what carries it).
    """

    #: The value of ``driver`` in the configuration.
    kind: ClassVar[str]
    #: A frozen dataclass: the other keys of the section, with their defaults.
    Settings: ClassVar[type[Any]]

    #: Whether ``create_machine`` gives the address that it is asked for, when that is free.
    keeps_addresses: ClassVar[bool] = False

    #: Whether ``grow_volume`` makes volumes larger, detached ones at least.
    grows_volumes: ClassVar[bool] = False

    def __init__(self, name: str, settings: Any, deployment: str) -> None:
        self.name = name
        self.settings = settings
        self.deployment = deployment

    @abc.abstractmethod
    def create_machine(
        self,
        name: str,
        user_data: str,
        tags: Mapping[str, str],
        size: str | None = None,
        address: str | None = None,
    ) -> CloudMachine:
        """Create and boot a machine with the cloud's image.

        Args:
            name: Unique among the deployment's machines.  When a machine of this name exists
                already (an earlier answer got lost), it is returned and none is made.
            user_data: cloud-init's, under 4 KB.
            tags: Put on the machine beside :data:`DEPLOYMENT_TAG`.
            size: One of :meth:`sizes`; None takes the configured one.
            address: Which to give it, if the cloud can and nothing has it; otherwise the machine
                gets another one, as with None.

        Raises:
            InvalidError: There is no such size.
            CloudError: The provider refused; nothing is left behind.
        """

    @abc.abstractmethod
    def list_machines(self) -> list[CloudMachine]:
        """Return the deployment's machines, stopped ones too, sorted by name."""

    def find_machine(self, name: str) -> CloudMachine | None:
        """Return the deployment's machine of that name, if there is one."""
        return next((m for m in self.list_machines() if m.name == name), None)

    @abc.abstractmethod
    def destroy_machine(self, machine_id: str) -> None:
        """Destroy a machine; its volumes are detached and kept.  One that is gone is fine."""

    def start_machine(self, machine_id: str) -> None:  # noqa: B027 - most clouds restart their own
        """Boot a machine that is stopped (after its host restarted); running is fine."""

    def console(self, machine_id: str) -> str:
        """Return the last lines of the machine's console, empty when the cloud has none."""
        return ""

    @abc.abstractmethod
    def create_volume(self, name: str, size: int, tags: Mapping[str, str]) -> CloudVolume:
        """Create a volume of at least ``size`` MB; the answer tells the true size.

        As with machines, a volume of this name that exists already is returned.
        """

    @abc.abstractmethod
    def list_volumes(self) -> list[CloudVolume]:
        """Return the deployment's volumes, sorted by name."""

    @abc.abstractmethod
    def attach_volume(self, volume_id: str, machine_id: str) -> str:
        """Attach a volume and return the path of its device, or of its mount, in the machine.

        Attaching where it is attached already returns the same path.
        """

    @abc.abstractmethod
    def detach_volume(self, volume_id: str) -> None:
        """Detach a volume; one that is not attached is fine."""

    @abc.abstractmethod
    def destroy_volume(self, volume_id: str) -> None:
        """Destroy a volume and its data; one that is gone is fine.

        Raises:
            CloudError: It is attached to a machine.
        """

    def grow_volume(self, volume_id: str, size: int) -> CloudVolume:
        """Make a volume larger: at least ``size`` MB; the answer tells the true size.

        It keeps what is on it, and goes on being used where it is attached.  The machine sees a
        larger device afterwards; where the cloud has mounted it, its file system has grown too.
        One that is as large already is left alone.

        Raises:
            WrongStateError: It is attached, and can be made larger when it is not.
            CloudError: It cannot be done; the volume is as it was.
        """
        raise CloudError(
            f"the cloud {self.name} cannot make volumes larger: create a larger one and copy what "
            "is on this one"
        )

    @abc.abstractmethod
    def sizes(self) -> list[Size]:
        """Return the sizes of machines to choose from, smallest first."""

    def problems(self) -> list[str]:
        """Return what is wrong with the configuration or the cloud, a sentence each.

        Called by ``cps-director check``; may talk to the cloud.
        """
        return []
