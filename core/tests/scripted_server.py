"""A server that talks bytes after a script, over TLS, and members of a deployment to call it."""

import datetime as dt
import socket
import ssl
import threading

from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.transport import TlsFiles

DAY = dt.timedelta(days=1)
AGENT = Identity(Role.AGENT, owner=1, application=2, machine=3)
MANAGER = Identity(Role.MANAGER, owner=1, application=2, machine=1)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Member:
    """A member of the deployment with its files."""

    def __init__(self, directory, authority, identity, lifetime=DAY):
        directory.mkdir(exist_ok=True)
        self.authority = authority
        key = new_key()
        self.tls = TlsFiles(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
        self.tls.ca.write_text(authority.ca_pem)
        self.tls.key.write_text(key)
        self.tls.certificate.write_text(authority.issue(signing_request(key), identity, lifetime))


class Server:
    """Carries out one script for each connection; a script talks bytes."""

    def __init__(self, member, *scripts):
        self.requests = []
        self.peers = []
        self.connections = 0
        self._scripts = list(scripts)
        self.use(member)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def use(self, member):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(member.tls.certificate, member.tls.key)
        self._context.load_verify_locations(member.tls.ca)
        self._context.verify_mode = ssl.CERT_OPTIONAL

    def _run(self):
        while self._scripts:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            script = self._scripts.pop(0)
            try:
                with self._context.wrap_socket(raw, server_side=True) as sock:
                    self.peers.append(sock.getpeercert())
                    script(self, sock)
            except OSError:
                raw.close()

    def read_request(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += sock.recv(65536)
        if b"chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += sock.recv(65536)
        self.requests.append((head.split(b" HTTP")[0].decode(), body))
        return head

    def close(self):
        self.over.set()
        self._scripts.clear()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def answering(*answers):
    """Answer that often on one connection, then close it."""

    def script(server, sock):
        for answer in answers:
            if server.read_request(sock) is None:
                return
            sock.sendall(answer)

    return script


def dropping(server, sock):
    """Read a request and close the connection without a word."""
    server.read_request(sock)


def silent(server, sock):
    server.read_request(sock)
    server.over.wait(10)
