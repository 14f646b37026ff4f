"""nginx in front of one of our servers: it terminates TLS and hands requests to a unix socket.

The server behind it believes two headers, which nginx alone can set:
:data:`CERTIFICATE_HEADER` (the client's certificate; see :func:`client_certificate`) and
:data:`ADDRESS_HEADER`.
"""

from __future__ import annotations

import enum
import json
import subprocess
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conpaas import files
from conpaas.errors import (
    ConPaaSError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
    UnreachableError,
)

#: Where servers tell of themselves in Prometheus' text format.
METRICS_PATH = "/metrics"
CERTIFICATE_HEADER = "X-Client-Certificate"
ADDRESS_HEADER = "X-Real-IP"
#: What the frontend tells the director: the address of the browser that it calls for.
CLIENT_HEADER = "X-Conpaas-Client"


class ClientCertificates(enum.StrEnum):
    """What becomes of clients without a certificate of our authority.

    With ``REQUIRED`` they are answered 401 here.  With ``OPTIONAL`` they pass, and so does a
    certificate that is no good: the server checks what it gets and answers in its own words (the
    client does have the certificate's key; the handshake proved that).  With ``NONE`` nobody is
    asked for one.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


def client_certificate(header: str | None) -> str | None:
    """Return the PEM text that a :data:`CERTIFICATE_HEADER` holds, None if there is none."""
    return urllib.parse.unquote(header) if header else None


@dataclass(frozen=True)
class Front:
    """An nginx of our own, with everything that belongs to it in one directory.

    Args:
        directory: Gets ``nginx.conf``, the pid and temporary files; made when needed.
    """

    directory: Path

    def configure(
        self,
        *,
        listen: Sequence[tuple[str, int]],
        upstream: Path,
        certificate: Path,
        key: Path,
        ca: Path | None = None,
        client_certificates: ClientCertificates | str = ClientCertificates.NONE,
        user: str | None = "root",
        locations: str = "",
        connections: int = 4096,
        header_timeout: float = 10,
        for_people: bool = False,
    ) -> bool:
        """Write the configuration and say whether it is another than before.

        Args:
            listen: Addresses (``"0.0.0.0"``, ``"::"``) and ports.
            upstream: The server's unix socket.
            certificate: PEM file of our own certificate.
            key: PEM file of its key.
            ca: PEM file of the authority of clients; needed when they are asked for certificates.
            client_certificates: What becomes of clients without one.
            user: Whom nginx's worker runs as when root starts it: it must be able to use
                ``upstream``.  None leaves that to nginx.
            locations: More ``location`` blocks, in nginx's language; what is said about passing
                requests on counts for them too.
            connections: How many there may be at once, half of them to the server.
            header_timeout: Seconds within which a client must have greeted and sent its headers.
            for_people: ``upstream`` serves pages: while it does not answer, people get one too.

        Raises:
            InvalidError: Client certificates are asked for and there is no ``ca``.
        """
        mode = ClientCertificates(client_certificates)
        if ca is None and mode is not ClientCertificates.NONE:
            raise InvalidError("Client certificates can be checked only with the authority's own.")
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        text = _CONFIGURATION.format(
            user=f"user {user};" if user else "",
            directory=self.directory,
            connections=connections,
            files=2 * connections,
            header_timeout=f"{header_timeout * 1000:.0f}ms",
            upstream=upstream,
            listen="\n".join(f"        listen {_address(*pair)} ssl;" for pair in listen),
            certificate=certificate,
            key=key,
            verify=_VERIFY[mode].format(ca=ca),
            certificate_header=CERTIFICATE_HEADER,
            address_header=ADDRESS_HEADER,
            errors="\n".join(_error(*error) for error in _ERRORS),
            locations=locations,
            root="error_page 500 502 503 504 = /.conpaas-error/page;" if for_people else "",
            page=_PAGE if for_people else "",
        )
        return files.write(self.directory / "nginx.conf", text, 0o600)

    def command(self) -> list[str]:
        """Return the command that is the running nginx; it stays in the foreground.

        It reads its configuration and certificates again on SIGHUP, and ends at once on SIGTERM.
        """
        return [
            "nginx",
            *("-e", "stderr"),
            *("-p", str(self.directory)),
            *("-c", str(self.directory / "nginx.conf")),
        ]

    def check(self) -> None:
        """Have nginx read the configuration without running it.

        Raises:
            InvalidError: It has complaints; they are in the message.
            UnreachableError: nginx is not installed.
        """
        try:
            answer = subprocess.run(
                [*self.command(), "-t", "-q"], capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise UnreachableError("nginx is not installed: install nginx-light.") from error
        if answer.returncode != 0:
            raise InvalidError(f"nginx refuses its configuration: {answer.stderr.strip()}")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


#: nginx's own status codes, and what clients get instead: our error, as it stands on the wire.
_ERRORS: tuple[tuple[str, int, ConPaaSError], ...] = (
    ("400", 400, InvalidError("This is no valid HTTP request.")),
    ("404", 404, NotFoundError("There is nothing at this address.")),
    ("408", 408, InvalidError("The request did not arrive in time.")),
    ("414 494", 431, InvalidError("The address or the headers of the request are too long.")),
    ("495", 401, UnauthenticatedError("The certificate is refused: $ssl_client_verify.")),
    ("496", 401, UnauthenticatedError("A certificate of this deployment is needed.")),
    ("497", 400, InvalidError("This is an HTTPS port: use https://.")),
    (
        "500 502 503 504",
        503,
        UnreachableError(
            "The server is starting or has failed; try again in a moment.",
            detail={"begun": "$begun"},
        ),
    ),
)


def _error(codes: str, status: int, error: ConPaaSError) -> str:
    # No named location (@...): nginx cannot go to one when the request had no path.
    place = f"/.conpaas-error/{codes.split()[0]}"
    body = json.dumps({"error": error.to_json()})
    return (
        f"        error_page {codes} = {place};\n"
        f"        location = {place} {{ internal; return {status} '{body}'; }}"
    )


#: What people get while the pages are not served: it asks again by itself.
_PAGE = """\
        location = /.conpaas-error/page {
            internal;
            default_type "text/html; charset=utf-8";
            add_header Cache-Control no-store always;
            add_header Content-Security-Policy "default-src 'none'; frame-ancestors 'none'" always;
            return 503 '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><meta http-equiv="refresh" content="2"><title>ConPaaS is starting</title></head><body><h1>ConPaaS is starting</h1><p>This page tries again by itself. Applications go on running.</p></body></html>';
        }"""  # noqa: E501 - nginx has no way to break a text
_VERIFY = {
    ClientCertificates.REQUIRED: (
        "ssl_verify_client on;\n        ssl_client_certificate {ca};\n        ssl_verify_depth 1;"
    ),
    # The authority's name goes to browsers, so that they offer only certificates of it.
    ClientCertificates.OPTIONAL: (
        "ssl_verify_client optional_no_ca;\n        ssl_client_certificate {ca};"
    ),
    ClientCertificates.NONE: "ssl_verify_client off;",
}

# No keepalive to the unix socket: it would save 70 us a request, but a connection kept to a
# worker whose threads are all busy would make requests wait while another worker is free.
_CONFIGURATION = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log stderr warn;

events {{
    worker_connections {connections};
}}

http {{
    default_type application/json;
    access_log off;
    server_tokens off;
    # Whether a server that does not answer may have begun with what it was asked: not when there
    # was no connection to it.
    map $upstream_connect_time $begun {{
        ~[0-9] yes;
        default no;
    }}
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;

    # Slow clients: the handshake and the headers have little time, bodies are limited by the
    # server, which knows what it accepts.
    client_header_timeout {header_timeout};
    client_body_timeout 60s;
    send_timeout 60s;
    client_max_body_size 0;
    client_header_buffer_size 2k;
    large_client_header_buffers 8 8k;

    # Our own servers keep connections for up to five minutes and must close them first.
    keepalive_timeout 600s;
    keepalive_requests 1000000;
    reset_timedout_connection on;

    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:tls:1m;
    ssl_session_timeout 1h;
    ssl_session_tickets off;

    upstream server {{
        server unix:{upstream} max_fails=0;
    }}

    server {{
{listen}
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {verify}

        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_connect_timeout 5s;
        proxy_send_timeout 300s;
        proxy_read_timeout 3600s;
        proxy_next_upstream off;
        proxy_set_header Host $http_host;
        proxy_set_header Connection close;
        proxy_set_header {certificate_header} $ssl_client_escaped_cert;
        proxy_set_header {address_header} $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Forwarded-Protocol "";
        proxy_set_header X-Forwarded-Ssl "";
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Forwarded "";

        location / {{
            proxy_pass http://server;
            {root}
        }}
{locations}
{page}

{errors}
    }}
}}
"""
