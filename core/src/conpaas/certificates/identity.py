"""Whom a certificate speaks for."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from conpaas.errors import InvalidError

#: What a deployment may be called, as a regular expression: it stands in URIs and host names.
DEPLOYMENT = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"

_NUMBER = r"([1-9][0-9]{0,17})"
_URI = re.compile(
    rf"conpaas://({DEPLOYMENT})/([a-z]+)"
    rf"(?:/owner/{_NUMBER})?(?:/application/{_NUMBER})?(?:/machine/{_NUMBER})?"
)


class Role(enum.StrEnum):
    """What a certificate's bearer is."""

    DIRECTOR = "director"
    FRONTEND = "frontend"
    MANAGER = "manager"
    AGENT = "agent"
    USER = "user"


@dataclass(frozen=True)
class Identity:
    """Whom a certificate speaks for; also a pattern, in which None stands for anyone.

    ``owner`` is the number of a user; ``application`` and ``machine`` are our own numbers.
    """

    role: Role
    owner: int | None = None
    application: int | None = None
    machine: int | None = None

    def uri(self, deployment: str) -> str:
        """Return the identity as it stands in a certificate."""
        uri = f"conpaas://{deployment}/{self.role}"
        for name in ("owner", "application", "machine"):
            if (number := getattr(self, name)) is not None:
                uri += f"/{name}/{number}"
        Identity.from_uri(uri)
        return uri

    @staticmethod
    def from_uri(uri: str) -> tuple[str, Identity]:
        """Return the deployment and the identity that a URI names.

        Raises:
            InvalidError: It is not such a URI.
        """
        match = _URI.fullmatch(uri)
        if match is None or match[2] not in Role.__members__.values():
            raise InvalidError(f"{uri!r} is no ConPaaS identity.")
        owner, application, machine = (int(n) if n else None for n in match.groups()[2:])
        return match[1], Identity(Role(match[2]), owner, application, machine)

    def matches(self, pattern: Identity) -> bool:
        """Return whether the pattern's role and every number that it gives are this one's."""
        return self.role is pattern.role and all(
            wanted is None or wanted == mine
            for wanted, mine in (
                (pattern.owner, self.owner),
                (pattern.application, self.application),
                (pattern.machine, self.machine),
            )
        )

    @property
    def is_complete(self) -> bool:
        """Whether it names one bearer, as a certificate must, and is not just a pattern."""
        if self.role in (Role.MANAGER, Role.AGENT):
            return self.application is not None and self.machine is not None
        has_owner = self.owner is not None
        return (
            self.application is None
            and self.machine is None
            and has_owner == (self.role is Role.USER)
        )

    def __str__(self) -> str:
        numbers = (("owner", self.owner), ("application", self.application))
        parts = [str(self.role), *(f"{n} {v}" for n, v in numbers if v is not None)]
        return " ".join([*parts, *([f"machine {self.machine}"] if self.machine else [])])
