"""Somebody with an SSH key, who works with git."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path


class Person:
    """Somebody with an SSH key, who works with git."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.code = directory / "code"
        self.key = directory / "key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True
        )
        known = directory / "known_hosts"
        self.ssh = (
            f"ssh -F none -i {self.key} -o IdentitiesOnly=yes -o BatchMode=yes "
            f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={known}"
        )
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "SSH_"))},
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": self.ssh,
            "GIT_AUTHOR_NAME": "Anna",
            "GIT_AUTHOR_EMAIL": "anna@example.org",
            "GIT_COMMITTER_NAME": "Anna",
            "GIT_COMMITTER_EMAIL": "anna@example.org",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, line: str, where: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Type a command line in the working copy, or elsewhere."""
        return subprocess.run(
            shlex.split(line),
            cwd=where or self.code,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, line: str, where: Path | None = None) -> str:
        """Type a command line that must succeed; return all that it printed."""
        ran = self.run(line, where)
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def refused(self, line: str, because: str, where: Path | None = None) -> None:
        """Type a command line that must fail."""
        ran = self.run(line, where)
        assert ran.returncode != 0, line
        assert because in ran.stderr, ran.stderr
