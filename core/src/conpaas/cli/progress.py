"""Show how far something is: a bar on a terminal, a line for each new step elsewhere."""

from __future__ import annotations

import os
import sys

from conpaas.cli.visible import fitting, visible

_CELLS = 24


class Meter:
    """Shows steps on stderr, so that stdout holds the result alone."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._seen = ""

    def step(self, percent: int, message: str) -> None:
        """Show a step; one that is shown already is not repeated."""
        percent = max(0, min(100, percent))
        message = visible(message)
        shown = f"{percent}{message}" if self._terminal else message
        if not message or shown == self._seen:
            return
        self._seen = shown
        if self._terminal:
            full = _CELLS * percent // 100
            line = f"{'█' * full}{'░' * (_CELLS - full)} {percent:3d}% {message}"
            self._write(f"\r\x1b[K{fitting(line, _columns() - 1)}")
        else:
            self._write(f"[{percent:3d}%] {message}\n")

    def count(self, message: str) -> None:
        """Show how much there is so far, of something whose size is not known: on a terminal."""
        if self._terminal and message != self._seen:
            self._seen = message
            self._write(f"\r\x1b[K{fitting(message, _columns() - 1)}")

    def note(self, text: str) -> None:
        """Show something that is not a step."""
        self._seen = ""
        self._write(f"\r\x1b[K{visible(text)}\n" if self._terminal else f"{visible(text)}\n")

    def end(self) -> None:
        """Take the bar away."""
        if self._terminal and self._seen:
            self._write("\r\x1b[K")
        self._seen = ""

    def _write(self, text: str) -> None:
        encoding = sys.stderr.encoding or "ascii"
        sys.stderr.write(text.encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
