"""A director in little: it lets machines join and renews their certificates."""

import datetime as dt
import http.server
import json
import ssl
import threading

import pytest

from conpaas.certificates import Authority, Identity, Role, Verifier, new_key, signing_request

DAY = dt.timedelta(days=1)


class FakeDirector:
    """Answers on a port of 127.0.0.1; ``trouble`` holds answers to give first."""

    def __init__(self, directory):
        self.authority = Authority.create(directory / "ca", "acme")
        self.verifier = Verifier(self.authority.ca_pem, "acme")
        self.tokens = {"secret": Identity(Role.AGENT, owner=1, application=2, machine=3)}
        self.requests = []
        self.trouble = []
        self.revoked = []
        self.lifetime = DAY
        key = new_key()
        certificate = self.authority.issue(signing_request(key), Identity(Role.DIRECTOR), DAY)
        (directory / "director.pem").write_text(key + certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "director.pem")
        context.load_verify_locations(directory / "ca" / "ca.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, method, path, body, pem):
        if self.trouble:
            return self.trouble.pop(0)
        if path == "/api/v1/join":
            identity = self.tokens.get(body["token"])
            if identity is None:
                error = {"code": "denied", "message": "The token is used up.", "detail": None}
                return 403, {"error": error}
            return 201, {
                "result": {
                    "certificate": self.authority.issue(body["csr"], identity, self.lifetime),
                    "ca": self.authority.ca_pem,
                    "role": str(identity.role),
                    "config": 'greeting = "hello"\n',
                }
            }
        if path == "/api/v1/renew":
            identity = self.verifier.verify(pem).identity
            certificate = self.authority.issue(body["csr"], identity, self.lifetime)
            return 200, {"result": {"certificate": certificate}}
        if path == "/api/v1/revoked":
            return 200, {"result": self.revoked}
        return 404, {"error": {"code": "not-found", "message": path, "detail": None}}

    def _handler(self):
        director = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                der = self.connection.getpeercert(binary_form=True)
                pem = ssl.DER_cert_to_PEM_cert(der) if der else None
                director.requests.append((self.path, body))
                status, answer = director.answer(self.command, self.path, body, pem)
                if status == 0:  # the answer gets lost
                    director.answer(self.command, self.path, body, pem)
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST  # noqa: N815  (http.server's name)

            def log_message(self, *arguments):
                pass

        return Handler


@pytest.fixture
def director(tmp_path):
    (tmp_path / "director").mkdir()
    director = FakeDirector(tmp_path / "director")
    yield director
    director.close()
