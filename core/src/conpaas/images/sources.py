"""Where this machine gets Debian's packages from: images take theirs from there too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from conpaas.errors import InvalidError

Stanza = dict[str, str]
_KEPT = ("Signed-By", "Trusted", "Architectures")


def debian_sources(suite: str, apt: Path = Path("/etc/apt")) -> str:
    """Return apt's sources of a release of Debian, ``main`` only, as a ``.sources`` file.

    Args:
        suite: The release, as in ``bookworm``; its updates and security fixes come too.
        apt: The directory with this machine's own sources.

    Raises:
        InvalidError: This machine has no source for that release.
    """
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    found = []
    for stanza in _stanzas(apt):
        suites = [name for name in stanza["Suites"].split() if name in wanted]
        if suites and "deb" in stanza["Types"].split() and "main" in stanza["Components"].split():
            kept = {name: stanza[name] for name in _KEPT if name in stanza}
            found.append(_text(stanza["URIs"], suites, kept))
    if not any(re.search(rf"^Suites:.* {suite}( |$)", text, re.MULTILINE) for text in found):
        raise InvalidError(
            f"the sources in {apt} name no mirror of Debian {suite}: pass a file with --sources"
        )
    return "\n".join(found)


def _text(uris: str, suites: list[str], kept: Stanza) -> str:
    fields = {"Types": "deb", "URIs": uris, "Suites": " ".join(suites), "Components": "main"}
    return "".join(f"{name}: {value}\n" for name, value in {**fields, **kept}.items())


def _stanzas(apt: Path) -> Iterator[Stanza]:
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for paragraph in re.split(r"\n\s*\n", text):
            folded = re.sub(r"\n[ \t]+", " ", paragraph)
            stanza = dict(re.findall(r"^([\w-]+):\s*(.*?)\s*$", folded, re.MULTILINE))
            if {"Types", "URIs", "Suites", "Components"} <= stanza.keys() and (
                stanza.get("Enabled", "yes").lower() != "no"
            ):
                yield stanza
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                yield from _one_line(line)


def _one_line(line: str) -> Iterator[Stanza]:
    parts = re.match(r"\s*(deb)\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
    if parts is None:
        return
    kind, options, uri, suite, components = parts.groups()
    stanza = {"Types": kind, "URIs": uri, "Suites": suite, "Components": components.strip()}
    names = {"signed-by": "Signed-By", "trusted": "Trusted", "arch": "Architectures"}
    for option in (options or "").split():
        name, _, value = option.partition("=")
        if name in names:
            stanza[names[name]] = value.replace(",", " ")
    yield stanza
