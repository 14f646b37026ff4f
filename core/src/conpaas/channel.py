"""Calls over HTTPS: what a stub sends to another server, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlencode

from conpaas.certificates import Identity
from conpaas.errors import AgentError
from conpaas.rpc import Download, JobReport, JobStarted, Operation, Upload
from conpaas.schema import from_json
from conpaas.transport import Answer, raise_for_error
from conpaas.transport.peers import Body, Expectation

UPLOAD_TYPE = "application/octet-stream"
PIECE_TIMEOUT = 60.0  #: seconds for each piece of a file
#: Seconds for what processes ask each other all the time: a machine that vanished without a word
#: must not hold up who looks after the others.
ASK_TIMEOUT = 15.0


class Sender(Protocol):
    """What carries requests: :class:`~conpaas.transport.Peers`, or a stand-in for tests."""

    def request(
        self,
        url: str,
        method: str,
        path: str,
        *,
        expect: Expectation | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> Answer:
        """Make a call and return the answer; see :meth:`conpaas.transport.Peers.request`."""


class HttpChannel:
    """Carries the calls of one stub.

    Args:
        peers: Keeps the connections.
        url: Of the server, with scheme, host and port.
        path: What stands before an operation's name, such as ``/api/v1/agent``.
        expect: Whose certificate the server must show.
        timeout: Of one call, in seconds.
        headers: Sent with each call.
    """

    def __init__(
        self,
        peers: Sender,
        url: str,
        path: str,
        expect: Identity,
        timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._peers = peers
        self._url = url
        self._path = path
        self._expect = expect
        self._timeout = timeout
        self._headers = dict(headers or {})

    def send(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        """Deliver a call; see :meth:`conpaas.rpc.Channel.send`."""
        path = f"{self._path}/{operation.name}"
        if operation.is_download:
            return self._download(with_query(path, arguments))
        if operation.upload is not None:
            answer = self._upload(path, operation.upload.name, arguments)
        elif operation.reads:
            timeout = ASK_TIMEOUT if operation.hidden else self._timeout
            answer = self._request("GET", with_query(path, arguments), timeout=timeout)
        else:
            body = json.dumps(dict(arguments)).encode()
            answer = self._request("POST", path, body, {"Content-Type": "application/json"})
        raise_for_error(answer)
        if answer.status == 202:
            raise JobStarted(_told(answer, "watch"))
        return _told(answer, "result")

    def report(self, watch: str) -> JobReport:
        """Return a job's present report."""
        answer = self._request("GET", watch, timeout=ASK_TIMEOUT)
        raise_for_error(answer)
        report: JobReport = from_json(_told(answer, "result"), JobReport, "job")
        return report

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        return self._peers.request(
            self._url, method, path,
            expect=self._expect, body=body,
            timeout=min(timeout or self._timeout, self._timeout),
            headers={**self._headers, **(headers or {})},
        )  # fmt: skip

    def _upload(self, path: str, name: str, arguments: Mapping[str, Any]) -> Answer:
        upload: Upload = arguments[name]
        rest = {key: value for key, value in arguments.items() if key != name}
        return self._peers.request(
            self._url, "POST", with_query(path, rest),
            expect=self._expect, body=upload.stream, timeout=PIECE_TIMEOUT,
            headers={**self._headers, **upload_headers(upload)},
        )  # fmt: skip

    def _download(self, path: str) -> Download:
        answer = self._peers.request(
            self._url, "GET", path,
            expect=self._expect, stream=True, timeout=PIECE_TIMEOUT, headers=self._headers,
        )  # fmt: skip
        raise_for_error(answer)
        size = answer.headers.get("content-length")
        name = answer.headers.get("content-disposition", "").partition("filename*=UTF-8''")[2]
        return Download(
            pieces=answer.chunks,
            filename=unquote(name) or "download",
            size=int(size) if size else None,
        )


def _told(answer: Answer, key: str) -> Any:
    told = answer.json()
    if not isinstance(told, dict) or key not in told:
        raise AgentError(f"The other server answered {answer.status} without {key!r}")
    return told[key]


def with_query(path: str, arguments: Mapping[str, Any]) -> str:
    """Return a path with arguments as its query; None is left out."""
    given = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in arguments.items()
        if value is not None
    }
    return f"{path}?{urlencode(given)}" if given else path


def upload_headers(upload: Upload) -> dict[str, str]:
    """Return the headers with which a file is sent."""
    headers = {"Content-Type": UPLOAD_TYPE, "X-Filename": quote(upload.filename)}
    if upload.size is not None:
        headers["Content-Length"] = str(upload.size)
    return headers
