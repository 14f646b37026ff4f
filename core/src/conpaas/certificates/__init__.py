"""Who is calling: identities inside X.509 certificates, the authority that issues them, checks.

A certificate names its bearer in a URI, for example
``conpaas://<deployment>/agent/owner/3/application/7/machine/12``.  Host names play no part.
"""

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
