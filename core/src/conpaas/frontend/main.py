"""``cps-frontend``: serves the pages, beside the director or on another machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from conpaas import config as files
from conpaas.errors import ConPaaSError, InvalidError
from conpaas.front import ClientCertificates, Front
from conpaas.frontend.config import DEFAULT_PATH, FrontendConfig
from conpaas.frontend.server import make_app
from conpaas.plugins import Plugins
from conpaas.serving import serve
from conpaas.supervisor.s6 import Supervisor
from conpaas.transport import Peers, TlsFiles
from conpaas.web import App


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        config = files.load(FrontendConfig, arguments.config, os.environ)
        if arguments.command == "web":
            serve_web(config)
        else:
            _serve_all(config, arguments.config.resolve())
    except ConPaaSError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def serve_web(config: FrontendConfig) -> None:
    """Answer browsers on the socket until SIGTERM."""
    section = config.frontend
    tls = TlsFiles(config.data / "ca.pem", config.data / "cert.pem", config.data / "key.pem")
    for file in (tls.ca, tls.certificate, tls.key):
        if file is None or not file.exists():
            raise InvalidError(
                f"{file} is not there: make the frontend's certificate on the director's machine "
                "with cps-director frontend_certificate"
            )

    def build() -> App:
        return make_app(
            Peers(tls),
            section.director_url,
            Plugins.installed(section.plugins or None),
            section.metrics_token,
        )

    config.socket.parent.mkdir(parents=True, exist_ok=True)
    serve(build, config.socket, threads=section.threads)


def _serve_all(config: FrontendConfig, path: Path) -> None:
    section = config.frontend
    if not section.listen:
        raise InvalidError(f"{path}: [frontend] must have the key 'listen' to serve by itself")
    if bool(section.tls_certificate) != bool(section.tls_key):
        raise InvalidError(f"{path}: tls_certificate and tls_key belong together")
    front = Front(config.data / "front")
    config.socket.parent.mkdir(parents=True, exist_ok=True)
    front.configure(
        listen=[_address(text, path) for text in section.listen],
        upstream=config.socket,
        certificate=Path(section.tls_certificate or config.data / "cert.pem"),
        key=Path(section.tls_key or config.data / "key.pem"),
        client_certificates=ClientCertificates.NONE,
        user="root" if os.geteuid() == 0 else None,
        for_people=True,
    )
    keeper = Supervisor(config.data / "service", config.data / "log")
    keeper.define("front", front.command())
    keeper.define(
        "frontend",
        [sys.executable, "-m", "conpaas.frontend.main", "--config", str(path), "web"],
    )
    command = keeper.run_command()
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def _address(text: str, path: Path) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise InvalidError(f"{path}: {text!r} is no address with a port, such as 0.0.0.0:443")
    return host.strip("[]"), int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cps-frontend", description="Serve the web pages of a ConPaaS director."
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, help=f"default: {DEFAULT_PATH}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("serve", "run everything, supervised, in the foreground"),
        ("web", "answer browsers on the socket (run by serve, or by the director)"),
    ):
        commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    return parser


if __name__ == "__main__":
    sys.exit(main())
