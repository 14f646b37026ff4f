"""Answer what the index does not know: the nearest that it does, or why a plugin is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from conpaas.cli.failure import Usage
from conpaas.cli.help import EXTRAS
from conpaas.cli.index import Index, load
from conpaas.cli.visible import visible
from conpaas.nearest import did_you_mean


def looked_again(index: Index, object_name: str) -> Index:
    """Return an index that has the object, with a warning if its plugin is not whole.

    Raises:
        Usage: There is no such object.
    """
    if index.broken:
        index = load(fresh=True)
    reason = visible(index.broken.get(object_name, ""))
    if object_name not in index.objects:
        if reason:
            raise Usage(f"the plugin {object_name!r} is broken here: {reason}")
        near = did_you_mean(object_name, [*index.objects, *EXTRAS])
        raise Usage(f"there is no object {object_name!r}{near}")
    if reason:
        print(f"WARNING: plugin {object_name}: {reason}", file=sys.stderr)
    return index


def operation(index: Index, program: str, given: str, known: Iterable[str]) -> Usage:
    """Return what to say about an operation that there is not."""
    return Usage(
        f"there is no operation {given!r}{did_you_mean(given, known)}",
        f"{program} <operation> [arguments]; see {program} --help",
    )
