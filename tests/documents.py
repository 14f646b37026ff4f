"""Pages of the documentation: their blocks, and sessions that are typed as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Block:
    """A fenced block; ``info`` is what stands behind the fence: a language, maybe more."""

    info: str
    text: str

    @property
    def language(self) -> str:
        """The first word of the info."""
        return self.info.partition(" ")[0]

    @property
    def place(self) -> str:
        """The file whose content the block is, empty if it is none's."""
        return self.info.partition(" ")[2]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    return _blocks(page.read_text())


def _blocks(text: str) -> list[Block]:
    found = re.findall(r"^```([^\n`]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(info.strip(), text) for info, text in found]


def typed(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def sections(page: Path) -> dict[str, list[Block]]:
    """The fenced blocks of a page below each of its headings of the second level."""
    _, *parts = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    return {part.partition("\n")[0]: _blocks(part) for part in parts}


class Normal:
    """Makes two sessions alike: addresses, ids, times and the nutshell's name differ.

    What stood on the page is remembered with what came instead, so that later commands can be
    typed with it.
    """

    _VARYING = re.compile(
        r"\b10(?:\.\d+){3}\b|\bcode-(?!default)\w{6}\b|\d{4}-\d\d-\d\dT[\d:.+]+|\b[\w]+(?=-u1-a1-)"
    )

    def __init__(self) -> None:
        self._came: dict[str, str] = {}

    def type(self, line: str) -> str:
        """Return a command of the page as it must be typed here."""
        return self._VARYING.sub(lambda found: self._came.get(found[0], found[0]), line)

    def compare(self, expected: list[str], printed: list[str]) -> None:
        """Assert that what was printed is what the page shows."""
        assert self._lines(printed) == self._lines(expected)
        for there, here in zip(expected, printed, strict=True):
            self._came |= dict(
                zip(self._VARYING.findall(there), self._VARYING.findall(here), strict=True)
            )

    def _lines(self, lines: list[str]) -> list[list[str]]:
        # Columns are as wide as the widest value.
        return [re.sub(r"-{4,}", "----", self._VARYING.sub("?", line)).split() for line in lines]
