"""What a new machine is told by the cloud: cloud-init's user-data, as far as we need it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from conpaas.errors import InvalidError

#: Where the machine finds whom to join.
JOIN_FILE = "/etc/conpaas/join.json"
#: The machine's own program, as machine images install it.
PROGRAM = "/opt/conpaas/bin/conpaas-machine"

_HEADER = "#cloud-config\n"
_LIMIT = 4096


@dataclass(frozen=True)
class FileToWrite:
    """A file that the machine is to have; ``mode`` are its permissions."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class UserData:
    """What to do at the first boot: write files, then run commands."""

    files: tuple[FileToWrite, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


def render(director_url: str, ca_pem: str, token: str, name: str) -> str:
    """Return the user-data with which a machine joins the deployment.

    Args:
        director_url: ``https://<host>:<port>`` as the machine reaches it.
        ca_pem: The deployment's authority, which the director's certificate must be of.
        token: Lets one machine join, once.
        name: What the machine is called.

    Raises:
        InvalidError: It would be longer than clouds take.
    """
    join = {"director": director_url, "ca": ca_pem, "token": token, "name": name}
    # JSON is YAML too, so cloud-init reads it, and we need no YAML library on the machine.
    body = {
        "hostname": name,
        "write_files": [
            {"path": JOIN_FILE, "permissions": "0600", "content": json.dumps(join)},
        ],
        "runcmd": [[PROGRAM, "join"]],
    }
    text = _HEADER + json.dumps(body, indent=1) + "\n"
    if len(text.encode()) >= _LIMIT:
        raise InvalidError(
            f"The user-data has {len(text.encode())} bytes and must have less than {_LIMIT}: "
            "shorten the director's address or the machine's name."
        )
    return text


def parse(text: str) -> UserData:
    """Read user-data as :func:`render` writes it.

    Raises:
        InvalidError: It is something else that cloud-init may know and we do not.
    """
    if not text.startswith(_HEADER):
        raise InvalidError(
            f"The user-data begins with {text.partition(chr(10))[0][:40]!r}; only "
            f"{_HEADER.strip()!r} is understood here."
        )
    try:
        body = json.loads(text.removeprefix(_HEADER))
    except ValueError as error:
        raise InvalidError(
            f"The user-data must be JSON after its first line; it is not: {error}."
        ) from error
    if not isinstance(body, dict):
        raise InvalidError("The user-data must be a JSON object after its first line.")
    return UserData(
        tuple(_file(entry) for entry in _list(body, "write_files")),
        tuple(_command(entry) for entry in _list(body, "runcmd")),
    )


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if not isinstance(value, list):
        raise InvalidError(f"{key!r} of the user-data must be a list.")
    return value


def _file(entry: Any) -> FileToWrite:
    try:
        path, content = entry["path"], entry.get("content", "")
        mode = int(str(entry.get("permissions", "0644")), 8)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise InvalidError(f"This entry of write_files has a fault: {entry!r:.200}") from error
    if not (isinstance(path, str) and path.startswith("/") and isinstance(content, str)):
        raise InvalidError(f"This entry of write_files has a fault: {entry!r:.200}")
    if "encoding" in entry:
        raise InvalidError(f"The file {path} of the user-data must be plain text.")
    return FileToWrite(path, content, mode)


def _command(entry: Any) -> tuple[str, ...]:
    if isinstance(entry, str):
        return ("sh", "-c", entry)
    if isinstance(entry, list) and entry and all(isinstance(word, str) for word in entry):
        return tuple(entry)
    raise InvalidError(f"This entry of runcmd has a fault: {entry!r:.200}")
