"""Tells users what they must know with the answers to what they do."""

from __future__ import annotations

from urllib.parse import quote

from conpaas.director.director import Director
from conpaas.director.users import Caller
from conpaas.rpc import Operation
from conpaas.web import Response

#: Sentences, a line each, percent-encoded UTF-8.
NOTICE_HEADER = "X-Conpaas-Notice"


def add_notices(director: Director, caller: Caller, operation: Operation, resp: Response) -> None:
    """Put what plugins have to tell a user on the answer to a call that changes something.

    Called when the call has been carried out, or its job has begun.
    """
    if caller.is_manager or operation.reads:
        return
    found = director.plugins.hook.conpaas_notices(director=director, user=caller.user)
    if told := [notice for some in found for notice in some]:
        resp.set_header(NOTICE_HEADER, quote("\n".join(told)))
