"""What a service that takes code offers its users for git."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from conpaas.agent.base import ServiceAgent
from conpaas.errors import TooLargeError
from conpaas.features.git import host_key
from conpaas.features.git.key_ring import STORE, KeyRing, TrustedKey
from conpaas.manager.tools import ManagerTools
from conpaas.rpc import Upload, expose
from conpaas.ssh_keys import parse_all

A = TypeVar("A", bound=ServiceAgent)
MAX_KEY_FILE = 1 << 19  #: bytes


@dataclass(frozen=True)
class AddedKeys:
    """How many keys are new."""

    added: int


@dataclass(frozen=True)
class RepositoryInfo:
    """How to push code for a service.

    ``clone`` is the command that gets the repository at ``url``; the service's code goes into
    ``directory`` of it; ``host_key`` is the fingerprint that ssh shows at the first connection.
    """

    clone: str
    url: str
    directory: str
    host_key: str


class RepositoryOperations(ManagerTools[A]):
    """Keys and address of the application's git repository; all its services share them.

    Given to users:
        ``get_repository``, ``upload_key``, ``list_keys``, ``remove_key``.
    """

    @expose(reads=True)
    def get_repository(self) -> RepositoryInfo:
        """Tell how to push code with git: the address, and the directory for this service.

        Who may: whoever has one of the keys of list_keys, or of the owner's account.
        """
        url = f"git@{self.place.address}:code"
        key = host_key.public_key(self.place.shared(host_key.STORE))
        return RepositoryInfo(
            clone=f"git clone {url}",
            url=url,
            directory=str(self.number),
            host_key=key.fingerprint if key else "",
        )

    @expose(done="{added} keys added to authorized_keys.")
    def upload_key(
        self,
        filename: Annotated[Upload, "Public keys, one a line, as in ~/.ssh/id_ed25519.pub"],
    ) -> AddedKeys:
        """Trust SSH keys: who has one may push code for every service of the application."""
        content = filename.stream.read(MAX_KEY_FILE + 1)
        if len(content) > MAX_KEY_FILE:
            raise TooLargeError(f"a file of keys has at most {MAX_KEY_FILE >> 10} kB")
        added = self._ring.add(parse_all(content))
        self.log.info("%d SSH keys added", added)
        return AddedKeys(added)

    @expose(reads=True)
    def list_keys(self) -> list[TrustedKey]:
        """List the trusted SSH keys of the application; those of your account count as well."""
        return self._ring.all()

    @expose(done="Key {key} removed.", confirm="Who has the key cannot push code any more.")
    def remove_key(self, key: Annotated[int, "Id of the key, as list_keys shows it"]) -> None:
        """Trust an SSH key no more."""
        gone = self._ring.remove(key)
        self.log.info("the SSH key %s is removed", gone.fingerprint)

    @property
    def _ring(self) -> KeyRing:
        return KeyRing(self.place.shared(STORE))
