"""The settings of a database that users may change: their names, defaults and rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from conpaas.errors import InvalidError
from conpaas.nearest import did_you_mean
from conpaas.schema import Check

Switch = Literal["on", "off"]
#: Character sets, each with the collation that a new database has by default.
CHARACTER_SETS = {
    "utf8mb4": "utf8mb4_general_ci",
    "utf8mb3": "utf8mb3_general_ci",
    "latin1": "latin1_swedish_ci",
    "latin2": "latin2_general_ci",
    "latin5": "latin5_turkish_ci",
    "latin7": "latin7_general_ci",
    "cp1250": "cp1250_general_ci",
    "cp1251": "cp1251_general_ci",
    "greek": "greek_general_ci",
    "koi8r": "koi8r_general_ci",
    "ascii": "ascii_general_ci",
    "binary": "binary",
}
AUTO = "auto"
MB = 1 << 20
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE = re.compile(r"([1-9][0-9]{0,9})([KMG])", re.IGNORECASE | re.ASCII)
#: Seconds: what a balancer can wait for, 24 days.
LONGEST_IDLE = 2_073_600
_LEAST_VOLUME = 256  #: MB: a new database has 150 MB on its volume


def size_in_bytes(text: str) -> int:
    """Return a size such as ``128M`` in bytes.

    Raises:
        ValueError: It is none.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size")
    return int(found[1]) * _UNITS[found[2].upper()]


def _size(low: str, high: str, *, auto: bool = False) -> Check:
    def complaint(text: str) -> str | None:
        if auto and text == AUTO:
            return None
        try:
            size = size_in_bytes(text)
        except ValueError:
            said = f", or {AUTO}" if auto else ""
            return f"is {text[:40]!r}: write a number and K, M or G, as in 128M{said}"
        if size_in_bytes(low) <= size <= size_in_bytes(high):
            return None
        return f"is {text[:40]}: {low} to {high} are allowed"

    return Check(complaint, f"{low} to {high}" + (f", or {AUTO}" if auto else ""))


def _number(low: int, high: int) -> Check:
    says = f"{low} to {high}"
    return Check(
        lambda value: None if low <= value <= high else f"is {value}: {says} are allowed", says
    )


def _set_complaint(name: str) -> str | None:
    if name in CHARACTER_SETS:
        return None
    near = did_you_mean(name[:40], list(CHARACTER_SETS))
    return f"is {name[:40]!r}, which is no character set{near}"


Connections = Annotated[
    int | None, "Connections that one database takes at a time", _number(10, 10_000)
]
BufferPool = Annotated[
    str | None,
    "Memory for data and indexes, as in 512M; auto: a share of the machine's",
    _size("16M", "1024G", auto=True),
]
CharacterSet = Annotated[
    str | None,
    "Of databases that are created from now on and do not say one",
    Check(_set_complaint, ", ".join(CHARACTER_SETS)),
]
SingleWriter = Annotated[
    Switch | None, "on: the balancers send everybody to one database, the others stand by"
]
SyncWait = Annotated[
    Switch | None, "on: a query sees all that was written before it, on whichever database"
]
WaitTimeout = Annotated[
    int | None,
    "Seconds after which an idle connection is ended",
    _number(10, LONGEST_IDLE),
]
Packet = Annotated[str | None, "Size of one query or row, as in 64M", _size("1M", "1G")]
VolumeMegabytes = Annotated[
    int | None, "MB of the volumes of databases that are new", _number(_LEAST_VOLUME, 1 << 30)
]
MariabackupAbove = Annotated[
    int | None,
    "MB of data from which on a copy for a new database is made by mariabackup, not rsync",
    _number(0, 1 << 30),
]
SuspectAfter = Annotated[
    int | None,
    "Seconds without a word from a database after which the others go on without it",
    _number(2, 60),
]
DumpLimit = Annotated[int | None, "MB that a dump to be loaded may have", _number(1, 1 << 30)]


@dataclass(frozen=True)
class MysqlConfig:
    """What is set; the names are those of the options of ``set_mysql_config``."""

    max_connections: int = 151
    innodb_buffer_pool_size: str = AUTO
    character_set: str = "utf8mb4"
    single_writer: str = "off"
    sync_wait: str = "on"
    wait_timeout: int = 28_800
    max_allowed_packet: str = "64M"
    volume_size: int = 2048
    mariabackup_above: int = 1024
    dump_limit: int = 4096
    suspect_after: int = 5

    def changed(self, changes: Mapping[str, str | int | None]) -> MysqlConfig:
        """Return it with what was given, checked one by one before, in the place of what was.

        Raises:
            InvalidError: Nothing was given.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        if not given:
            raise InvalidError("say what to set: at least one setting")
        values = asdict(self) | {name: _tidy(value) for name, value in given.items()}
        return MysqlConfig(**values)

    @property
    def is_single_writer(self) -> bool:
        """Whether balancers send everybody to one database."""
        return self.single_writer == "on"

    def to_server(self) -> dict[str, str]:
        """Return the settings by the server's names, as its configuration file writes them."""
        settings = {
            "max_connections": str(self.max_connections),
            "character_set_server": self.character_set,
            "collation_server": CHARACTER_SETS[self.character_set],
            "wsrep_sync_wait": "1" if self.sync_wait == "on" else "0",
            "wait_timeout": str(self.wait_timeout),
            "interactive_timeout": str(self.wait_timeout),
            "max_allowed_packet": self.max_allowed_packet,
            "evs.suspect_timeout": f"PT{self.suspect_after}S",
            # Whom some still hear and others do not.
            "evs.inactive_timeout": f"PT{3 * self.suspect_after}S",
        }
        if self.innodb_buffer_pool_size != AUTO:
            settings["innodb_buffer_pool_size"] = self.innodb_buffer_pool_size
        return settings


def _tidy(value: str | int) -> str | int:
    return value.upper() if isinstance(value, str) and _SIZE.fullmatch(value) else value
