"""Who is calling: the client certificate that the TLS front hands on."""

from __future__ import annotations

from collections.abc import Callable

from conpaas.certificates import Identity, Verified, Verifier
from conpaas.errors import DeniedError, UnauthenticatedError
from conpaas.front import CERTIFICATE_HEADER, client_certificate
from conpaas.web import Request


def verified(req: Request, verifier: Verifier) -> Verified | None:
    """Return what the caller's certificate says, None when there is none.

    Raises:
        UnauthenticatedError: It does not count; the text says why.
    """
    pem = client_certificate(req.get_header(CERTIFICATE_HEADER))
    return verifier.verify(pem) if pem else None


class Gate:
    """Middleware that lets in only those whose certificate ``allows`` approves.

    Args:
        verifier: Checks certificates.
        allows: Whether an identity may call at all.
        wanted: Whom the door is for, for the refusal.
    """

    def __init__(
        self, verifier: Verifier, allows: Callable[[Identity], bool], wanted: str
    ) -> None:
        self._verifier = verifier
        self._allows = allows
        self._wanted = wanted

    def process_request(self, req: Request, resp: object) -> None:
        """Refuse a caller, or note who it is in ``req.context.identity``."""
        found = verified(req, self._verifier)
        if found is None:
            raise UnauthenticatedError("a client certificate is needed")
        if not self._allows(found.identity):
            raise DeniedError(f"only {self._wanted} may call here, not a {found.identity.role}")
        req.context.identity = found.identity
