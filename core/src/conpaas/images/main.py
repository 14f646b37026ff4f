"""The command line of the image builder: ``images/build.py``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conpaas.errors import ConPaaSError
from conpaas.images.build import DIRECTORY, build_local_image
from conpaas.images.prune import prune_images
from conpaas.images.recipe import Recipe
from conpaas.plugins import Plugins


def main(arguments: list[str] | None = None) -> None:
    """Build an image and print its name; progress and complaints go to stderr."""
    options = _parser().parse_args(arguments)
    services = options.service or sorted(Plugins.installed().services)
    try:
        if options.print_recipe:
            print(Recipe.of(services, Plugins.installed(only=services)))
            return
        name = build_local_image(options.output, services, _say, options.sources)
        if options.prune:
            for old in prune_images(options.output, keep=[name], newest=1):
                _say(f"removed {old}")
    except ConPaaSError as error:
        sys.exit(f"{error.message}\nNothing was built; correct this and call again.")
    print(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the image that machines boot from.")
    parser.add_argument("--target", choices=["local"], default="local", help="kind of cloud")
    parser.add_argument(
        "--service",
        action="append",
        metavar="NAME",
        help="service type to make it for; may be repeated; all that are installed if none",
    )
    parser.add_argument(
        "--output", type=Path, default=DIRECTORY, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--sources", type=Path, metavar="FILE", help="apt's sources; default: this machine's"
    )
    parser.add_argument("--print-recipe", action="store_true", help="print what goes in, and end")
    parser.add_argument("--prune", action="store_true", help="then remove images nobody uses")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
