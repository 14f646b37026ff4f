"""The settings of PHP that users may change: their names, defaults and rules."""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import msgspec

from conpaas.errors import InvalidError
from conpaas.nearest import did_you_mean
from conpaas.schema import Check
from conpaas_web.web_settings import Switch

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE = re.compile(r"([1-9][0-9]{0,12})([KMG]?)", re.IGNORECASE | re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MOST_FUNCTIONS = 500
#: By which a program could leave PHP's own rules; a web server has no use for them.
_PCNTL = (
    "alarm", "async_signals", "exec", "fork", "get_last_error", "getpriority", "setpriority",
    "signal", "signal_dispatch", "signal_get_handler", "sigprocmask", "sigtimedwait",
    "sigwaitinfo", "strerror", "unshare", "wait", "waitpid", "wexitstatus", "wifcontinued",
    "wifexited", "wifsignaled", "wifstopped", "wstopsig", "wtermsig",
)  # fmt: skip


def size_in_bytes(text: str) -> int:
    """Return a size of PHP's, such as ``128M``, in bytes.

    Raises:
        ValueError: It is none.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size")
    return int(found[1]) * _UNITS[found[2].upper()]


def _between(low: str, high: str) -> Check:
    def complaint(text: str) -> str | None:
        try:
            size = size_in_bytes(text)
        except ValueError:
            return f"is {text[:40]!r}: write a number and K, M or G, as in 128M"
        if size_in_bytes(low) <= size <= size_in_bytes(high):
            return None
        return f"is {text[:40]}: {low} to {high} are allowed"

    return Check(complaint, f"{low} to {high}")


def _functions_complaint(text: str) -> str | None:
    names = _split(text)
    for name in names:
        if not _FUNCTION.fullmatch(name):
            return f"has {name[:60]!r}, which is no name of a function: write exec,passthru"
    if len(names) > _MOST_FUNCTIONS:
        return f"has {len(names)} functions: at most {_MOST_FUNCTIONS} are taken"
    return None


def _zone_complaint(text: str) -> str | None:
    zones = _zones()
    if text in zones:
        return None
    return f"is {text[:60]!r}, which is no time zone{did_you_mean(text[:60], sorted(zones))}"


MemoryLimit = Annotated[str | None, "Memory of one request, as in 256M", _between("8M", "16G")]
UploadMax = Annotated[str | None, "Size of one uploaded file, as in 64M", _between("1K", "2G")]
PostMax = Annotated[str | None, "Size of one request's body, as in 64M", _between("1K", "2G")]
ExecutionTime = Annotated[
    int | None,
    "Seconds that one request may compute",
    Check(lambda s: None if 1 <= s <= 3600 else f"is {s}: 1 to 3600 are allowed", "1 to 3600"),
]
Functions = Annotated[
    Annotated[str, msgspec.Meta(max_length=20_000)] | None,
    "Functions that the code may not call, with commas between them; '' for none",
    Check(_functions_complaint, "names of functions"),
]
DisplayErrors = Annotated[Switch | None, "Whether visitors see errors of the code (debug mode)"]
LogErrors = Annotated[Switch | None, "Whether errors of the code are logged on the backends"]
OpenBasedir = Annotated[
    Switch | None,
    "Whether PHP itself refuses files that are not the application's (open_basedir), too; on,"
    " pages are slower",
]
TimeZone = Annotated[
    str | None,
    "date.timezone: the time zone, as in Europe/Amsterdam",
    Check(_zone_complaint, "a name of the tz database"),
]


@dataclass(frozen=True)
class PhpConfig:
    """What is set for PHP; the names are those of the options of ``set_php_config``."""

    memory_limit: str = "128M"
    upload_max_filesize: str = "2M"
    post_max_size: str = "8M"
    max_execution_time: int = 30
    disable_functions: str = ",".join(f"pcntl_{name}" for name in _PCNTL)
    display_errors: str = "off"
    log_errors: str = "on"
    date_timezone: str = "UTC"
    open_basedir: str = "off"

    def changed(self, changes: Mapping[str, str | int | None]) -> PhpConfig:
        """Return it with what was given, checked one by one before, in the place of what was.

        Raises:
            InvalidError: Nothing was given, or it does not fit together.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        if not given:
            raise InvalidError("say what to set: at least one setting")
        values = asdict(self) | {name: _tidy(name, value) for name, value in given.items()}
        new = PhpConfig(**values)
        upload, post = new.upload_max_filesize, new.post_max_size
        if size_in_bytes(upload) > size_in_bytes(post):
            raise InvalidError(
                f"upload_max_filesize ({upload}) is more than post_max_size ({post}), which holds "
                f"the whole request: give --post_max_size {upload} or more as well"
            )
        return new

    def to_php(self) -> dict[str, str]:
        """Return the settings by PHP's names, as php.ini writes their values.

        Which files ``open_basedir`` leaves is the node's to say; empty, it leaves all.
        """
        values = asdict(self)
        unconfined = {"open_basedir": ""} if values.pop("open_basedir") == "off" else {}
        return {_PHP_NAMES.get(name, name): _in_php(v) for name, v in values.items()} | unconfined


#: Where PHP's name is no name of an option.
_PHP_NAMES = {"date_timezone": "date.timezone"}
_TIDY: dict[str, Callable[[str], str]] = {
    "memory_limit": str.upper,
    "upload_max_filesize": str.upper,
    "post_max_size": str.upper,
    "disable_functions": lambda text: ",".join(_split(text)),
}


def _tidy(name: str, value: str | int) -> str | int:
    return _TIDY[name](value) if isinstance(value, str) and name in _TIDY else value


def _in_php(value: str | int) -> str:
    return {"on": "On", "off": "Off"}.get(str(value), str(value))


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(name for one in text.split(",") if (name := one.strip(" "))))


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
