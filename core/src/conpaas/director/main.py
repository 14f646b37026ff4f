"""``cps-director``: the director's own command, for its machine."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from conpaas.certificates import Authority, Identity, Role
from conpaas.director import check, make, registration, serve, users
from conpaas.director.config import DEFAULT_PATH, DirectorConfig
from conpaas.director.database import open_database
from conpaas.errors import ConPaaSError, InvalidError
from conpaas.machine.places import IdentityFiles
from conpaas.plugins import Plugins


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(make.load_config(arguments.config), arguments))
    except ConPaaSError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _init(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    done = make.initialise(config)
    serve.define_processes(config, arguments.config.resolve())
    for sentence in done or ["everything is there already: nothing was changed"]:
        print(sentence)
    return 0


def _serve(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    make.initialise(config)
    serve.define_processes(config, arguments.config.resolve())
    command = serve.supervisor(config).run_command()
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


def _web(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    serve.serve_web(config)
    return 0


def _desk(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    serve.serve_desk(config)
    return 0


def _work(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    serve.work(config)
    return 0


def _check(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    found = check.problems(config)
    for problem in found:
        print(f"- {problem}")
    if found:
        print(f"{len(found)} problem(s) in {arguments.config}")
        return 1
    print(f"{arguments.config}: no problem found")
    return 0


def _adduser(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    plugins = Plugins.installed(config.director.plugins or None)
    profile = registration.Profile(
        arguments.username,
        arguments.email,
        arguments.fname,
        arguments.lname,
        arguments.affiliation,
    )
    with open_database(config.director.database_url, config.data).connection_context():
        registration.add_user(
            config, plugins, profile, _password(), admin=arguments.admin, credit=arguments.credit
        )
    print(f"User '{arguments.username}' created successfully.")
    return 0


def _passwd(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    with open_database(config.director.database_url, config.data).connection_context():
        users.set_password(arguments.username, _password())
    print(
        f"Password of user '{arguments.username}' changed; all sessions, tokens and "
        "certificates have ended."
    )
    return 0


def _status(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    keeper = serve.supervisor(config)
    if not keeper.is_active():
        print("the director is stopped")
        return 3
    down = 0
    for name in keeper.names():
        pid = keeper.pid(name)
        down += pid is None
        print(f"{name}: {'running, pid ' + str(pid) if pid else 'stopped'}")
    return 3 if down else 0


def _frontend_certificate(config: DirectorConfig, arguments: argparse.Namespace) -> int:
    authority = Authority.load(config.data / "authority")
    place = IdentityFiles(arguments.directory)
    hosts = set(arguments.host)
    fresh = make.issue(authority, Identity(Role.FRONTEND), place, hosts)
    told = "issued" if fresh else "present, and good for a while"
    print(f"{arguments.directory}: the certificate is {told}")
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Retype password: ") != first:
        raise InvalidError("the passwords do not match")
    return first


def _credit(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of credits")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cps-director", description="Set up and run a ConPaaS director on this machine."
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_PATH, help=f"default: {DEFAULT_PATH}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, run, text in (
        ("init", _init, "make database, certificate authority and certificate; safe to repeat"),
        ("serve", _serve, "run everything, supervised, in the foreground"),
        ("check", _check, "explain what is wrong with the configuration"),
        ("status", _status, "tell which processes run"),
        ("web", _web, "answer users and machines (run by serve)"),
        ("desk", _desk, "answer managers (run by serve)"),
        ("work", _work, "run jobs (run by serve)"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(run=run)
    frontend = commands.add_parser(
        "frontend_certificate",
        help="issue a certificate for a frontend on another machine, for 90 days",
    )
    frontend.add_argument("directory", type=Path, help="gets ca.pem, cert.pem and key.pem")
    frontend.add_argument(
        "--host", action="append", default=[], help="name or address that browsers will use"
    )
    frontend.set_defaults(run=_frontend_certificate)
    adduser = commands.add_parser(
        "adduser", help="create a user; the password is asked for, or read from standard input"
    )
    adduser.add_argument("username")
    adduser.add_argument("--email", default="")
    for name, text in (
        ("fname", "first name"),
        ("lname", "last name"),
        ("affiliation", "where the user belongs"),
    ):
        adduser.add_argument(f"--{name}", default="", help=text)
    adduser.add_argument("--credit", type=_credit, help="to begin with; default: as for everybody")
    adduser.add_argument("--admin", action="store_true", help="may see and do everything")
    adduser.set_defaults(run=_adduser)
    passwd = commands.add_parser("passwd", help="change a user's password")
    passwd.add_argument("username")
    passwd.set_defaults(run=_passwd)
    return parser


if __name__ == "__main__":
    sys.exit(main())
