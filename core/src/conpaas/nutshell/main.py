"""``cps-nutshell``: start, look at, stop and destroy the whole system on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from conpaas.errors import ConPaaSError
from conpaas.images.build import DIRECTORY as IMAGES
from conpaas.nutshell.client import LINKS
from conpaas.nutshell.nutshell import Nutshell, Places


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    nutshell = Nutshell(Places(arguments.name, arguments.images, arguments.bin), _say)
    try:
        if arguments.command == "status":
            return 0 if nutshell.status() else 3
        if arguments.command == "start":
            nutshell.start()
        elif arguments.command == "stop":
            nutshell.stop()
        elif _sure(arguments):
            nutshell.destroy(arguments.keep_images)
        else:
            _say("nothing was destroyed")
            return 1
    except ConPaaSError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it was", file=sys.stderr)
        return 130
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _sure(arguments: argparse.Namespace) -> bool:
    if arguments.yes or not sys.stdin.isatty():
        return True
    print(f"All applications of the nutshell '{arguments.name}' and their data will be lost.")
    return input("Continue? [y/N] ").strip().lower() in ("y", "yes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cps-nutshell", description="ConPaaS in a nutshell: the whole system on this machine."
    )
    parser.add_argument("--name", default="nutshell", help="of the nutshell, if there are several")
    parser.add_argument(
        "--images", type=Path, default=IMAGES, help=f"where machine images are; default: {IMAGES}"
    )
    parser.add_argument(
        "--bin", type=Path, default=LINKS, help=f"where the programs are linked; default: {LINKS}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("start", "bring everything up; safe to repeat, also after an update"),
        ("status", "tell what runs"),
        ("stop", "stop director and machines; start brings them back as they were"),
    ):
        commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    destroy = commands.add_parser(
        "destroy", help="destroy the nutshell with all its machines and data"
    )
    destroy.add_argument("-y", "--yes", action="store_true", help="do not ask")
    destroy.add_argument("--keep-images", action="store_true", help="keep the machine images")
    return parser


if __name__ == "__main__":
    sys.exit(main())
