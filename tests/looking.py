"""A whole ConPaaS with its pages, on a port of this machine, for looking at: run this file.

Usage: python tests/looking.py [PORT]

It ends with Ctrl-C, and nothing of it stays.  Log in as test, with the password it prints.
"""

from __future__ import annotations

import datetime as dt
import io
import socketserver
import ssl
import sys
import tempfile
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from browsing import Browser, session_of
from hosting import hosting_plugins

from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.frontend.server import make_app
from conpaas.testing.cluster import DIRECTOR_URL, PASSWORD, Cluster
from conpaas.testing.network import NetworkPeers


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):
        pass


class _Body(io.RawIOBase):
    """A request's body, which ends where its length says: this server's own does not."""

    def __init__(self, stream, length):
        self._stream, self._left = stream, length

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._stream.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def bounded(app):
    """Return an application whose requests' bodies have an end, as behind gunicorn."""

    def call(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BufferedReader(_Body(environ["wsgi.input"], length))
        return app(environ, start_response)

    return call


def frontend_of(cluster):
    """Return the frontend of a cluster."""
    request = signing_request(new_key())
    certificate = cluster.authority.issue(request, Identity(Role.FRONTEND), dt.timedelta(days=1))
    return make_app(NetworkPeers(cluster.network, certificate), DIRECTOR_URL, cluster.plugins)


def logged_in(cluster):
    """Return a browser on the pages of a cluster whose user is logged in."""
    made = Browser(frontend_of(cluster))
    made.cookies["__Host-conpaas"] = session_of(cluster)
    return made


def server_of(cluster, directory, port=0):
    """Return a server with TLS on 127.0.0.1 that serves the pages of a cluster."""
    key = new_key()
    issued = cluster.authority.issue(
        signing_request(key), Identity(Role.DIRECTOR), dt.timedelta(days=1), ["127.0.0.1"]
    )
    both = Path(directory) / "server.pem"
    both.write_text(key + issued)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server = _Server(("127.0.0.1", port), _Quiet)
    # Not in the thread that accepts: browsers open connections and say nothing on them.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda request, address: None
    server.set_app(bounded(frontend_of(cluster)))
    return server


def main():
    """Serve until Ctrl-C."""
    with Cluster(hosting_plugins()) as cluster, tempfile.TemporaryDirectory() as directory:
        server = server_of(cluster, directory, int(sys.argv[1]) if len(sys.argv) > 1 else 8443)
        print(f"https://127.0.0.1:{server.server_port}/  test / {PASSWORD}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
