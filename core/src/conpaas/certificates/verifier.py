"""Telling who the bearer of a certificate is."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from conpaas.certificates import keys
from conpaas.certificates.identity import Identity
from conpaas.errors import InvalidError, UnauthenticatedError

_NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL does not name


@dataclass(frozen=True)
class Verified:
    """What a certificate that passed says; ``serial`` is 32 hexadecimal digits."""

    identity: Identity
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime


class Verifier:
    """Tells who the bearer of a certificate is; safe to call from many threads.

    A certificate seen before costs a few microseconds: its signature is not checked again.  Its
    dates and its revocation are, at every call.

    Args:
        ca_pem: The authority's certificate.
        deployment: The only one whose identities count.
        clock: Seconds since 1970.

    Attributes:
        revoked: Serial numbers (32 hexadecimal digits) that no longer count.  Replace the set.
    """

    _REMEMBERED = 4096

    def __init__(
        self, ca_pem: str, deployment: str, clock: Callable[[], float] = time.time
    ) -> None:
        from OpenSSL import crypto  # slow, and a machine that joins needs none of it

        self._crypto = crypto
        self._store = crypto.X509Store()
        self._store.set_flags(_NO_CHECK_TIME)
        self._store.add_cert(crypto.X509.from_cryptography(keys.load_certificate(ca_pem)))
        self._deployment = deployment
        self._clock = clock
        self._known: dict[bytes, Verified] = {}
        self._lock = threading.Lock()
        self.revoked: frozenset[str] = frozenset()

    def verify(self, pem: str) -> Verified:
        """Return whom the certificate speaks for.

        Raises:
            UnauthenticatedError: It is malformed, of another authority or deployment, without a
                ConPaaS identity, expired, not yet valid or revoked; the message says which.
        """
        digest = hashlib.sha256(pem.encode(errors="backslashreplace")).digest()
        verified = self._known.get(digest)
        if verified is None:
            verified = self._check(pem)
            with self._lock:
                if len(self._known) >= self._REMEMBERED:
                    self._known.pop(next(iter(self._known)))
                self._known[digest] = verified
        now = _now(self._clock)
        if now < verified.not_before:
            raise UnauthenticatedError(
                f"The certificate is not valid before {verified.not_before:%Y-%m-%d %H:%M:%S} "
                "UTC: check the clocks of both machines."
            )
        if now > verified.not_after:
            raise UnauthenticatedError(
                f"The certificate expired at {verified.not_after:%Y-%m-%d %H:%M:%S} UTC: get a "
                "new one."
            )
        if verified.serial in self.revoked:
            raise UnauthenticatedError("The certificate has been revoked: get a new one.")
        return verified

    def _check(self, pem: str) -> Verified:
        try:
            certificate = keys.load_certificate(pem)
        except InvalidError as error:
            raise UnauthenticatedError(f"The certificate is malformed. {error.message}") from error
        context = self._crypto.X509StoreContext(
            self._store, self._crypto.X509.from_cryptography(certificate)
        )
        try:
            context.verify_certificate()
        except self._crypto.X509StoreContextError as error:
            raise UnauthenticatedError(
                "The certificate was issued by another authority than this deployment's "
                f"({error})."
            ) from error
        deployment, identity = _named(certificate)
        if deployment != self._deployment:
            raise UnauthenticatedError(
                f"The certificate names an identity of deployment {deployment!r}, not of "
                f"{self._deployment!r}."
            )
        return Verified(
            identity,
            keys.serial(certificate),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )


def _named(certificate: x509.Certificate) -> tuple[str, Identity]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        deployment, identity = Identity.from_uri(uri)
    except (x509.ExtensionNotFound, ValueError, InvalidError) as error:
        raise UnauthenticatedError("The certificate names no ConPaaS identity.") from error
    if not identity.is_complete:
        raise UnauthenticatedError(f"The certificate names no ConPaaS identity, just {identity}.")
    return deployment, identity


def _now(clock: Callable[[], float]) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock(), dt.UTC)
