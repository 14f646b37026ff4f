"""What a service tells while servers of its deployment are killed and come back."""

from __future__ import annotations

import json
from typing import Any

from e2e import CommandLine, Ran, wait_for

PASSING = ("PROLOGUE", "ADAPTING", "EPILOGUE")


def nodes(cps: CommandLine, aid: int, sid: int) -> list[dict[str, Any]]:
    return list(asked(cps, f"cps-service list_nodes {aid} {sid}"))


def ids(cps: CommandLine, aid: int, sid: int) -> set[str]:
    return {node["agent_id"] for node in nodes(cps, aid, sid)}


def asked(cps: CommandLine, line: str) -> Any:
    """Return a command's result; while a server comes back it is asked again.

    What a server that was killed leaves behind may answer for a moment before there is none.
    """

    def ask() -> Ran | None:
        ran = cps(f"{line} -f json")
        assert ran.code == 0 or "starting or has failed" in ran.err or "reach" in ran.err, ran
        return ran if ran.code == 0 else None

    ran = wait_for(line, ask)
    assert ran is not None
    return json.loads(ran.out)


def state(cps: CommandLine, aid: int, sid: int) -> str:
    return str(asked(cps, f"cps-service get_state {aid} {sid}")["status"])


def answers(cps: CommandLine, line: str) -> bool:
    return cps(line).code == 0


def settle(cps: CommandLine, aid: int, sid: int) -> str:
    """Wait until no job of the service runs, and return its state."""

    def look() -> str | None:
        jobs = asked(cps, f"cps-job list -a {aid}")
        if any(job["state"] in ("queued", "running") for job in jobs):
            return None
        now = state(cps, aid, sid)
        return None if now in PASSING else now

    return str(wait_for("the end of all jobs", look, 60))


def greets(cps: CommandLine, aid: int, sid: int) -> set[str]:
    """Wait until all nodes greet, and return their ids."""

    def look() -> set[str] | None:
        ran = cps(f"cps-helloworld get_helloworld {aid} {sid} -f value -c agent_id")
        return set(ran.out.split()) if ran.code == 0 else None

    return wait_for("greetings", look, 30) or set()
