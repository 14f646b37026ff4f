"""Names of the members in /etc/hosts.

What copies data from member to member looks up the names of addresses.  Where nobody knows them,
each look-up takes ten seconds, and joining a cluster more than a minute.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from conpaas import files
from conpaas_mysql.parts import Member

_BEGIN, _END = "# the database cluster: begin", "# the database cluster: end"


def write_hosts(root: Path, own: str, members: Iterable[Member]) -> bool:
    """Have /etc/hosts name this machine and all members; return whether that is news.

    Args:
        root: ``/``, or what stands for it.
        own: Name of the member on this machine.
        members: All of them.
    """
    path = root / "etc/hosts"
    lines = path.read_text().splitlines() if path.exists() else ["127.0.0.1 localhost"]
    if _BEGIN in lines:
        rest = lines[lines.index(_BEGIN) :]
        after = rest[rest.index(_END) + 1 :] if _END in rest else []
        lines = [*lines[: lines.index(_BEGIN)], *after]
    named = [
        f"{m.address} {m.name}" + (f" {socket.gethostname()}" if m.name == own else "")
        for m in sorted(members, key=lambda m: m.name)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.write(path, "\n".join([*lines, _BEGIN, *named, _END, ""]))
