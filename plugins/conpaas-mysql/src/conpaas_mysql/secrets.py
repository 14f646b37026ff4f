"""What the members of one cluster know and nobody else: passwords, and their certificates."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import MutableMapping
from dataclasses import asdict
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conpaas.certificates import keys
from conpaas_mysql.parts import ClusterSecrets

#: Key of the store: users see nothing of it, the director gets it with the manager's state.
_STORE = "secrets"
#: How long the certificates hold.  A cluster trusts nothing but its own authority, whose key is
#: thrown away: who could want new ones makes new secrets.
_LIFE = dt.timedelta(days=365 * 30)
_SKEW = dt.timedelta(days=1)


def cluster_secrets(store: MutableMapping[str, Any], cluster: str) -> ClusterSecrets:
    """Return the secrets of a cluster, made at the first time and kept in the store.

    Args:
        store: Of the service.
        cluster: Name of the Galera cluster.
    """
    if _STORE not in store:
        store[_STORE] = asdict(new_secrets(cluster))
    return ClusterSecrets(**store[_STORE])


def new_secrets(cluster: str) -> ClusterSecrets:
    """Make random passwords, an authority, and the one certificate that all members show."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"{cluster} authority")
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = keys.new_key()
    certificate = (
        _certificate(_name(cluster), authority_name, keys.load_key(key).public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    return ClusterSecrets(
        transfer_password=secrets.token_urlsafe(24),
        monitor_password=secrets.token_urlsafe(24),
        certificate=keys.certificate_pem(certificate),
        key=key,
        authority=keys.certificate_pem(authority),
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
