"""Sets the command line up for a nutshell, and takes that back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from conpaas.director.config import DirectorConfig

LINKS = Path("/usr/local/bin")


class Client:
    """The command line's configuration and its programs on the PATH.

    Args:
        record: Where it is noted what was made, so that it can be taken back.
        say: Told what happens.
        links: The directory, on the user's PATH, that the programs are linked into.
    """

    def __init__(self, record: Path, say: Callable[[str], None], links: Path = LINKS) -> None:
        self._record = record
        self._say = say
        self._links = links
        self._directory = Path.home() / ".conpaas"

    def install(self, config: DirectorConfig, token: str, ca: Path) -> None:
        """Write the configuration, unless the user has another one, and link the programs."""
        made = self._made()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        file = self._directory / "cps-tools.conf"
        if file.exists() and str(file) not in made:
            self._say(
                f"{file} is not the nutshell's and is left alone: to use the nutshell, give "
                f"--director_url {config.director.url}"
            )
        else:
            authority = self._directory / "nutshell-ca.pem"
            authority.write_text(ca.read_text())
            file.touch(mode=0o600)
            file.write_text(
                f"[cps-tools]\ndirector_url = {config.director.url}\n"
                f"token = {token}\nca_cert = {authority}\n"
            )
            made |= {str(file), str(authority)}
        made |= self._link(made)
        self._record.write_text(json.dumps(sorted(made)))

    def remove(self) -> None:
        """Remove what :meth:`install` made."""
        for path in self._made():
            Path(path).unlink(missing_ok=True)
        if self._directory.is_dir() and not any(self._directory.iterdir()):
            self._directory.rmdir()

    def _link(self, made: set[str]) -> set[str]:
        links = set()
        self._links.mkdir(parents=True, exist_ok=True)
        for program in sorted(Path(sys.executable).parent.glob("cps-*")):
            link = self._links / program.name
            if link.is_symlink() and (str(link) in made or not link.exists()):
                link.unlink()
            if not link.exists():
                link.symlink_to(program)
                links.add(str(link))
            elif link.resolve() != program.resolve():
                self._say(f"{link} is another program: use {program}")
        return links

    def _made(self) -> set[str]:
        try:
            return set(json.loads(self._record.read_text()))
        except FileNotFoundError:
            return set()
