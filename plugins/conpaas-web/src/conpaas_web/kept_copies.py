"""What nodes keep when versions change, brought from one to others by way of the manager."""

from __future__ import annotations

from collections.abc import Sequence

from conpaas.rpc import Job, Progress, Upload
from conpaas.streams import stream_of
from conpaas_web.agent import WebAgent

NAME = "kept.tar.gz"


def copy_kept(
    source: WebAgent, targets: Sequence[WebAgent], *, replace: bool = False
) -> Job[None]:
    """Bring what a node keeps to others.

    Args:
        source: Who has it.
        targets: Who gets it.
        replace: Nothing that they keep stays; else of the same file the younger one does.
    """
    for index, target in enumerate(targets):
        yield Progress(100 * index // len(targets), "copying the kept directories")
        packed = source.pack_kept()
        with stream_of(packed.pieces) as stream:
            target.unpack_kept(archive=Upload(stream, NAME, packed.size), replace=replace)
