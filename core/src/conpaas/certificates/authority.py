"""The certificate authority of a deployment."""

from __future__ import annotations

import datetime as dt
import fcntl
import ipaddress
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conpaas import files
from conpaas.certificates import keys
from conpaas.certificates.identity import DEPLOYMENT, Identity
from conpaas.errors import InvalidError

#: How long an authority itself lives.
AUTHORITY_LIFETIME = dt.timedelta(days=3653)
#: How far clocks of two machines may be apart before a new certificate is "not yet valid".
CLOCK_SKEW = dt.timedelta(minutes=5)


class Authority:
    """The deployment's certificate authority: the one key that others trust.

    Args:
        key: Its private key.
        certificate: Its own certificate, whose common name is the deployment.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._certificate = certificate
        self._clock = clock
        common_name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0]
        self.deployment = str(common_name.value)

    @classmethod
    def create(
        cls, directory: Path, deployment: str, clock: Callable[[], float] = time.time
    ) -> Authority:
        """Return the authority in the directory, making it first where there is none.

        Raises:
            InvalidError: The name cannot stand in a URI; or the directory holds the authority of
                another deployment, or only half of one.
        """
        if not re.fullmatch(DEPLOYMENT, deployment):
            raise InvalidError(
                f"{deployment!r} cannot name a deployment: use up to 63 letters, digits, '.', "
                "'_' and '-', with a letter or digit at both ends."
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory):
            key_file, certificate_file = directory / "ca.key", directory / "ca.pem"
            if not key_file.exists() and not certificate_file.exists():
                files.write(key_file, keys.new_key(), 0o600, durable=True)
            if not certificate_file.exists():  # also after a crash between the two files
                key = keys.load_key(key_file.read_text())
                certificate = _self_signed(key, deployment, _now(clock))
                files.write(certificate_file, keys.certificate_pem(certificate), durable=True)
        authority = cls.load(directory, clock)
        if authority.deployment != deployment:
            raise InvalidError(
                f"{directory} holds the authority of deployment {authority.deployment!r}, "
                f"not of {deployment!r}: choose another directory."
            )
        return authority

    @classmethod
    def load(cls, directory: Path, clock: Callable[[], float] = time.time) -> Authority:
        """Return the authority that :meth:`create` put in the directory.

        Raises:
            InvalidError: There is none, or half of one.
        """
        try:
            key = keys.load_key((directory / "ca.key").read_text())
            certificate = keys.load_certificate((directory / "ca.pem").read_text())
        except OSError as error:
            raise InvalidError(
                f"The certificate authority in {directory} cannot be read ({error.strerror}: "
                f"{error.filename}): restore it from a backup."
            ) from error
        if key.public_key() != certificate.public_key():
            raise InvalidError(f"ca.key and ca.pem in {directory} do not belong together.")
        return cls(key, certificate, clock)

    @property
    def ca_pem(self) -> str:
        """The authority's own certificate, which everyone may have."""
        return keys.certificate_pem(self._certificate)

    def issue(
        self,
        csr_or_public_key: str,
        identity: Identity,
        lifetime: dt.timedelta,
        hosts: Sequence[str] = (),
    ) -> str:
        """Return a new certificate as PEM.

        Args:
            csr_or_public_key: PEM; of a signing request nothing but its key is taken.
            identity: Whom the certificate speaks for.
            lifetime: From now on, cut to the authority's own.
            hosts: Host names and addresses, for clients that check those (browsers do).

        Raises:
            InvalidError: The request is malformed, is not signed by its own key or has another
                kind of key; or the identity is only a pattern.
        """
        if not identity.is_complete:
            raise InvalidError(f"A certificate cannot be issued to just any {identity}.")
        now = _now(self._clock)
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(identity.uri(self.deployment)),
            *(_general_name(host) for host in hosts),
        ]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(identity)[:64])])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._certificate.subject)
            .public_key(keys.public_key(csr_or_public_key))
            .serial_number(secrets.randbits(128) | 1)
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + lifetime, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
                ),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        return keys.certificate_pem(builder.sign(self._key, hashes.SHA256()))


def _self_signed(
    key: ec.EllipticCurvePrivateKey, deployment: str, now: dt.datetime
) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ConPaaS"),
            x509.NameAttribute(NameOID.COMMON_NAME, deployment),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(128) | 1)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _now(clock: Callable[[], float]) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock(), dt.UTC)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes out that would create the same authority at the same moment."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
