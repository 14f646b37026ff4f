"""What Galera says of a member: of one that runs, and in the files of one that does not."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas import files
from conpaas_mysql.client import Session

#: Galera's id of no state at all.
NOTHING = str(uuid.UUID(int=0))
DONOR, SYNCED = 2, 4
_READINGS = 5
_LINE = re.compile(r"^(\w+):\s*(\S+)", re.MULTILINE)
_RECOVERED = re.compile(r"WSREP: Recovered position:\s*([0-9a-f-]{36}):(-?\d+)")


@dataclass(frozen=True)
class Saved:
    """What the file of a member that does not run says (``grastate.dat``).

    Args:
        cluster: Id of the state; empty when there is none that is whole.
        number: Its last transaction; -1 when the server did not end in order.
        was_last: It was the last one to leave.
    """

    cluster: str
    number: int
    was_last: bool


@dataclass(frozen=True)
class Group:
    """What a running member says of itself and the others.

    Args:
        is_primary: It belongs to the primary component.
        ready: It takes queries.
        state: ``wsrep_local_state``.
        comment: The same in words.
        addresses: Of the members that it sees, with their ports.
        size: How many these are.
        cluster: Id of the state; empty when there is none.
        number: The last transaction that it has; -1 when there is none.
    """

    is_primary: bool
    ready: bool
    state: int
    comment: str
    addresses: tuple[str, ...]
    size: int
    cluster: str
    number: int


def group(session: Session) -> Group:
    """Ask a running member."""
    return group_of(session.status("wsrep_%"))


def group_of(told: Mapping[str, str]) -> Group:
    """Understand what a member has told (``SHOW GLOBAL STATUS``)."""
    cluster = told.get("wsrep_cluster_state_uuid", "")
    incoming = told.get("wsrep_incoming_addresses", "")
    return Group(
        is_primary=told.get("wsrep_cluster_status") == "Primary",
        ready=told.get("wsrep_ready") == "ON",
        state=int(told.get("wsrep_local_state", 0)),
        comment=told.get("wsrep_local_state_comment", ""),
        addresses=tuple(sorted(a for a in incoming.split(",") if a)),
        size=int(told.get("wsrep_cluster_size", 0)),
        cluster="" if cluster == NOTHING else cluster,
        number=_number(told.get("wsrep_last_committed", "-1")),
    )


def saved(data: Path) -> Saved:
    """Read what a member that does not run has left."""
    told: dict[str, str] = {}
    for _ in range(_READINGS):
        try:
            told = dict(_LINE.findall((data / "grastate.dat").read_text()))
        except OSError:
            break
        if "safe_to_bootstrap" in told:
            break
        # A running server writes it in place: what is read just then has no end.
        time.sleep(0.02)
    cluster = told.get("uuid", NOTHING)
    if cluster == NOTHING:
        return Saved("", -1, False)
    return Saved(cluster, int(told.get("seqno", -1)), told.get("safe_to_bootstrap") == "1")


def was_alone(data: Path) -> bool:
    """Whether a member that was killed was the only one of its cluster (``gvwstate.dat``)."""
    try:
        text = (data / "gvwstate.dat").read_text()
    except OSError:
        return False
    own = re.search(r"^my_uuid: (\S+)", text)
    members = re.findall(r"^member: (\S+)", text, re.MULTILINE)
    return own is not None and len(members) == 1 and "#vwend" in text


def allow_bootstrap(data: Path) -> None:
    """Let a member begin a cluster although others may have left after it: we know better."""
    path = data / "grastate.dat"
    if path.exists():
        text = path.read_text().replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1")
        files.write(path, text, path.stat().st_mode & 0o777, durable=True)


def recovered(log: str) -> Saved | None:
    """Find the position that a server has recovered (``--wsrep-recover``) in what it said."""
    found = _RECOVERED.search(log)
    if found is None:
        return None
    if found[1] == NOTHING:
        return Saved("", -1, False)
    return Saved(found[1], int(found[2]), False)


def _number(text: str) -> int:
    # Of no transaction Galera says the greatest number of 64 bits.
    number = int(text)
    return -1 if number >= 1 << 63 else number
