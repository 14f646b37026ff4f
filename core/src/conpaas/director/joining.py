"""How machines join: a token for a certificate and a configuration."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from conpaas.certificates import Identity
from conpaas.config import render
from conpaas.director.certificates import Certificates
from conpaas.director.config import DirectorConfig
from conpaas.director.machines import Life, token_digest
from conpaas.director.models import Machine, Service, database
from conpaas.errors import InvalidError, UnauthenticatedError
from conpaas.manager.book import node_id


class Joining:
    """Lets new machines in: a token for a certificate and a configuration.

    A token works for one machine and one key, and for a short time.  Asked again with the same
    key (an answer got lost) it answers again; with another key it is used up.
    """

    def __init__(
        self,
        certificates: Certificates,
        config: DirectorConfig,
        address_of: Callable[[Machine], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._certificates = certificates
        self._config = config
        self._address_of = address_of
        self._clock = clock

    def join(self, token: str, csr: str) -> dict[str, str]:
        """Return certificate, authority, role and configuration for a machine.

        Raises:
            UnauthenticatedError: The token is unknown, used or late.
            InvalidError: The signing request is none.
        """
        key = _fingerprint(csr)
        machine = self._admitted(token, key)
        # Asked outside of the transaction: a cloud may be slow, and would keep all others waiting.
        address = machine.address or self._address_of(machine)
        with database.atomic():
            machine = self._admitted(token, key)
            machine.public_key, machine.address = key, address
            machine.state = Life.RUNNING.value
            machine.save(only=[Machine.public_key, Machine.address, Machine.state])
            certificate = self._certificates.for_machine(machine, csr)
        return {
            "certificate": certificate,
            "ca": self._certificates.authority.ca_pem,
            "role": "agent" if machine.service else "manager",
            "config": self._config_for(machine),
        }

    def _admitted(self, token: str, key: str) -> Machine:
        machine = Machine.get_or_none(Machine.token == token_digest(token))
        if machine is None:
            raise UnauthenticatedError("this token was not issued here, or is given up")
        if machine.token_expires < self._clock():
            raise UnauthenticatedError(f"the token of {machine.name} has expired")
        if machine.public_key not in (None, key):
            raise UnauthenticatedError(f"the token of {machine.name} has been used already")
        return machine

    def renew(self, identity: Identity, csr: str) -> dict[str, str]:
        """Return a new certificate for a machine that shows its present one.

        Raises:
            UnauthenticatedError: The machine is not one that shall be.
        """
        machine = Machine.get_or_none(Machine.id == (identity.machine or 0))
        if machine is None or machine.state != Life.RUNNING:
            raise UnauthenticatedError("this machine is not wanted any more")
        return {"certificate": self._certificates.for_machine(machine, csr)}

    def _config_for(self, machine: Machine) -> str:
        common = {
            "deployment": self._config.director.name,
            "director_url": self._config.director.url,
            "owner": machine.application.user_id,
            "application": machine.application_id,
            "machine": machine.id,
            "address": machine.address,
        }
        if not machine.service:
            return render(
                {
                    "manager": {**common, "takes_over": machine.takes_over},
                    "limits": vars(self._config.limits),
                    "watch": vars(self._config.watch),
                    "monitoring": vars(self._config.monitoring),
                }
            )
        service = Service.get(
            Service.application == machine.application, Service.number == machine.service
        )
        return render(
            {
                "agent": {
                    **common,
                    "service": machine.service,
                    "service_type": service.type,
                    "node": node_id(machine.id),
                    "role": machine.role,
                }
            }
        )


def _fingerprint(csr: str) -> str:
    try:
        key = x509.load_pem_x509_csr(csr.encode()).public_key()
    except ValueError:
        raise InvalidError("the signing request is not PEM") from None
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
