"""An nginx of a front with a server behind it that tells what reached it."""

import contextlib
import datetime as dt
import http.client
import http.server
import json
import os
import socket
import socketserver
import ssl
import subprocess
import threading
import time

from conpaas.certificates import (
    Authority,
    Identity,
    Role,
    Verifier,
    new_key,
    serial_number,
    signing_request,
)
from conpaas.front import Front, client_certificate

DAY = dt.timedelta(days=1)
ME = Identity(Role.USER, owner=4)


class Upstream(socketserver.ThreadingUnixStreamServer):
    """Answers with what reached it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path):
        self.go_on = threading.Event()
        super().__init__(str(path), _handler(self))
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.go_on.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


def _handler(upstream):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path == "/drip":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"first\n")
                upstream.go_on.wait(10)
                self.wfile.write(b"second\n")
                self.close_connection = True
                return
            if self.path == "/break":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"5\r\nfirst\r\n")
                self.close_connection = True  # and no chunk that is the last
                return
            self.answer(200, {"headers": self.headers.items(), "path": self.path})

        def do_POST(self):
            size = 0
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                while count := int(self.rfile.readline(), 16):
                    size += len(self.rfile.read(count))
                    self.rfile.readline()
            else:
                left = int(self.headers["Content-Length"])
                while left:
                    piece = self.rfile.read(min(65536, left))
                    size, left = size + len(piece), left - len(piece)
            self.answer(418, {"size": size})

        def answer(self, status, value):
            body = json.dumps(value, default=list).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self):
            return "unix"

        def log_message(self, *arguments):
            pass

    return Handler


class Site:
    """An nginx with everything around it."""

    def __init__(self, directory, **options):
        self.directory = directory
        self.authority = Authority.create(directory / "ca", "acme")
        self.socket = directory / "server.sock"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.own = self.new_certificate(Identity(Role.DIRECTOR))
        self.front = Front(directory / "front")
        self.options = {
            "listen": [("127.0.0.1", self.port)],
            "upstream": self.socket,
            "certificate": self.own,
            "key": self.own,
            "ca": directory / "ca" / "ca.pem",
            "user": "root" if os.geteuid() == 0 else None,
            **options,
        }
        assert self.front.configure(**self.options)
        self.front.check()
        self.process = subprocess.Popen(self.front.command(), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def new_certificate(self, identity, lifetime=DAY, authority=None):
        key = new_key()
        certificate = (authority or self.authority).issue(signing_request(key), identity, lifetime)
        path = self.directory / f"{serial_number(certificate)}.pem"
        path.write_text(certificate + key)
        return path

    def context(self, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.directory / "ca" / "ca.pem")
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def connect(self, certificate=None, context=None):
        context = context or self.context(certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)

    def call(self, method="GET", path="/", certificate=None, **arguments):
        with contextlib.closing(self.connect(certificate)) as connection:
            connection.request(method, path, **arguments)
            response = connection.getresponse()
            text = response.read()
            assert response.getheader("Content-Type", "application/json") == "application/json"
            return response.status, json.loads(text)

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def headers(answer):
    return {name.lower(): value for name, value in answer["headers"]}


def bearer(site, answer):
    pem = client_certificate(headers(answer).get("x-client-certificate"))
    return pem and Verifier(site.authority.ca_pem, "acme").verify(pem).identity
