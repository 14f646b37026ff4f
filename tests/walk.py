"""A page of the documentation, walked through as somebody does who types what stands there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from documents import Normal, sections, typed
from e2e import Nutshell


class Walk:
    """Types the commands of a page, section by section.

    Args:
        page: Its file.
        nutshell: Where the commands are carried out.
        directory: Where files are, and come to be.
        answers: What is typed when a command asks: lines, by a word that is in the command.
        edit: Does what a block of another language says.
    """

    def __init__(
        self,
        page: Path,
        nutshell: Nutshell,
        directory: Path,
        answers: Mapping[str, str],
        edit: Callable[[str, str], None],
    ) -> None:
        self._sections = sections(page)
        self._nutshell, self._directory = nutshell, directory
        self._answers, self._edit = answers, edit
        self._normal = Normal()
        #: The output of the last command.
        self.said = ""
        self.walked: list[str] = []

    def go(self, number: int) -> None:
        """Carry out a section, by the number that its heading begins with."""
        (heading,) = (one for one in self._sections if one.startswith(f"{number}. "))
        self.walked.append(heading)
        for block in self._sections[heading]:
            if block.language == "sh":
                self._run(block.text)
            elif block.language == "console":
                for command, expected in typed(block):
                    line = self._normal.type(command)
                    run = self._at_terminal if "terminal" in block.info else self._run
                    self.said = run(line)
                    self._normal.compare(expected, self.said.splitlines())
            else:
                self._edit(block.language, block.text)

    @property
    def is_over(self) -> bool:
        """Whether every section was walked through, in its order."""
        return self.walked == [*self._sections]

    def told(self, name: str) -> str:
        """Return a value that the last command has shown by its name."""
        (value,) = re.findall(rf"^{name}: (.*)$", self.said, re.MULTILINE)
        return str(value)

    def _run(self, text: str) -> str:
        return self._nutshell.cps.ok(self._in_shell(text), self._answer(text), seconds=240)

    def _in_shell(self, text: str) -> list[str]:
        return ["bash", "-euo", "pipefail", "-c", f"cd {self._directory}\n{text}"]

    def _answer(self, text: str) -> str:
        return "".join(lines for word, lines in self._answers.items() if word in text)

    def _at_terminal(self, line: str) -> str:
        """Run a command at a terminal of its own, where it asks for a password."""
        master, slave = os.openpty()
        process = subprocess.Popen(
            self._in_shell(line), stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=lambda: os.login_tty(os.dup(slave)),
        )  # fmt: skip
        os.close(slave)
        said = b""
        try:
            while b"password:" not in said:
                said += os.read(master, 1000)
            os.write(master, self._answer(line).encode())
            while piece := _read(master):
                said += piece
        finally:
            os.close(master)
            code = process.wait(30)
        assert code == 0, f"$ {line}\n{said.decode()}"
        return said.decode().replace("\r", "").strip()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # its programs have ended
        return b""
