"""Who is calling: identities inside X.509 certificates, the authority that issues them, checks.

A certificate names its bearer in a URI, for example
``conpaas://<deployment>/agent/owner/3/application/7/machine/12``.  Host names play no part.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conpaas.certificates.authority import Authority
    from conpaas.certificates.identity import Identity, Role
    from conpaas.certificates.keys import new_key, serial_number, signing_request
    from conpaas.certificates.verifier import Verified, Verifier

__all__ = [
    "Authority",
    "Identity",
    "Role",
    "Verified",
    "Verifier",
    "new_key",
    "serial_number",
    "signing_request",
]

_MODULES = {
    "Authority": "authority",
    "Identity": "identity",
    "Role": "identity",
    "Verified": "verifier",
    "Verifier": "verifier",
    "new_key": "keys",
    "serial_number": "keys",
    "signing_request": "keys",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: a machine that joins must be quick."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
