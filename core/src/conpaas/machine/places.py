"""Where things are on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conpaas import files
from conpaas.supervisor.s6 import Supervisor


@dataclass(frozen=True)
class Places:
    """The machine's files, all under one root (``/``, but for tests)."""

    root: Path = Path("/")

    @property
    def configuration(self) -> Path:
        """Certificates, and what the manager or agent is told."""
        return self.root / "etc/conpaas"

    @property
    def join_file(self) -> Path:
        """Whom to join, as long as that has not happened."""
        return self.configuration / "join.json"

    @property
    def state(self) -> Path:
        """What this machine keeps over restarts."""
        return self.root / "var/lib/conpaas"

    @property
    def sockets(self) -> Path:
        """Unix sockets of our servers; empty after a restart."""
        return self.root / "run/conpaas"

    @property
    def seed(self) -> Path:
        """What the cloud tells the machine."""
        return self.root / "var/lib/cloud/seed/nocloud/user-data"

    @property
    def supervisor(self) -> Supervisor:
        """What keeps the machine's programs running."""
        return Supervisor(self.state / "service", self.root / "var/log/conpaas")

    @property
    def identity(self) -> IdentityFiles:
        """Our key and certificates."""
        return IdentityFiles(self.configuration)


@dataclass(frozen=True)
class IdentityFiles:
    """``ca.pem``, ``cert.pem`` and ``key.pem`` of a directory, the last two replaced as one.

    They are links through ``identity``, which leads to one of two directories: a program that
    starts while they are replaced finds the old pair or the new one.
    """

    directory: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.directory / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Our own."""
        return self.directory / "cert.pem"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.directory / "key.pem"

    @property
    def was_replaced(self) -> bool:
        """Whether the present pair was ever preceded by another."""
        return (self.directory / "identity-b").exists()

    def replace(self, key_pem: str, certificate_pem: str) -> None:
        """Put a new pair in the place of the present one."""
        current = self.directory / "identity"
        name = "identity-b" if current.is_symlink() and _leads_to(current, "a") else "identity-a"
        new = self.directory / name
        new.mkdir(mode=0o700, exist_ok=True)
        files.write(new / "key.pem", key_pem, 0o600, durable=True)
        files.write(new / "cert.pem", certificate_pem, 0o600, durable=True)
        files.link(current, name)
        files.link(self.certificate, "identity/cert.pem")
        files.link(self.key, "identity/key.pem")
        files.sync_directory(self.directory)


def _leads_to(link: Path, letter: str) -> bool:
    return str(link.readlink()) == f"identity-{letter}"
