"""What a browser has posted: texts, and at the end a file that is read as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

import falcon
from falcon.media.multipart import MultipartForm, MultipartFormHandler

from conpaas.errors import InvalidError, TooLargeError
from conpaas.frontend.visit import CSRF_FIELD, Visit
from conpaas.rpc import Upload
from conpaas.schema import MAX_JSON_BYTES
from conpaas.web import App, Request

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@dataclass
class Posted:
    """The fields of a form."""

    texts: dict[str, str] = field(default_factory=dict)
    upload: Upload | None = None

    def text(self, name: str) -> str:
        """Return what a field says, empty when it says nothing."""
        return self.texts.get(name, "")


def accept_forms(app: App) -> None:
    """Have an application read forms with files as they come."""
    handler = MultipartFormHandler()
    handler.parse_options.max_body_part_count = 200
    handler.parse_options.max_body_part_buffer_size = MAX_JSON_BYTES
    app.req_options.media_handlers = falcon.media.Handlers({MULTIPART: handler})


def read_form(req: Request, visit: Visit) -> Posted:
    """Return what was posted, once it is sure that one of our own pages sent it.

    A file's content is still on its way: read it to its end, or not at all.

    Raises:
        DeniedError: The form is not ours.
        InvalidError: It is no form.
        TooLargeError: Its texts are too long.
    """
    visit.check_origin()
    kind = (req.content_type or FORM).partition(";")[0].strip().lower()
    if kind == MULTIPART:
        return _multipart(req, visit)
    if kind != FORM:
        raise InvalidError("a form is needed here")
    if (req.content_length or 0) > MAX_JSON_BYTES:
        raise TooLargeError(f"a form may have at most {MAX_JSON_BYTES} bytes")
    body = cast("IO[bytes]", req.bounded_stream).read(MAX_JSON_BYTES)
    try:
        pairs = falcon.uri.parse_query_string(body.decode(), keep_blank=True, csv=False)
    except (UnicodeDecodeError, ValueError):
        raise InvalidError("the form is not UTF-8") from None
    posted = Posted({name: _one(value) for name, value in pairs.items()})
    visit.check_csrf(posted.text(CSRF_FIELD))
    return posted


def _multipart(req: Request, visit: Visit) -> Posted:
    posted = Posted()
    try:
        parts = iter(cast("MultipartForm", req.get_media()))
        for part in parts:
            name = part.name or ""
            if part.filename is None:
                posted.texts[name] = part.text or ""
                continue
            visit.check_csrf(posted.text(CSRF_FIELD))
            if part.filename:
                stream = cast("IO[bytes]", _Whole(part.stream, parts))
                posted.upload = Upload(stream, part.filename.replace("\\", "/").split("/")[-1])
                return posted
    except falcon.MediaMalformedError as error:
        raise InvalidError(f"the form is malformed: {error.description}") from None
    visit.check_csrf(posted.text(CSRF_FIELD))
    return posted


class _Whole:
    """A file that is the last part of a form, and ends where the form says so."""

    def __init__(self, stream: Any, parts: Iterator[Any]) -> None:
        self._stream = stream
        self._parts = parts

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, empty at the end.

        Raises:
            InvalidError: The form broke off: what is here is a part of the file only.
        """
        piece = cast("bytes", self._stream.read(size))
        if not piece or size < 0:
            try:
                next(self._parts, None)
            except falcon.MediaMalformedError:
                raise InvalidError("the file broke off on its way here: try again") from None
        return piece


def _one(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[-1]
