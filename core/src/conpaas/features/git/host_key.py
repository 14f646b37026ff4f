"""The key by which users know the machine again that they push to.

It belongs to the application, not to a machine: it is in the manager's records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas.errors import ConPaaSError
from conpaas.ssh_keys import PublicKey, parse

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

    from conpaas.manager.place import ApplicationPlace

#: The name of the feature's part of the manager's records.
STORE = "git"
_KEY = "host_key"


def ensure_host_key(place: ApplicationPlace) -> None:
    """Make the application's host key unless it has one."""
    store = place.shared(STORE)
    if _KEY in store:
        return
    store[_KEY] = _new()
    try:
        # Before anybody has seen it: another one later would alarm them.
        place.hand_over()
    except ConPaaSError:
        # The manager begins with a hand-over of its own, which tries again and tells.
        return


def private_key(store: MutableMapping[str, Any]) -> str:
    """Return the host key as sshd reads it."""
    return str(store[_KEY])


def public_key(store: MutableMapping[str, Any]) -> PublicKey | None:
    """Return what users see of the host key, None before there is one."""
    from cryptography.hazmat.primitives import serialization

    if _KEY not in store:
        return None
    key = serialization.load_ssh_private_key(str(store[_KEY]).encode(), None)
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return parse(line)


def _new() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        .decode()
    )
