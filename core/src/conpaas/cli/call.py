"""Call the director over HTTPS: one connection, which trusts the installation's own authority."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import quote, unquote, urlencode, urlsplit

from conpaas.cli.failure import Failure, Unreachable
from conpaas.cli.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from conpaas.cli.config import Settings

    class Readable(Protocol):
        """Gives its content in pieces."""

        def read(self, amount: int = -1, /) -> bytes:
            """Return the next piece, empty at the end."""


CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 600.0
#: How long a director that is starting is waited for, and how often it is asked, in seconds.
PATIENCE, PAUSE = 10.0, 0.5
#: What the director has to tell beside an answer: sentences, a line each, percent-encoded.
NOTICE_HEADER = "X-Conpaas-Notice"
GATEWAY_ERRORS = (502, 503, 504)
_PIECE = 256 * 1024
NO_DIRECTOR = (
    "no director is known: put 'director_url = https://HOST:5555' into the section [cps-tools] of "
    "~/.conpaas/cps-tools.conf, or give --director_url URL"
)
_GET_ONE = "run 'cps-user get_certificate' first"


class Answer:
    """A result, or the number of a job and where it is watched."""

    def __init__(self, status: int, body: Any) -> None:
        self.is_job = status == 202
        self.job: int = body["job"] if self.is_job else 0
        self.watch: str = body["watch"] if self.is_job else ""
        self.result: Any = None if self.is_job else body.get("result")


class Director:
    """The director, as it answers the person whom the settings name.

    Args:
        settings: Where it is, and what to log in with.
        public: Only what is public is called: nobody logs in.
    """

    def __init__(self, settings: Settings, *, public: bool = False) -> None:
        if not settings.host:
            raise Failure(NO_DIRECTOR)
        self.settings = settings
        self.address = f"https://{settings.host}:{settings.port}"
        self._headers, context = _credentials(settings, public)
        self._connection = http.client.HTTPSConnection(
            settings.host,
            settings.port,
            context=context,
            timeout=CONNECT_TIMEOUT,
            blocksize=_PIECE,
        )
        # Only _connect opens it: nothing goes to somebody whose certificate was not looked at.
        self._connection.auto_open = 0

    def call(self, path: str, arguments: Mapping[str, Any], *, reads: bool = False) -> Answer:
        """Call an operation; the path is what follows ``/api/v1``.

        A director that is starting is waited for, if it cannot have begun with the call or the
        call ``reads`` only.

        Raises:
            Failure: What the director answered, or that it did not.
        """
        body, headers = json.dumps(arguments).encode(), {"Content-Type": "application/json"}
        give_up, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                return self._answer("POST", f"/api/v1{path}", body, headers)
            except Unreachable as error:
                # Only what stands before the director says so, and knows it.
                begun = error.detail.get("begun") if isinstance(error.detail, dict) else None
                again = begun == "no" or (begun == "yes" and reads)
                if not again or time.monotonic() > give_up:
                    raise
            if not told:
                print("The director is starting: waiting for it …", file=sys.stderr)
                told = True
            # What stands before the director begins anew with it, and lets idle connections go.
            self.close()
            time.sleep(PAUSE)

    def get(self, path: str) -> Answer:
        """Get what stands at a path, which a former answer gave."""
        return self._answer("GET", path, None, {})

    def upload(
        self, path: str, arguments: Mapping[str, Any], file: Readable, size: int, filename: str
    ) -> Answer:
        """Call an operation with a file, of which ``size`` bytes are read."""
        texts = {name: _as_text(value) for name, value in arguments.items()}
        query = f"?{urlencode(texts, quote_via=quote)}" if texts else ""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "X-Filename": quote(filename, safe="", errors="replace"),
        }
        return self._answer("POST", f"/api/v1{path}{query}", file, headers)

    def download(self, path: str, arguments: Mapping[str, Any]) -> http.client.HTTPResponse:
        """Call an operation whose result is a file, and return the response to read it from."""
        body = json.dumps(arguments).encode()
        headers = {"Content-Type": "application/json"}
        response = self._send("POST", f"/api/v1{path}", body, headers)
        if response.status != 200:
            self._understood(response)
            raise Failure(f"{self.address} answered {response.status} where a file was expected")
        return response

    def __enter__(self) -> Director:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _answer(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        return self._understood(self._send(method, path, body, headers))

    def _understood(self, response: http.client.HTTPResponse) -> Answer:
        text = self._guarded(response.read)
        try:
            body = json.loads(text)
            if response.status < 400:
                return Answer(response.status, body)
            error = body["error"]
            failure = Failure(str(error["message"]), str(error["code"]), error.get("detail"))
        except (ValueError, TypeError, KeyError, AttributeError):
            told = f"{self.address} answered {response.status} {response.reason}"
            if response.status in GATEWAY_ERRORS:
                raise Unreachable(f"{told}: the director is not running, or starting") from None
            raise Failure(f"{told} and nothing that a director says") from None
        if failure.code == "unreachable":
            raise Unreachable(failure.message, failure.code, failure.detail)
        raise failure

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        started = time.monotonic()
        if self._connection.sock is None:
            self._guarded(self._connect)
        response: http.client.HTTPResponse = self._guarded(
            lambda: self._exchange(method, self.settings.base + path, body, headers)
        )
        if self.settings.debug:
            took = time.monotonic() - started
            line = f"DEBUG {method} {self.address}{path} → {response.status} ({took:.3f} s)"
            print(line, file=sys.stderr)
        if notice := response.getheader(NOTICE_HEADER):
            for line in unquote(notice).splitlines():
                print(f"WARNING: {visible(line)}", file=sys.stderr)
        return response

    def _exchange(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, path, body, {**self._headers, **headers})
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # It refuses what is being sent: why, it has written already.
            if self._connection.sock is None:
                raise
        return self._connection.getresponse()

    def _connect(self) -> None:
        self._connection.connect()
        sock = self._connection.sock
        names: Any = (sock.getpeercert() or {}).get("subjectAltName", ())
        if not any(kind == "URI" and _is_director(name) for kind, name in names):
            self._connection.close()
            raise Failure(
                f"what answers at {self.address} is not a director of this installation: "
                "nothing was sent to it"
            )
        sock.settimeout(ANSWER_TIMEOUT)

    def _guarded(self, step: Any) -> Any:
        try:
            return step()
        except ssl.SSLCertVerificationError as error:
            raise Failure(
                f"the certificate of {self.address} is not from the authority in "
                f"{self.settings.ca_cert} ({error.verify_message}): somebody may be in between, "
                f"or the director was set up anew; in that case {_GET_ONE}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            told = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"the director at {self.address} does not answer: {told}") from error


def _credentials(settings: Settings, public: bool) -> tuple[dict[str, str], ssl.SSLContext]:
    if not os.path.exists(settings.ca_cert):
        raise Failure(f"the authority of the director is not known: {_GET_ONE}")
    # Not the default context: it would load, and trust, the authorities of the system.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    headers = {"Accept": "application/json", "User-Agent": "cps-tools"}
    try:
        context.load_verify_locations(settings.ca_cert)
        if public:
            pass
        elif settings.token and not settings.wants_password:
            headers["Authorization"] = f"Bearer {settings.token}"
        elif os.path.exists(settings.cert) and not settings.wants_password:
            context.load_cert_chain(settings.cert, settings.key)
        elif settings.username:
            headers["Authorization"] = basic(settings)
        else:
            raise Failure(f"User certificates are not present: {_GET_ONE}")
    except OSError as error:
        raise Failure(
            f"the certificates ({settings.ca_cert}, {settings.cert}, {settings.key}) cannot be "
            f"loaded: {error.strerror or error}; {_GET_ONE}"
        ) from error
    return headers, context


def basic(settings: Settings) -> str:
    """Return the header that name and password make; asks for a password that is missing."""
    from base64 import b64encode

    password = settings.password
    if not password:
        from conpaas.cli.ask import secret

        password = secret("Enter your password: ", "the password is missing: give --password")
    return f"Basic {b64encode(f'{settings.username}:{password}'.encode()).decode()}"


def _is_director(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "conpaas" and parts.path.split("/")[1:2] == ["director"]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
