"""``conpaas-machine join``: the machine gets its identity and its task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conpaas import files
from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.errors import DeniedError, InvalidError, UnreachableError
from conpaas.front import ClientCertificates, Front
from conpaas.machine.console import say
from conpaas.machine.places import Places
from conpaas.transport import Peers, TlsFiles, raise_for_error

#: The port on which others reach each kind of server.
PORTS = {Role.MANAGER: 443, Role.AGENT: 5555}

_PATIENCE = 600.0
_CALL_TIMEOUT = 30.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0

_UNIT = """\
[Unit]
Description=ConPaaS: this machine's part of an application
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={program} run
Restart=always
KillMode=mixed

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class _Task:
    """What the director answers."""

    role: Role
    certificate: str
    ca: str
    config: str


def join(
    places: Places,
    *,
    patience: float = _PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    port: int | None = None,
) -> None:
    """Join the deployment that ``join.json`` tells, unless that has happened already.

    The machine makes a key that never leaves it, and asks the director for a certificate of it
    with the token.  When an answer gets lost, it asks again with the same key.

    Args:
        places: Where everything is.
        patience: Seconds for which an unreachable director is asked again.
        sleep: Waits between two attempts.
        port: Where our server listens; None takes the usual one of :data:`PORTS`.

    Raises:
        ConPaaSError: The director refuses, or was not reached in all that time.
    """
    if not places.join_file.exists():
        if places.identity.certificate.exists():
            return
        raise InvalidError(f"{places.join_file} does not exist: there is nobody to join.")
    request = _read(places.join_file)
    key_file = places.configuration / "join.key"
    if not key_file.exists():
        files.write(key_file, new_key(), 0o600, durable=True)
    key = key_file.read_text()
    files.write(places.identity.ca, request["ca"])
    peers = Peers(
        TlsFiles(places.identity.ca), timeout=_CALL_TIMEOUT, expect=Identity(Role.DIRECTOR)
    )
    body = json.dumps({"token": request["token"], "csr": signing_request(key)}).encode()
    with closing(peers):
        task = _ask(peers, request["director"], body, patience, sleep)

    files.write(places.identity.ca, task.ca)
    places.identity.replace(key, task.certificate)
    files.write(places.configuration / f"{task.role}.toml", task.config, 0o600, durable=True)
    _define_programs(places, task.role, port or PORTS[task.role])
    # Last, because a machine that is interrupted before this begins again.
    places.join_file.unlink()
    key_file.unlink()
    say(f"joined as {task.role}")


def _read(path: Path) -> dict[str, str]:
    try:
        request = json.loads(path.read_text())
        return {key: str(request[key]) for key in ("director", "ca", "token", "name")}
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError(f"{path} is not what a director writes: {error!r}") from error


def _ask(
    peers: Peers,
    director: str,
    body: bytes,
    patience: float,
    sleep: Callable[[float], None],
) -> _Task:
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            answer = peers.request(
                director,
                "POST",
                "/api/v1/join",
                body=body,
                headers={"Content-Type": "application/json"},
            )
        except (UnreachableError, DeniedError) as error:
            # Denied may mean that our clock is not right yet, which makes certificates look bad.
            problem = error.message
        else:
            if answer.status < 500:
                raise_for_error(answer)
                return _task(answer.json())
            problem = f"The director answers {answer.status}."
        if time.monotonic() + pause > deadline:
            raise UnreachableError(f"Given up after {patience:g} s: {problem}")
        say(f"{problem} Trying again in {pause:.1f} s.")
        sleep(pause)
        pause = min(pause * 1.7, _LONGEST_PAUSE)


def _task(answer: Any) -> _Task:
    try:
        result = answer["result"]
        role = Role(result["role"])
        if role not in PORTS:
            raise ValueError(role)
        return _Task(role, result["certificate"], result["ca"], result["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidError(f"The director's answer has a fault: {error!r}") from error


def _define_programs(places: Places, role: Role, port: int) -> None:
    places.sockets.mkdir(parents=True, exist_ok=True)
    front = Front(places.state / "front")
    front.configure(
        listen=[("0.0.0.0", port)],  # noqa: S104  (nobody gets in without a certificate)
        upstream=places.sockets / f"{role}.sock",
        certificate=places.identity.certificate,
        key=places.identity.key,
        ca=places.identity.ca,
        client_certificates=ClientCertificates.REQUIRED,
        user="root" if os.geteuid() == 0 else None,
    )
    supervisor = places.supervisor
    supervisor.define("front", front.command())
    supervisor.define(str(role), [sys.executable, "-P", "-m", f"conpaas.{role}"])
    if (places.root / "run/systemd/system").is_dir():
        _enable_unit(places)
    elif supervisor.is_active():
        supervisor.scan()


def _enable_unit(places: Places) -> None:
    """Have systemd run the supervision, now and at every boot."""
    unit = places.root / "etc/systemd/system/conpaas.service"
    files.write(unit, _UNIT.format(program=Path(sys.executable).parent / "conpaas-machine"))
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "enable", "--now", "--no-block", unit.name], check=True)
