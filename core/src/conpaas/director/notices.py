"""Tells users what they must know with the answers to what they do."""

from __future__ import annotations

import logging
from urllib.parse import quote

from conpaas.director.director import Director
from conpaas.director.users import Caller
from conpaas.rpc import Operation
from conpaas.web import Response

#: Sentences, a line each, percent-encoded UTF-8.
NOTICE_HEADER = "X-Conpaas-Notice"
logger = logging.getLogger(__name__)


def add_notices(director: Director, caller: Caller, operation: Operation, resp: Response) -> None:
    """Put what plugins have to tell a user on the answer to a call that changes something.

    Called when the call has been carried out, or its job has begun.
    """
    if caller.is_manager or operation.reads or operation.public:
        return
    try:
        found = director.plugins.hook.conpaas_notices(director=director, user=caller.user)
    except Exception:
        # What was asked for has been done: whoever asked must not hear that it failed.
        logger.exception("the notices for user %d cannot be had", caller.user)
        return
    if told := [notice for some in found for notice in some]:
        resp.set_header(NOTICE_HEADER, quote("\n".join(told)))
