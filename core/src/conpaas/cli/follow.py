"""Go on showing a text that grows, until the user has seen enough."""

from __future__ import annotations

import sys
import time

from conpaas.cli.failure import Unreachable, Usage
from conpaas.cli.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conpaas.cli.call import Director

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
#: How long a director that stopped answering is waited for: it may be coming back, in seconds.
PATIENCE = 60.0


def follow(
    director: Director,
    path: str,
    arguments: dict[str, Any],
    switches: dict[str, Any],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Print the end of a text and what is added to it; only an error or the user ends this.

    Args:
        director: Whom to ask.
        path: Of the operation that returns the pieces.
        arguments: Of each call, but for ``after``.
        switches: What was typed for the command line itself.
        sleep: Waits for seconds.
        clock: Seconds, rising.

    Raises:
        Failure: What the director answered, or that it stayed away.
    """
    if switches.get("format", "table") != "table" or switches.get("column"):
        raise Usage("--follow shows text as it comes: leave --format and --column out")
    after, pause, silent_since = None, FIRST_PAUSE, 0.0
    terminal = sys.stdout.isatty()
    while True:
        try:
            piece = director.call(path, {**arguments, "after": after}).result
        except Unreachable as error:
            silent_since = silent_since or clock()
            if clock() - silent_since > PATIENCE:
                raise
            print(f"{visible(error.message)}; trying again", file=sys.stderr)
            sleep(LONGEST_PAUSE)
            continue
        silent_since, after = 0.0, piece["after"]
        if text := piece["text"]:
            sys.stdout.write(visible(text, keep="\n\t") if terminal else text)
            sys.stdout.flush()
            pause = FIRST_PAUSE
        sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)
