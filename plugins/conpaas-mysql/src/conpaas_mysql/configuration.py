"""The configuration file of a database: a member of a Galera cluster.

Each value has its reason here, or in docs/decisions.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conpaas_mysql.directories import SERVER_USER, Directories
from conpaas_mysql.parts import (
    GROUP_PORT,
    INCREMENTAL_PORT,
    MYSQL_PORT,
    SNAPSHOT_PORT,
    ClusterSecrets,
    DatabasePart,
)

TRANSFER_USER = "sst"
_ANYWHERE = "0.0.0.0"  # noqa: S104 - it is compared only
#: What may be in the file otherwise than in the running server: who the others are it learns from
#: them, and how a copy comes counts when one comes.
_NEVER_OUTDATED = frozenset({"wsrep_cluster_address", "wsrep_sst_method"})
_MB = 1 << 20
#: Megabytes that the system, our own programs and the server without its buffers take.
_RESERVED = 256


@dataclass(frozen=True)
class Room:
    """What the machine has for the database: bytes of memory, its volume and its own disk."""

    memory: int
    volume: int
    disk: int

    @classmethod
    def of(cls, volume: Path, own: Path) -> Room:
        """Look at this machine."""
        # Late: clients import the agent's file, and need none of this.
        from conpaas.features.monitoring.machine import Meter

        return cls(
            Meter().use().limit or 1 << 30,
            shutil.disk_usage(volume).total,
            shutil.disk_usage(own).total,
        )


@dataclass(frozen=True)
class Configuration:
    """The options of a server, by section and name."""

    sections: Mapping[str, Mapping[str, str]]

    @property
    def server(self) -> Mapping[str, str]:
        """Those of the server itself."""
        return self.sections.get("mysqld", {})

    @property
    def text(self) -> str:
        """The file."""
        lines = []
        for section, options in self.sections.items():
            lines += [f"[{section}]", *(f"{name} = {options[name]}" for name in options), ""]
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """Read a file that was written here."""
        sections: dict[str, dict[str, str]] = {}
        options: dict[str, str] = {}
        for line in text.splitlines():
            if line.startswith("["):
                options = sections.setdefault(line.strip("[]"), {})
            elif line:
                name, _, value = line.partition(" = ")
                options[name] = value
        return cls(sections)

    @classmethod
    def read(cls, path: Path) -> Configuration:
        """Read a file that was written here; one that is not there is empty."""
        try:
            return cls.parse(path.read_text())
        except FileNotFoundError:
            return cls({})

    def news(self, running: Configuration) -> list[str]:
        """Return the options of the server in which one that runs with ``running`` differs."""
        names = {*self.server, *running.server} - _NEVER_OUTDATED
        changed = [n for n in names if self.server.get(n) != running.server.get(n)]
        return sorted(changed)


def configuration(
    part: DatabasePart,
    secrets: ClusterSecrets,
    directories: Directories,
    listen: str,
    room: Room,
) -> Configuration:
    """Return the configuration of a member.

    Args:
        part: What it does.
        secrets: What the members share.
        directories: Where its files lie.
        listen: The address that it listens at; others reach it by its member's address.
        room: What there is for it.
    """
    server = {
        **_place(directories, listen),
        **_defaults(),
        **_durability(room),
        **_rights(directories),
        **_membership(part, secrets, listen),
        **_own(part, room),
        # Last: the settings of Galera itself are one option.
        "wsrep_provider_options": _provider(part, directories, listen, room),
    }
    return Configuration({"mysqld": server, "sst": _copying(directories, listen)})


def buffer_pool(memory: int) -> int:
    """Return how many bytes of data a server keeps in memory on a machine with so many bytes."""
    pool = int((memory - _RESERVED * _MB) * 0.6)
    return max(32 * _MB, pool // _MB * _MB)


def _place(directories: Directories, listen: str) -> dict[str, str]:
    """Where its files lie, and where it listens."""
    return {
        **({"user": SERVER_USER} if os.geteuid() == 0 else {}),
        "datadir": str(directories.data),
        "tmpdir": str(directories.temporary),
        "socket": str(directories.socket),
        "pid-file": str(directories.server_run / "mysqld.pid"),
        "bind-address": listen,
        "port": str(MYSQL_PORT),
        # Each look-up of a name that nobody knows would take ten seconds.
        "skip-name-resolve": "ON",
    }


def _defaults() -> dict[str, str]:
    """What users may count on, unless they set something else."""
    return {
        "character-set-server": "utf8mb4",
        "max_allowed_packet": "64M",
        "performance_schema": "OFF",
        "default_storage_engine": "InnoDB",
        # Galera replicates InnoDB only: who asks for another engine is refused.
        "wsrep_mode": "STRICT_REPLICATION",
        # Without it nobody but the administrator could make triggers and functions.
        "log_bin_trust_function_creators": "ON",
    }


def _durability(room: Room) -> dict[str, str]:
    """How what is written comes to the others, and onto the disk."""
    return {
        "binlog_format": "ROW",
        "innodb_autoinc_lock_mode": "2",
        # What was acknowledged is on the disk, even when all nodes fail at once.
        "innodb_flush_log_at_trx_commit": "1",
        "innodb_log_file_size": str(_between(16 * _MB, room.volume // 20, 256 * _MB)),
    }


def _rights(directories: Directories) -> dict[str, str]:
    """What keeps users to what is theirs."""
    return {
        # Who may make users may also change those that ConPaaS needs: each start mends them.
        "init_file": str(directories.accounts_file),
        # No way from SQL to files.
        "local_infile": "OFF",
        "secure_file_priv": str(directories.files),
    }


def _membership(part: DatabasePart, secrets: ClusterSecrets, listen: str) -> dict[str, str]:
    """Which cluster it belongs to, and how it gets its data from the others."""
    address = _address(part)
    return {
        "wsrep_on": "ON",
        "wsrep_provider": "/usr/lib/galera/libgalera_smm.so",
        "wsrep_cluster_name": part.cluster,
        "wsrep_cluster_address": "gcomm://" + ",".join(m.address for m in part.members),
        "wsrep_node_name": part.name,
        "wsrep_node_address": address,
        "wsrep_node_incoming_address": f"{address}:{MYSQL_PORT}",
        "wsrep_slave_threads": str(max(2, os.cpu_count() or 1)),
        # Who has read a value on one node never reads an older one on another.
        "wsrep_sync_wait": "1",
        "wsrep_sst_method": part.transfer,
        "wsrep_sst_auth": f"{TRANSFER_USER}:{secrets.transfer_password}",
        "wsrep_sst_receive_address": f"{address}:{_snapshot_port(part, listen)}",
    }


def _own(part: DatabasePart, room: Room) -> dict[str, str]:
    """What its users have set; those of Galera have a dot in their names."""
    own = {name: value for name, value in part.settings.items() if "." not in name}
    if own.get("innodb_buffer_pool_size", "auto") == "auto":
        own["innodb_buffer_pool_size"] = str(buffer_pool(room.memory))
    return own


def _copying(directories: Directories, listen: str) -> dict[str, str]:
    """How whole copies travel: encrypted, between members of this cluster only."""
    return {
        "tca": str(directories.configuration / "authority.pem"),
        "tcert": str(directories.configuration / "certificate.pem"),
        "tkey": str(directories.configuration / "key.pem"),
        # All members have the same certificate: who it was given to matters, no name in it.
        "ssl-mode": "VERIFY_CA",
        "encrypt": "3",
        # Where several servers share a machine, each has a copy sent to its own address.
        **({} if listen == _ANYWHERE else {"sockopt": f"bind={listen}"}),
    }


def _provider(part: DatabasePart, directories: Directories, listen: str, room: Room) -> str:
    address = _address(part)
    options = {
        "gmcast.listen_addr": f"ssl://{listen}:{GROUP_PORT}",
        "ist.recv_addr": f"{address}:{INCREMENTAL_PORT}",
        "ist.recv_bind": f"{listen}:{INCREMENTAL_PORT}",
        "socket.ssl": "yes",
        "socket.ssl_ca": str(directories.configuration / "authority.pem"),
        "socket.ssl_cert": str(directories.configuration / "certificate.pem"),
        "socket.ssl_key": str(directories.configuration / "key.pem"),
        # What a member that was away for a while needs; it outlives restarts.  Galera ends where
        # it has no room for it: so it is not on the volume, which users may fill.
        "gcache.dir": str(directories.cache),
        "gcache.size": str(_between(32 * _MB, room.disk // 20, 512 * _MB)),
        "gcache.recover": "yes",
        "gcache.page_size": str(16 * _MB),
        # When a member is given up is a setting; these have it noticed soon after.
        "evs.keepalive_period": "PT0.5S",
        "evs.inactive_check_period": "PT0.25S",
        **{name: value for name, value in part.settings.items() if "." in name},
    }
    return '"' + _joined(f"{name}={options[name]}" for name in options) + '"'


def _address(part: DatabasePart) -> str:
    return next(member.address for member in part.members if member.name == part.name)


def _snapshot_port(part: DatabasePart, listen: str) -> int:
    """Return the port that a copy is received at."""
    if listen == _ANYWHERE:
        return SNAPSHOT_PORT
    # The script that receives it takes any listener of its port on this machine for its own.
    return SNAPSHOT_PORT + [member.name for member in part.members].index(part.name)


def _joined(options: Iterable[str]) -> str:
    return ";".join(options)


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most)) // _MB * _MB
