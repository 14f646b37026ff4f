"""The program ``conpaas-machine``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from conpaas.errors import ConPaaSError
from conpaas.machine.console import say
from conpaas.machine.places import Places


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="conpaas-machine", description="Looks after this machine of a ConPaaS deployment."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="where the machine's files are"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("boot", help="carry out the user-data, then run (local cloud)")
    commands.add_parser("join", help="join the deployment (what the user-data asks for)")
    commands.add_parser("run", help="supervise the machine's programs (what systemd runs)")
    options = parser.parse_args(arguments)
    try:
        _carry_out(options.command, Places(options.root))
    except ConPaaSError as error:
        say(error.message)
        return 1
    return 0


def _carry_out(command: str, places: Places) -> None:
    from conpaas.machine.boot import boot, run, share_mounts

    if command == "boot":
        share_mounts(places)
        boot(places)
        run(places)
    elif command == "run":
        run(places)
    else:
        from conpaas.machine.join import join

        join(places)


if __name__ == "__main__":
    raise SystemExit(main())
