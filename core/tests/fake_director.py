"""A director that answers what a test wants, over real TLS."""

import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificates:
    """An authority, and certificates of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.key.public_key(), "authority", [], is_authority=True)
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def issue(self, uri: str) -> Path:
        """Return a file with a certificate of that name and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), uri, [x509.UniformResourceIdentifier(uri)])
        path = self.directory / f"{hashlib.sha256(uri.encode()).hexdigest()[:8]}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    def sign(self, csr: str) -> str:
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        uri = x509.UniformResourceIdentifier("conpaas://test/user/owner/1")
        signed = self._sign(request.public_key(), "user", [uri])
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(self, public_key, name, names, is_authority=False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if names:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(
                x509.SubjectAlternativeName([*names, loopback]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())


class Request:
    """What a client sent."""

    def __init__(self, method: str, path: str, headers, body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class FakeDirector:
    """Answers what it was told to, and remembers what it was asked.

    ``answers`` maps a path (below ``/api/v1``, without the query) to what ``result`` is, or to a
    function of the request that returns a status and a body.
    """

    def __init__(self, certificates: Certificates, uri: str = "conpaas://test/director") -> None:
        self.certificates = certificates
        self.answers = {}
        self.requests: list[Request] = []
        self.peers: list[dict | None] = []
        #: Paths that answer before they have read what is sent.
        self.impatient: set[str] = set()
        #: Paths after whose answers the connection goes without a word.
        self.abrupt: set[str] = set()
        director = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_POST(self) -> None:
                director._serve(self)

            do_GET = do_POST  # noqa: N815 - as http.server calls it

            def log_message(self, *arguments) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.issue(uri))
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda request, address: None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def job(self, path: str, *reports: dict) -> None:
        """Answer a call with a job that makes these reports, the last one for ever."""
        left = list(reports)
        defaults = {"id": 7, "target": "x", "operation": "x", "percent": 0, "message": ""}
        defaults |= {"result": None, "error": None}

        def report(request):
            return 200, {"result": defaults | (left.pop(0) if len(left) > 1 else left[0])}

        self.answers[path] = lambda request: (202, {"job": 7, "watch": "/api/v1/jobs/7"})
        self.answers["/jobs/7"] = report

    def refuse(self, path: str, status: int, code: str, message: str) -> None:
        error = {"error": {"code": code, "message": message, "detail": None}}
        self.answers[path] = lambda request: (status, error)

    def _serve(self, handler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        path = handler.path.removeprefix("/api/v1").partition("?")[0]
        if path in self.impatient:
            handler.close_connection = True
            body = b""
        elif size > 1 << 20:
            digest = hashlib.sha256()
            while size:
                piece = handler.rfile.read(min(size, 1 << 20))
                digest.update(piece)
                size -= len(piece)
            body = digest.hexdigest().encode()
        else:
            body = handler.rfile.read(size)
        request = Request(handler.command, handler.path, handler.headers, body)
        self.requests.append(request)
        self.peers.append(handler.connection.getpeercert())
        answer = self.answers.get(path, lambda request: (404, _unknown(path)))
        status, said = answer(request) if callable(answer) else (200, {"result": answer})
        headers = {"Content-Type": "application/json"}
        if isinstance(said, tuple):
            said, extra = said
            headers |= extra
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
        if path in self.abrupt:
            handler.close_connection = True


def _unknown(path: str) -> dict:
    return {"error": {"code": "not-found", "message": f"nothing at {path}", "detail": None}}
