"""The certificates that the director issues, and those that it revoked."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence

from conpaas.certificates import Authority, Identity, Role, serial_number
from conpaas.director.config import DirectorConfig
from conpaas.director.models import Certificate, Machine, User

USER_LIFETIME = dt.timedelta(days=365)


class Certificates:
    """Issues certificates, and notes them so that they can be revoked.

    Args:
        authority: Signs.
        config: Of the director.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        authority: Authority,
        config: DirectorConfig,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.authority = authority
        self._config = config
        self._clock = clock

    def for_user(self, user: User, csr: str) -> str:
        """Issue a user's certificate for the key that signed the request."""
        identity = Identity(Role.USER, owner=user.id)
        return self._issue(csr, identity, USER_LIFETIME, user=user.id)

    def for_machine(self, machine: Machine, csr: str) -> str:
        """Issue a manager's or an agent's certificate."""
        identity = Identity(
            Role.AGENT if machine.service else Role.MANAGER,
            owner=machine.application.user_id,
            application=machine.application_id,
            machine=machine.id,
        )
        lifetime = dt.timedelta(seconds=self._config.machines.certificate_lifetime)
        return self._issue(csr, identity, lifetime, machine=machine.id)

    def revoke_machines(self, machines: Sequence[int]) -> None:
        """Revoke every certificate of these machines."""
        Certificate.update(revoked=self._clock()).where(
            Certificate.machine.in_(list(machines)), Certificate.revoked.is_null()
        ).execute()

    def revoked(self) -> frozenset[str]:
        """Return the serial numbers of the revoked certificates that have not expired."""
        rows = (
            Certificate.select(Certificate.serial)
            .where(Certificate.revoked.is_null(False), Certificate.expires > self._clock())
            .tuples()
        )
        return frozenset(serial for (serial,) in rows)

    def _issue(
        self,
        csr: str,
        identity: Identity,
        lifetime: dt.timedelta,
        machine: int | None = None,
        user: int | None = None,
    ) -> str:
        pem = self.authority.issue(csr, identity, lifetime)
        Certificate.create(
            serial=serial_number(pem),
            identity=identity.uri(self.authority.deployment),
            machine=machine,
            user=user,
            expires=self._clock() + lifetime.total_seconds(),
        )
        return pem
