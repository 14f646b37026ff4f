"""Which script, or which file, answers a path: the rule that proxies and web nodes follow.

The patterns stand in nginx's configurations; :func:`route` follows the same rule here, for those
who ask a backend directly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

#: A script and what follows it: the first part of the path that ends so is the script.
SCRIPT = r"(?s)^(?<script>.+?\.php)(?<path_info>/.*)?\z"
#: What begins with a dot is nobody's business, but for certificates and the like.
HIDDEN = r"/\.(?!well-known(/|$))"
#: What is, or was, code: nobody reads it.
SOURCE = r"\.(php[0-9]?|phps|phtml|pht|phar)(~|\.(bak|dist|old|orig|save|swp|sample))?$"
#: What a code version is called.
VERSION = r"^[a-z]+-[A-Za-z0-9]+$"
#: Runs what is neither a file nor a script, when permalinks are on; and directories.
INDEX = "index.php"
PAGE = "index.html"


def hidden(private: Sequence[str]) -> str:
    """Return the pattern of paths at which nothing answers.

    Args:
        private: Directories of the code.
    """
    inside = [f"^/{re.escape(directory)}(/|\\z)" for directory in private]
    return "|".join([HIDDEN, *inside])


# Python writes the same pattern otherwise.
_SCRIPT = re.compile(SCRIPT.replace("?<", "?P<").replace(r"\z", r"\Z"))


@dataclass(frozen=True)
class Script:
    """A script runs: its path in the code, beginning with ``/``, and what follows it."""

    path: str
    path_info: str = ""


@dataclass(frozen=True)
class File:
    """A file is sent: its path in the code, beginning with ``/``."""

    path: str


@dataclass(frozen=True)
class Redirect:
    """The path lacks its last ``/``."""

    path: str


@dataclass(frozen=True)
class Nothing:
    """There is nothing at this path."""


Route = Script | File | Redirect | Nothing


def route(tree: Path, path: str, permalinks: bool) -> Route:
    """Return what answers a GET of a path, as proxies and web nodes see it.

    Args:
        tree: Where the code version is.
        path: As in a request: with ``%`` where need be, without a query.
        permalinks: What is neither a file nor a script goes to the index script.
    """
    uri = _normal(path)
    if uri is None or re.search(HIDDEN, uri):
        return Nothing()
    if found := _SCRIPT.match(uri):
        return Script(found["script"], found["path_info"] or "")
    if re.search(SOURCE, uri, re.IGNORECASE):
        return Nothing()
    there = tree / uri.lstrip("/")
    if there.is_file() and not uri.endswith("/"):
        return File(uri)
    if there.is_dir():
        if not uri.endswith("/"):
            return Redirect(f"{uri}/")
        if (there / PAGE).is_file():
            return File(f"{uri}{PAGE}")
        if (there / INDEX).is_file():
            return Script(f"{uri}{INDEX}")
    if permalinks and (tree / INDEX).is_file():
        return Script(f"/{INDEX}")
    return Nothing()


def _normal(path: str) -> str | None:
    """Return a path as nginx understands it; None where it refuses it."""
    plain = unquote_to_bytes(path).decode("utf-8", "surrogateescape")
    if "\0" in plain or not plain.startswith("/"):
        return None
    parts: list[str] = []
    pieces = plain.split("/")[1:]
    for piece in pieces:
        if piece == "..":
            if not parts:
                return None
            parts.pop()
        elif piece not in ("", "."):
            parts.append(piece)
    ends = "/" if pieces[-1] in ("", ".", "..") and parts else ""
    return f"/{'/'.join(parts)}{ends}"
