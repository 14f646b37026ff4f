"""What a program that runs users' code sees of its machine.

Debian's ``bubblewrap`` has the kernel give it files and processes of its own, so that nothing
which the code does, or has another program do, leads out of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from conpaas.errors import AgentError

PROGRAM = "bwrap"
# Names in there, not out here.
_TEMPORARY, _SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108
#: Where Debian has its programs.
_PROGRAMS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
#: Directories of /etc that are nobody's business but root's.
_HIDDEN = ("conpaas*", "ssh", "ssl/private", "sudoers.d")


@dataclass(frozen=True)
class Confinement:
    """The part of a machine that is there for a program.

    It sees Debian's programs and settings, which it cannot change, its own processes and no
    others, and what it is given; everything else is not there.  Nothing that it starts has more
    rights than itself, whatever bits the file has.  It has the network of its machine.

    Where this process is not root, the kernel must let users have namespaces of their own.

    Args:
        places: Directories that it may write to, as far as their permissions say; there by their
            own paths.  A file moves at once within a place, and is copied from one to another.
        temporary: The directory that it sees as ``/tmp``.
        capabilities: What root may do in there, such as ``CAP_SETUID``.
    """

    places: tuple[Path, ...]
    temporary: Path
    capabilities: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Return what goes before the program: ``[*command(), "--", program, …]``.

        More of bubblewrap's options may be put between.  Its process waits for the program, which
        is killed, with all that it has started, when that process or its parent ends.
        """
        return [
            *(PROGRAM, "--die-with-parent", "--unshare-pid", "--as-pid-1", "--chdir", "/"),
            *self._capabilities(),
            *("--ro-bind", "/usr", "/usr"),
            *_debian(Path("/")),
            *("--ro-bind", "/etc", "/etc"),
            *_hidden(Path("/etc")),
            *_names(Path("/etc/resolv.conf")),
            *("--ro-bind-try", "/opt", "/opt"),
            *(("--tmpfs", "/opt/conpaas") if Path("/opt/conpaas").is_dir() else ()),
            # /proc/sys is all of the machine's.
            *("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", _SHARED_MEMORY),
            *("--bind", str(self.temporary), _TEMPORARY),
            *("--dir", "/run", *_way_to(Path(f"/var{_TEMPORARY}"))),
            *("--symlink", f"..{_TEMPORARY}", f"/var{_TEMPORARY}"),
            *(word for place in self.places for word in _place(place)),
        ]

    def _capabilities(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        added = (word for name in self.capabilities for word in ("--cap-add", name))
        return ["--cap-drop", "ALL", *added]


def refusal(words: str) -> AgentError | None:
    """Return what is wrong where bubblewrap said these words, None if they are not its own."""
    own = next((line for line in words.splitlines() if line.startswith(f"{PROGRAM}: ")), None)
    if own is None:
        return None
    if ": execvp " in own:
        return AgentError(f"{own.rpartition('execvp ')[2]}: build the image anew")
    return AgentError(
        f"the code cannot be confined, so it is not run: {own}. The machine must let root make "
        "mount and process namespaces (CAP_SYS_ADMIN, and in a container a /proc of its own)"
    )


def not_installed() -> AgentError:
    """Return what to say when there is no bubblewrap."""
    return AgentError(f"{PROGRAM} is not installed: build the image anew")


def _debian(root: Path) -> list[str]:
    """Show the directories beside /usr as they are: links into it, or directories."""
    words: list[str] = []
    for path in (root / name for name in _PROGRAMS):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return words


def _hidden(etc: Path) -> list[str]:
    found = (path for pattern in _HIDDEN for path in sorted(etc.glob(pattern)) if path.is_dir())
    return [word for path in found for word in ("--tmpfs", str(path))]


def _place(place: Path) -> list[str]:
    return [*_way_to(place), "--bind", str(place), str(place)]


def _way_to(place: Path) -> list[str]:
    # What bubblewrap makes by itself on the way to something only root could pass.
    return [word for path in reversed(place.parents[:-1]) for word in ("--dir", str(path))]


def _names(resolv: Path) -> list[str]:
    """Show where the names of machines are asked for, if that is kept outside of /etc.

    The directory: the file in it is replaced when it changes.
    """
    directory = resolv.resolve().parent
    if not directory.is_relative_to("/run") or directory == Path("/run"):
        return []
    return [*_way_to(directory), "--ro-bind-try", str(directory), str(directory)]
