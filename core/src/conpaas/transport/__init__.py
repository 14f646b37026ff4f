"""Calls to other servers of the deployment, over kept connections.

Servers know each other by the identity in their certificates (:mod:`conpaas.certificates`), never
by host name: machines come and go, and addresses are used again.

Built on :mod:`http.client`: which bytes have been sent when a connection breaks decides whether a
call may be tried again, and pools that hide their connections do not tell.
"""

from conpaas.transport.answer import Answer, raise_for_error
from conpaas.transport.fan_out import fan_out
from conpaas.transport.peers import Expectation, Peers, TlsFiles

__all__ = ["Answer", "Expectation", "Peers", "TlsFiles", "fan_out", "raise_for_error"]
