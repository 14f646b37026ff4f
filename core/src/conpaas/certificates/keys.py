"""Keys, requests and certificates as text (PEM)."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conpaas.errors import InvalidError


def new_key() -> str:
    """Make a private key (ECDSA, P-256) and return it as PEM."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def signing_request(key_pem: str) -> str:
    """Return a request for a certificate of the key, as PEM; it names nobody."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(load_key(key_pem), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def serial_number(certificate_pem: str) -> str:
    """Return the certificate's serial number as 32 hexadecimal digits."""
    return serial(load_certificate(certificate_pem))


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Read a private key.

    Raises:
        InvalidError: The text is none.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidError(f"This is no private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidError("The private key must be an ECDSA key.")
    return key


def load_certificate(pem: str) -> x509.Certificate:
    """Read a certificate.

    Raises:
        InvalidError: The text is none.
    """
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise InvalidError(f"This is no PEM certificate: {error}") from error


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return the certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def serial(certificate: x509.Certificate) -> str:
    """Return the serial number as 32 hexadecimal digits."""
    return f"{certificate.serial_number:032x}"


def public_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a signing request, or the public key that the text is.

    Raises:
        InvalidError: It is malformed, the request is not signed by its own key, or the key is of
            another kind than ours.
    """
    try:
        if "REQUEST" in pem:
            request = x509.load_pem_x509_csr(pem.encode())
            if not request.is_signature_valid:
                raise InvalidError("The signing request is not signed by its own key.")
            key: object = request.public_key()
        else:
            key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidError(
            f"This is neither a signing request nor a public key: {error}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise InvalidError("The key must be an ECDSA key on the curve P-256.")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
