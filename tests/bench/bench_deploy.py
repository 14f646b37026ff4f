"""From ``git push`` to the first byte of the new version (needs root).

Ours: the push to the manager, ``enable_code``, and asking the proxy until it says the new text.
Beside it what can be made by hand: an OpenSSH server, a bare repository whose post-receive hook
checks out, and an nginx that serves the directory.  The first deployment of a service and the
later ones are told apart.  Makes a nutshell called ``bench`` and destroys it at the end.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from harness import BenchError, Figure, Workbench, alternate, free_port, median_of, wait_until
from machines import Application, Service, nutshell
from php_services import address_of, wait_for_text

from conpaas.rpc import Upload, finish

_NGINX = """\
daemon off; worker_processes 1; pid DIRECTORY/pid; error_log DIRECTORY/error.log;
events { worker_connections 64; }
http { access_log off; server { listen 127.0.0.1:PORT; root DIRECTORY/served; } }
"""
_HOOK = """\
#!/bin/sh
GIT_WORK_TREE=DIRECTORY/served git checkout -q -f master
"""
_SSHD = """\
ListenAddress 127.0.0.1
Port PORT
HostKey DIRECTORY/key
PidFile none
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
StrictModes no
AuthorizedKeysFile DIRECTORY/key.pub
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure later deployments, then first ones."""
    with ExitStack() as stack:
        bench = stack.enter_context(Workbench())
        stack.enter_context(nutshell())
        application = Application()
        by_hand = _ByHand(bench, bench.directory / "by-hand")
        ours = _Ours(application, by_hand.key)
        base, own = alternate(by_hand.deploy, ours.deploy, runs=runs)
        yield Figure("git push to new byte", median_of(base), median_of(own), "s", 2.5)
        base, own = alternate(
            lambda: _ByHand(bench, Path(tempfile.mkdtemp(dir=bench.directory))).deploy(),
            ours.deploy_first,
            runs=max(2, runs // 2),
        )
        yield Figure(
            "git push to first byte, first deployment",
            median_of(base), median_of(own), "s", 1.0, more=True,
        )  # fmt: skip


class _Copy:
    """A working copy."""

    def __init__(self, directory: Path, key: Path) -> None:
        self.directory = directory
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "SSH_"))},
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@example.org",
            "GIT_COMMITTER_NAME": "Bench", "GIT_COMMITTER_EMAIL": "bench@example.org",
            "GIT_SSH_COMMAND": f"ssh -F none -i {key} -o IdentitiesOnly=yes -o BatchMode=yes "
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }  # fmt: skip
        self._count = 0
        directory.mkdir()
        self.git("init", "-q", "-b", "master")

    def git(self, *command: str) -> str:
        """Run git."""
        done = subprocess.run(
            ["git", *command], cwd=self.directory, env=self._environment, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"git {' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def change(self, file: str) -> str:
        """Commit another text in a file; return the text."""
        self._count += 1
        text = f"text {self._count} of {time.time_ns()}"
        path = self.directory / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.git("add", file)
        self.git("commit", "-q", "-m", text)
        return text


class _ByHand:
    """A server with a bare repository and nginx."""

    def __init__(self, bench: Workbench, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        # Its workers serve as another user.
        for path in (bench.directory, directory):
            path.chmod(0o755)
        self.key = directory / "key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True
        )
        (directory / "served").mkdir()
        repository = directory / "code.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", repository], check=True)
        hook = repository / "hooks/post-receive"
        hook.write_text(_HOOK.replace("DIRECTORY", str(directory)))
        hook.chmod(0o755)
        ports = {"sshd": free_port(), "nginx": free_port()}
        for name, text in (("sshd", _SSHD), ("nginx", _NGINX)):
            text = text.replace("DIRECTORY", str(directory)).replace("PORT", str(ports[name]))
            (directory / f"{name}.conf").write_text(text)
        Path("/run/sshd").mkdir(exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        bench.start([sshd, "-D", "-e", "-f", str(directory / "sshd.conf")])
        bench.start(["nginx", "-c", str(directory / "nginx.conf")])
        self._url = f"http://127.0.0.1:{ports['nginx']}/new.txt"
        self._copy = _Copy(directory / "copy", self.key)
        self._copy.git(
            "remote", "add", "origin", f"ssh://root@127.0.0.1:{ports['sshd']}{repository}"
        )
        _wait_for_port(ports["sshd"])

    def deploy(self) -> float:
        """Push a change; return the seconds until it is served."""
        text = self._copy.change("new.txt")
        begin = time.perf_counter()
        self._copy.git("push", "-q", "origin", "master")
        wait_for_text(self._url, text)
        return time.perf_counter() - begin


class _Ours:
    """An application with PHP services."""

    def __init__(self, application: Application, key: Path) -> None:
        self._application = application
        self._service = application.service("php")
        manager = self._service.manager
        with key.with_suffix(".pub").open("rb") as stream:
            manager.upload_key(filename=Upload(stream, "key.pub"))
        self._copy = _Copy(key.parent / "copy-of-ours", key)
        self._copy.git("remote", "add", "origin", manager.get_repository().url)

    def deploy(self) -> float:
        """Push a change and enable it; return the seconds until it is served."""
        return self._deploy(self._service)

    def deploy_first(self) -> float:
        """Deploy to a new service that runs."""
        service = self._application.service("php")
        try:
            return self._deploy(service)
        finally:
            self._application.remove(service)

    def _deploy(self, service: Service) -> float:
        text = self._copy.change(f"{service.sid}/new.txt")
        version = f"git-{self._copy.git('rev-parse', 'HEAD')[:7]}"
        url = f"{address_of(service)}new.txt"
        begin = time.perf_counter()
        self._copy.git("push", "-q", "origin", "master")
        finish(service.manager.enable_code(code_version=version))
        wait_for_text(url, text)
        return time.perf_counter() - begin


def _wait_for_port(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "sshd does not listen")
