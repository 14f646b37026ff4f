"""A PHP service of the tests, handled as its owner does."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e import Nutshell, Ran, wait_for
from load import Connection
from phpcode import node_of, pack

from conpaas.clouds.base import CloudMachine

PASSING = ("PROLOGUE", "ADAPTING", "EPILOGUE")


class Hosted:
    """A PHP service, or one of another type whose nodes come and go.

    Args:
        nutshell: That it runs on.
        aid: Of its application.
        directory: For archives.
        sid: Of a service that there is; one is added otherwise.
        type: Of the service.
    """

    def __init__(
        self, nutshell: Nutshell, aid: int, directory: Path, sid: int = 0, type: str = "php"
    ) -> None:
        self.nutshell, self.aid, self._directory, self._type = nutshell, aid, directory, type
        self.sid = sid or int(nutshell.cps.rows(f"cps-service add {type} {aid}")["sid"])

    def line(self, command: str | Sequence[str]) -> list[str]:
        """Return the words of a command, of which the numbers are left out here."""
        operation, *more = shlex.split(command) if isinstance(command, str) else command
        return [f"cps-{self._type}", operation, str(self.aid), str(self.sid), *more]

    def ok(self, command: str | Sequence[str], given: str = "") -> str:
        """Run a command that must succeed: its operation and what comes after the numbers."""
        return self.nutshell.cps.ok(self.line(command), given)

    def rows(self, command: str | Sequence[str]) -> Any:
        """Run a command that must succeed, and return its result."""
        return json.loads(self.nutshell.cps.ok([*self.line(command), "-f", "json"]))

    def refused(self, command: str | Sequence[str], because: str = "") -> str:
        """Run a command that must be refused, and return the reason."""
        return self.nutshell.cps.refused(self.line(command), because)

    def asked(self, command: str) -> Any:
        """Return a command's result; while a server comes back it is asked again."""

        def ask() -> Ran | None:
            ran = self.nutshell.cps([*self.line(command), "-f", "json"])
            waits = "starting or has failed" in ran.err or "reach" in ran.err
            assert ran.code == 0 or waits, ran
            return ran if ran.code == 0 else None

        ran = wait_for(command, ask)
        assert ran is not None
        return json.loads(ran.out)

    # -- code -----------------------------------------------------------------------------------

    def upload(self, files: Mapping[str, str]) -> str:
        """Upload a version of the code; return its id."""
        archive = pack(self._directory / "code.tar.gz", files)
        return str(self.rows(f"upload_code {archive}")["codeVersionId"])

    def deploy(self, files: Mapping[str, str]) -> str:
        """Upload a version and enable it; return its id."""
        version = self.upload(files)
        self.ok(f"enable_code {version}")
        return version

    @property
    def active(self) -> str:
        """The id of the active version."""
        (row,) = (row for row in self.rows("list_codes") if row["current"])
        return str(row["codeVersionId"])

    # -- nodes ----------------------------------------------------------------------------------

    def address(self) -> str:
        """Ask where the application is."""
        return str(self.rows("get_address")["url"])

    @functools.cached_property
    def url(self) -> str:
        """Where the application was when this was asked first: it must not change."""
        return self.address()

    def nodes(self, role: str = "") -> list[dict[str, Any]]:
        """Return the nodes, or those that have a role, oldest first."""
        nodes: list[dict[str, Any]] = self.asked("list_nodes")
        return [node for node in nodes if not role or role in node["role"].split(", ")]

    def roles(self) -> list[str]:
        """Return the roles of each node."""
        return sorted(node["role"] for node in self.nodes())

    def machine(self, agent: str) -> CloudMachine:
        """Return the machine of a node."""
        return self.nutshell.machine(self.aid, agent)

    def settle(self, seconds: float = 60) -> str:
        """Wait until no job of the application runs, and return the service's state."""

        def look() -> str | None:
            jobs = json.loads(self.nutshell.cps.ok(f"cps-job list -a {self.aid} -f json"))
            if any(job["state"] in ("queued", "running") for job in jobs):
                return None
            now = str(self.asked("get_state")["status"])
            return None if now in PASSING else now

        return str(wait_for("the end of all jobs", look, seconds))

    def kill(self, agent: str) -> None:
        """Take a node's machine away."""
        self.nutshell.cloud.destroy_machine(self.machine(agent).id)

    def wait_for_others(self, than: str, roles: list[str]) -> None:
        """Wait until these roles are there and ready, and a node that was lost is not."""

        def replaced() -> bool:
            nodes = self.nodes()
            return (
                than not in [node["agent_id"] for node in nodes]
                and sorted(node["role"] for node in nodes) == roles
                and {node["state"] for node in nodes} == {"ready"}
            )

        wait_for(f"another node in the place of {than}", replaced, 60)
        assert self.settle() == "RUNNING"

    # -- as its visitors see it -----------------------------------------------------------------

    def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        """Ask for a path on a connection of its own; return the status and the body."""
        connection = Connection(self.url, 90, {k.replace("_", "-"): v for k, v in headers.items()})
        try:
            return connection.get(path)
        finally:
            connection.close()

    def text(self, path: str = "/") -> str:
        """Ask for a path that must be there."""
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body[:500]}"
        return body

    def names(self, path: str = "/", requests: int = 16) -> set[str]:
        """Return the names of the machines that answer a path that tells them."""
        connection = Connection(self.url, 90)
        answers = [connection.get(path) for _ in range(requests)]
        connection.close()
        assert {status for status, _ in answers} == {200}, answers
        return {node_of(body) for _, body in answers}
