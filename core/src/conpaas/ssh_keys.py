"""Public SSH keys: what a file of them says.

Directors keep those of users, managers those of applications.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from conpaas.errors import InvalidError, TooLargeError

MAX_BYTES = 16384
MIN_RSA_BITS = 2048
#: The kinds of keys that are taken, as the first word of a key says them.
TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


@dataclass(frozen=True)
class PublicKey:
    """A public key; ``line`` as it stands in authorized_keys, without options and comment."""

    type: str
    fingerprint: str
    comment: str
    line: str


def parse(content: bytes) -> PublicKey:
    """Return the one public key that a file holds.

    Raises:
        InvalidError: It holds no key, several, a private one, or one that is not taken.
        TooLargeError: It is too long to be a key.
    """
    if len(content) > MAX_BYTES:
        raise TooLargeError(f"a public key has at most {MAX_BYTES} bytes")
    lines = _lines(content)
    if len(lines) > 1:
        raise InvalidError(
            f"the file holds {len(lines)} keys: add each from a file of its own, so that each "
            "has its name"
        )
    return _key(lines[0])


def parse_all(content: bytes) -> list[PublicKey]:
    """Return the public keys that a file holds, one a line; blank lines and ``#`` are left out.

    Raises:
        InvalidError: It holds none, or a line is no key that is taken; says which line.
    """
    lines = _lines(content)
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_key(line))
        except InvalidError as error:
            if len(lines) == 1:
                raise
            raise InvalidError(f"key {number} of {len(lines)}: {error}") from None
    return found


def _lines(content: bytes) -> list[str]:
    text = content.decode(errors="replace")
    _refuse_other_files(text)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InvalidError("the file is empty: give a public key, such as ~/.ssh/id_ed25519.pub")
    return lines


def _key(line: str) -> PublicKey:
    kind, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if kind not in TYPES:
        raise InvalidError(_why_not(kind, line))
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidError("the key is damaged: its second word is not base64") from None
    _check(kind, encoded, blob)
    fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    comment = "".join(c for c in comment.strip() if c.isprintable())[:200]
    return PublicKey(kind, f"SHA256:{fingerprint}", comment, f"{kind} {encoded}")


def _refuse_other_files(text: str) -> None:
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        raise InvalidError(
            "THIS IS A PRIVATE KEY: nobody but you may have it, and it was not kept here. Give "
            "the public one, whose file ends in .pub; if anybody else has seen this one, make "
            "another (ssh-keygen -t ed25519)"
        )
    if "BEGIN SSH2 PUBLIC KEY" in text or "BEGIN PUBLIC KEY" in text:
        raise InvalidError(
            "this is a public key in another form: convert it with ssh-keygen -i -f FILE "
            "(-m PKCS8 for one that begins with BEGIN PUBLIC KEY)"
        )


def _why_not(kind: str, line: str) -> str:
    if any(f" {known} " in f" {line} " for known in TYPES):
        return "the line begins with options: give the key alone, beginning with its type"
    if kind == "ssh-dss":
        return "DSA keys are not safe any more: make another (ssh-keygen -t ed25519)"
    if kind.endswith("-cert-v01@openssh.com"):
        return "this is a certificate: give the public key itself"
    return (
        "this is no public SSH key: give a file such as ~/.ssh/id_ed25519.pub, whose line begins "
        f"with {', '.join(TYPES[:2])} or ecdsa-sha2-…"
    )


def _check(kind: str, encoded: str, blob: bytes) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    # A key says its type twice; sshd believes the inside.
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != kind.encode():
        raise InvalidError("the key is damaged: it says two types")
    try:
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidError(f"the key is damaged: {error}") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise InvalidError(
            f"the key has {key.key_size} bits, and RSA is safe from {MIN_RSA_BITS} on: make "
            "another (ssh-keygen -t ed25519)"
        )
