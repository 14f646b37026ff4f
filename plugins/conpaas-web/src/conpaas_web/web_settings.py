"""What users set of a web service, whatever language its code is in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from conpaas.errors import InvalidError
from conpaas.schema import Check
from conpaas_web.kept import check_directories

Switch = Literal["on", "off"]
_PATH = re.compile(r"/[!-~]*")
_DIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MOST_DIRECTORIES = 20
#: Settings that are lists of directories.
_DIRECTORIES = ("kept_directories", "private_directories")


def _path_complaint(path: str) -> str | None:
    if _PATH.fullmatch(path):
        return None
    return f"is {path[:60]!r}: it begins with / and has no blanks (as in /health?full=1)"


def _directories_complaint(text: str) -> str | None:
    names = split_directories(text)
    for name in names:
        if not _DIRECTORY.fullmatch(name):
            return (
                f"has {name[:60]!r}: name directories of the code, as in data,wp-content/uploads "
                "(letters, digits, _ - . and /; no part begins with a dot)"
            )
    try:
        check_directories(names)
    except InvalidError as error:
        return f"cannot be used: {error}"
    if len(names) > _MOST_DIRECTORIES:
        return f"has {len(names)} directories: at most {_MOST_DIRECTORIES} are allowed"
    return None


HealthPath = Annotated[
    Annotated[str, msgspec.Meta(max_length=1000)] | None,
    "What is requested of a new version before anybody is sent there: path and query",
    Check(_path_complaint, "begins with /, no blanks"),
]
HealthStatus = Annotated[
    int | None,
    "The status that it must answer with; 0: any below 500",
    Check(
        lambda status: None if status == 0 or 100 <= status <= 599 else "is no status of HTTP",
        "0 or 100 to 599",
    ),
]
KeptDirectories = Annotated[
    Annotated[str, msgspec.Meta(max_length=2000)] | None,
    "Directories of the code that all versions share, with commas between them; '' for none",
    Check(_directories_complaint, "relative paths, none in another"),
]
PrivateDirectories = Annotated[
    Annotated[str, msgspec.Meta(max_length=2000)] | None,
    "Directories of the code in which nothing answers visitors, with commas between them; '' for "
    "none",
    Check(_directories_complaint, "relative paths, none in another"),
]
Permalinks = Annotated[
    Switch | None,
    "Whether the application's index.php answers for what is neither a file nor code",
]
AskBackends = Annotated[
    Switch | None,
    "Whether web nodes ask backends on other machines for files that they do not have",
]


@dataclass(frozen=True)
class WebConfig:
    """What is set, as users see it; the names are those of the options of ``set_web_config``."""

    permalinks: str
    health_path: str
    health_status: int
    kept_directories: str
    private_directories: str
    ask_backends: str


@dataclass(frozen=True)
class WebSettings:
    """What is set.

    Args:
        permalinks: What is neither a file nor code goes to the application's ``index`` script.
        health_path: What is requested of a new version; path and query.
        health_status: The answer's status that is expected; 0 means any below 500.
        kept_directories: Paths in the code, sorted.
        private_directories: Likewise: only the code itself reads what is in them.
        ask_backends: Web nodes ask backends on other machines for files that they do not have.
    """

    permalinks: bool = True
    health_path: str = "/"
    health_status: int = 0
    kept_directories: tuple[str, ...] = ()
    private_directories: tuple[str, ...] = ()
    ask_backends: bool = True

    @staticmethod
    def kept_in(store: Mapping[str, Any]) -> WebSettings:
        """Return what a service's store holds."""
        found = dict(store.get("web_settings", {}))
        for name in _DIRECTORIES:
            found[name] = tuple(found.get(name, ()))
        return WebSettings(**found)

    def to_store(self) -> dict[str, Any]:
        """Return it as a store can hold it."""
        return asdict(self) | {name: list(getattr(self, name)) for name in _DIRECTORIES}

    def changed(
        self,
        permalinks: str | None,
        health_path: str | None,
        health_status: int | None,
        kept_directories: str | None,
        private_directories: str | None,
        ask_backends: str | None = None,
    ) -> WebSettings:
        """Return it with what was given, checked before, in the place of what was.

        Raises:
            InvalidError: Nothing was given.
        """
        changes: dict[str, Any] = {}
        if permalinks is not None:
            changes["permalinks"] = permalinks == "on"
        if health_path is not None:
            changes["health_path"] = health_path
        if health_status is not None:
            changes["health_status"] = health_status
        if kept_directories is not None:
            changes["kept_directories"] = tuple(sorted(split_directories(kept_directories)))
        if private_directories is not None:
            changes["private_directories"] = tuple(sorted(split_directories(private_directories)))
        if ask_backends is not None:
            changes["ask_backends"] = ask_backends == "on"
        if not changes:
            raise InvalidError("say what to set: at least one setting")
        return replace(self, **changes)

    def shown(self) -> WebConfig:
        """Return it as users see it."""
        return WebConfig(
            permalinks="on" if self.permalinks else "off",
            health_path=self.health_path,
            health_status=self.health_status,
            kept_directories=",".join(self.kept_directories),
            private_directories=",".join(self.private_directories),
            ask_backends="on" if self.ask_backends else "off",
        )

    def expects(self, status: int) -> bool:
        """Whether a new version that answers so may be used; 0 is no answer."""
        if self.health_status:
            return status == self.health_status
        return 0 < status < 500


def split_directories(text: str) -> list[str]:
    """Return the paths of a list with commas; slashes at the end and doubles are left out."""
    names = (name.strip(" ").rstrip("/") for name in text.split(","))
    return list(dict.fromkeys(name for name in names if name))
