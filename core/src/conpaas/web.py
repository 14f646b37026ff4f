"""HTTP for every server: from a request to an operation's arguments, from its result to an answer.

Operations, handlers and plugins never see a request or set a status: they take and return plain
values and raise :class:`~conpaas.errors.ConPaaSError`.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias, cast
from urllib.parse import quote, unquote

import falcon

from conpaas.channel import UPLOAD_TYPE
from conpaas.errors import ConPaaSError, InvalidError, NotFoundError, TooLargeError
from conpaas.rpc import Download, Operation, Upload, arguments_from_json
from conpaas.schema import MAX_JSON_BYTES, Hint, from_text, parse_json, to_json

Request: TypeAlias = falcon.Request
Response: TypeAlias = falcon.Response
App: TypeAlias = "falcon.App[falcon.Request, falcon.Response]"


#: A number in a route, small enough for every database.
NUMBER = f"{{number:int(max={(1 << 31) - 1})}}"
logger = logging.getLogger(__name__)


def new_app(middleware: list[Any] | None = None) -> App:
    """Return a Falcon application that answers errors as ConPaaS does."""
    app = falcon.App(middleware=[Remainder(), *(middleware or [])], media_type="application/json")
    # Method names in paths are exact; a slash at the end is another path.
    app.req_options.strip_url_path_trailing_slash = False
    app.req_options.keep_blank_qs_values = True
    app.add_error_handler(Exception, _bug)
    app.add_error_handler(falcon.HTTPError, _falcon_error)
    app.add_error_handler(ConPaaSError, _known_error)
    app.set_error_serializer(lambda req, resp, error: None)
    return app


class Remainder:
    """Middleware: what is refused is read to its end, or for a while.

    A connection that is closed before makes the server in front lose our answer and say that we
    do not work.
    """

    _LIMIT = 64 << 20

    def process_response(
        self, req: Request, resp: Response, resource: object, req_succeeded: bool
    ) -> None:
        """Read what is left of a request that is refused."""
        chunked = req.get_header("Transfer-Encoding") is not None
        if resp.status_code < 400 or (req.content_length is None and not chunked):
            return
        stream = req.stream if req.content_length is None else req.bounded_stream
        left = self._LIMIT
        # Whoever has gone will not hear the answer anyway.
        with contextlib.suppress(OSError, ValueError):
            while left > 0 and (piece := cast("IO[bytes]", stream).read(1 << 16)):
                left -= len(piece)


def read_arguments(req: Request, operation: Operation) -> dict[str, Any]:
    """Return the checked arguments of a call.

    A call is a POST with a JSON object, or with a file as its body and the other arguments in the
    query; an operation that only reads may be a GET with its arguments in the query.

    Raises:
        InvalidError: The arguments are not those of the operation, or the method is wrong.
        TooLargeError: The JSON is too long.
    """
    if req.method == "GET":
        if not operation.reads:
            raise InvalidError(f"{operation.name} changes something: call it with POST")
        return arguments_from_json(operation, _from_query(req, operation))
    if operation.upload is not None:
        return arguments_from_json(operation, _from_query(req, operation), _upload(req))
    return arguments_from_json(operation, read_json(req))


def read_json(req: Request) -> Any:
    """Return the JSON body of a request; an empty body is an empty object."""
    if (req.content_length or 0) > MAX_JSON_BYTES:
        raise TooLargeError(f"the request's body is over {MAX_JSON_BYTES} bytes")
    kind = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidError(f"the request's body must be application/json, not {kind[:60]!r}")
    # In chunks there is no length, and what is bounded by it would be empty.
    chunked = req.content_length is None and req.get_header("Transfer-Encoding") is not None
    stream = req.stream if chunked else req.bounded_stream
    body = cast("IO[bytes]", stream).read(MAX_JSON_BYTES + 1)
    if len(body) > MAX_JSON_BYTES:
        raise TooLargeError(f"the request's body is over {MAX_JSON_BYTES} bytes")
    return parse_json(body)


def _from_query(req: Request, operation: Operation) -> dict[str, Any]:
    hints = {p.name: p.hint for p in operation.parameters if not p.is_upload}
    given: dict[str, Any] = {}
    for name, value in req.params.items():
        if isinstance(value, list):
            raise InvalidError(f"the query says {name[:60]!r} more than once")
        given[name] = from_text(value, hints[name].full, name) if name in hints else value
    return {name: to_json(value) for name, value in given.items()}


def _upload(req: Request) -> Upload:
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != UPLOAD_TYPE:
        raise InvalidError(f"send the file as the body, with Content-Type: {UPLOAD_TYPE}")
    name = unquote(req.get_header("X-Filename") or "upload")
    name = name.replace("\\", "/").rpartition("/")[2]
    if not name.isprintable() or len(name) > 255 or name in ("", ".", ".."):
        raise InvalidError("the file's name must be printable and have 1 to 255 characters")
    stream = req.bounded_stream if req.content_length is not None else req.stream
    return Upload(cast("IO[bytes]", stream), name, req.content_length)


def send_result(resp: Response, result: Any) -> None:
    """Put an operation's result into the answer."""
    if isinstance(result, Download):
        resp.content_type = result.media_type
        resp.set_header(
            "Content-Disposition", f"attachment; filename*=UTF-8''{quote(result.filename)}"
        )
        if result.size is not None:
            resp.set_stream(cast("Any", result.pieces), result.size)
        else:
            resp.stream = result.pieces
        return
    resp.media = {"result": to_json(result)}


def send_job(resp: Response, number: int, watch: str) -> None:
    """Answer that a job has begun."""
    resp.status = falcon.HTTP_202
    resp.set_header("Location", watch)
    resp.media = {"job": number, "watch": watch}


def is_job(result: Any) -> bool:
    """Whether what an operation returned is a job that has not begun."""
    return inspect.isgenerator(result)


def pieces_of(stream: IO[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """Go through a stream in pieces, then close it."""
    try:
        while piece := stream.read(size):
            yield piece
    finally:
        stream.close()


def _known_error(req: Request, resp: Response, error: ConPaaSError, params: Any) -> None:
    if type(error) is ConPaaSError:
        logger.error("%s %s: %s", req.method, req.path, error)
    resp.status = error.status
    if isinstance(error.detail, dict) and "retry_after" in error.detail:
        resp.set_header("Retry-After", str(error.detail["retry_after"]))
    resp.media = {"error": error.to_json()}


def _falcon_error(req: Request, resp: Response, error: falcon.HTTPError, params: Any) -> None:
    known: ConPaaSError
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        known = InvalidError(f"{req.method} is not possible here")
        resp.set_header("Allow", ", ".join((error.headers or {}).get("Allow", "").split(", ")))  # type: ignore[union-attr]
    elif error.status_code == 404:
        known = NotFoundError(f"there is nothing at {req.path[:200]}")
    else:
        known = InvalidError(error.description or error.title or "the request is malformed")
    resp.status = error.status
    resp.media = {"error": known.to_json()}


def _bug(req: Request, resp: Response, error: Exception, params: Any) -> None:
    number = secrets.token_hex(4)
    logger.error("internal error %s in %s %s", number, req.method, req.path, exc_info=error)
    resp.status = falcon.HTTP_500
    known = ConPaaSError(
        f"something went wrong that should not have; the log has it under number {number}",
        detail={"number": number},
    )
    resp.media = {"error": known.to_json()}


#: Finds what serves a call, or raises.
Finder = Callable[..., Any]

__all__ = [
    "App",
    "Hint",
    "Remainder",
    "Request",
    "Response",
    "is_job",
    "new_app",
    "pieces_of",
    "read_arguments",
    "read_json",
    "send_job",
    "send_result",
]
