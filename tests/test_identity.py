"""Who may call whom: real servers, real TLS and real certificates, and some that are no good."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import sqlite3
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e import Answer, CommandLine, Nutshell, application, call, wait_for

from conpaas.certificates import Authority, Identity, Role, new_key, signing_request
from conpaas.machine.user_data import JOIN_FILE, parse

Pair = tuple[Path, Path]
MANAGER, AGENT = 443, 5555
PASSWORD = "a password of hers"


@pytest.fixture(scope="module")
def node(cps: CommandLine, running: int) -> dict[str, Any]:
    """The one node of a service, which is service 1 of the running application."""
    assert cps.rows(f"cps-service add helloworld {running}")["sid"] == 1
    cps.ok(f"cps-service start {running} 1")
    (found,) = cps.rows(f"cps-service list_nodes {running} 1")
    return dict(found)


@pytest.fixture(scope="module")
def other(nutshell: Nutshell) -> Iterator[int]:
    """Another running application, with a service of one node."""
    with application(nutshell, "Other") as aid:
        nutshell.cps.ok(f"cps-service add helloworld {aid}")
        nutshell.cps.ok(f"cps-service start {aid} 1")
        yield aid


@pytest.fixture(scope="module")
def certificates(
    nutshell: Nutshell,
    running: int,
    other: int,
    node: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Pair | None]:
    """Certificates by their bearers: real ones of machines, and made-up ones."""
    directory = tmp_path_factory.mktemp("certificates")
    home = nutshell.home / "director"
    ours = Authority.load(home / "authority")
    past = Authority.load(home / "authority", clock=lambda: time.time() - 10 * 86400)
    foreign = Authority.create(directory / "foreign", nutshell.name)
    director = Identity(Role.DIRECTOR)
    manager = Identity(Role.MANAGER, 1, running, 1)

    def issued(authority: Authority, identity: Identity) -> Pair:
        name = directory / hashlib.sha256(f"{id(authority)}{identity}".encode()).hexdigest()
        key = new_key()
        pem = authority.issue(signing_request(key), identity, dt.timedelta(days=1))
        name.with_suffix(".pem").write_text(pem)
        name.with_suffix(".key").write_text(key)
        return name.with_suffix(".pem"), name.with_suffix(".key")

    (stranger,) = nutshell.cps.rows(f"cps-service list_nodes {other} 1")
    return {
        "nobody": None,
        "director": (home / "identity" / "cert.pem", home / "identity" / "key.pem"),
        "manager": nutshell.identity(nutshell.machine(running)),
        "agent": nutshell.identity(nutshell.machine(running, node["agent_id"])),
        "user": issued(ours, Identity(Role.USER, 1)),
        "manager of another application": nutshell.identity(nutshell.machine(other)),
        "agent of another application": nutshell.identity(
            nutshell.machine(other, stranger["agent_id"])
        ),
        "director of a foreign authority": issued(foreign, director),
        "manager of a foreign authority": issued(foreign, manager),
        "user of a foreign authority": issued(foreign, Identity(Role.USER, 1)),
        "expired director": issued(past, director),
        "expired manager": issued(past, manager),
        "expired user": issued(past, Identity(Role.USER, 1)),
    }


EVERYBODY = [
    "nobody", "director", "manager", "agent", "user",
    "manager of another application", "agent of another application",
    "director of a foreign authority", "manager of a foreign authority",
    "user of a foreign authority", "expired director", "expired manager", "expired user",
]  # fmt: skip
UNKNOWN = {"nobody", *(who for who in EVERYBODY if "foreign" in who or "expired" in who)}


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_manager_answers_its_director_only(
    nutshell: Nutshell, running: int, certificates: dict[str, Pair | None], who: str
) -> None:
    address = f"{nutshell.machine(running).address}:{MANAGER}"
    for path in ("/api/v1/check", "/api/v1/services/1/list_nodes", "/api/v1/jobs"):
        answer = call(address, "GET", path, ca=nutshell.ca, certificate=certificates[who])
        expected = 200 if who == "director" else 401 if who in UNKNOWN else 403
        assert answer.status == expected, answer.body


@pytest.mark.parametrize("who", EVERYBODY)
def test_an_agent_answers_the_manager_of_its_own_application_only(
    nutshell: Nutshell, node: dict[str, Any], certificates: dict[str, Pair | None], who: str
) -> None:
    for path in ("/api/v1/check", "/api/v1/agent/greet", "/api/v1/jobs"):
        answer = call(
            f"{node['ip']}:{AGENT}", "GET", path, ca=nutshell.ca, certificate=certificates[who]
        )
        expected = 200 if who == "manager" else 401 if who in UNKNOWN else 403
        assert answer.status == expected, answer.body


def as_bearer(nutshell: Nutshell, pair: Pair | None, path: str, body: Any = None) -> Answer:
    return nutshell.call("POST", path, body or {}, headers={}, certificate=pair)


@pytest.mark.parametrize("who", EVERYBODY)
def test_the_director_answers_users_and_what_managers_may_ask(
    nutshell: Nutshell, certificates: dict[str, Pair | None], who: str
) -> None:
    pair = certificates[who]
    as_user = as_bearer(nutshell, pair, "/application/list")
    expected = 200 if who == "user" else 401 if who in UNKNOWN else 403
    assert as_user.status == expected, as_user.body
    as_manager = as_bearer(nutshell, pair, "/manager/list_machines")
    is_manager = who in ("manager", "manager of another application")
    expected = 200 if is_manager else 401 if who in UNKNOWN else 403
    assert as_manager.status == expected, as_manager.body


def test_a_manager_may_touch_nothing_of_another_application(
    nutshell: Nutshell, cps: CommandLine, other: int, certificates: dict[str, Pair | None]
) -> None:
    mine = certificates["manager"]
    theirs = cps.rows(f"cps-machine list -a {other}")
    seen = as_bearer(nutshell, mine, "/manager/list_machines").body["result"]
    assert {row["aid"] for row in seen}.isdisjoint({other})

    numbers = [row["id"] for row in theirs]
    removal = as_bearer(nutshell, mine, "/manager/remove_machines", {"machines": numbers})
    assert removal.status == 202

    def over() -> bool:
        answer = nutshell.call("GET", removal.body["watch"].removeprefix("/api/v1"))
        return answer.body["result"]["state"] not in ("queued", "running")

    wait_for("the end of the job", over)
    assert cps.rows(f"cps-machine list -a {other}") == theirs
    assert {row["name"] for row in theirs} <= set(nutshell.machines())
    order = {"service": 7, "roles": ["node"], "key": "x"}
    assert as_bearer(nutshell, mine, "/manager/create_machines", order).status == 404
    assert as_bearer(nutshell, mine, f"/applications/{other}/services/1/stop").status == 404


def test_the_certificate_of_a_removed_node_opens_nothing_any_more(
    nutshell: Nutshell,
    cps: CommandLine,
    running: int,
    node: dict[str, Any],
    tmp_path: Path,
) -> None:
    (added,) = cps.rows(f"cps-service add_nodes {running} 1 --count 1")
    pair = nutshell.identity(nutshell.machine(running, added["agent_id"]))
    kept = (tmp_path / "cert.pem", tmp_path / "key.pem")
    for file, copy in zip(pair, kept, strict=True):
        shutil.copy(file, copy)
    csr = {"csr": signing_request(new_key())}
    assert as_bearer(nutshell, kept, "/renew", csr).status == 200
    cps.ok(f"cps-service remove_nodes {running} 1 --count 1")

    assert as_bearer(nutshell, kept, "/renew", csr).status == 401

    def revoked() -> bool:
        return "revoked" in str(as_bearer(nutshell, kept, "/application/list").body)

    wait_for("the director's note of it", revoked, 30)
    manager = nutshell.machine(running)
    # It asks once a minute; and when it starts.
    nutshell.kill_server(manager)

    def refused() -> bool:
        answer = call(
            f"{manager.address}:{MANAGER}", "GET", "/api/v1/check",
            ca=nutshell.ca, certificate=kept,
        )  # fmt: skip
        return answer.status == 401 and "revoked" in answer.told

    wait_for("the manager's note of it", refused, 30)


# -- joining ------------------------------------------------------------------------------------


def joining_token(root: Path) -> str:
    """Return the token that a machine joined with, from its user-data."""
    text = (root / "var/lib/cloud/seed/nocloud/user-data").read_text()
    (told,) = (file.content for file in parse(text).files if file.path == JOIN_FILE)
    return str(json.loads(told)["token"])


def join(nutshell: Nutshell, token: str) -> Answer:
    body = {"token": token, "csr": signing_request(new_key())}
    return nutshell.call("POST", "/join", body, headers={})


def test_a_token_joins_once_and_not_late_and_only_a_real_one(
    nutshell: Nutshell, running: int, node: dict[str, Any]
) -> None:
    machine = nutshell.machine(running, node["agent_id"])
    token = joining_token(nutshell.root(machine))

    used = join(nutshell, token)
    assert (used.status, used.told) == (
        401, f"the token of {machine.name} has been used already",
    )  # fmt: skip
    for unknown in (token[:-1], token + "x", "", "x" * 5000, "%", "' OR 1=1 --"):
        assert join(nutshell, unknown).status == 401
    assert join(nutshell, "x" * 20000).status == 400

    database = nutshell.home / "director" / "director.db"
    digest = hashlib.sha256(token.encode()).hexdigest()
    with closing(sqlite3.connect(database, timeout=20)) as records, records:
        records.execute("UPDATE machine SET token_expires = 1 WHERE token = ?", (digest,))
    late = join(nutshell, token)
    assert (late.status, late.told) == (401, f"the token of {machine.name} has expired")


def test_no_secret_is_in_the_logs(nutshell: Nutshell, running: int, node: dict[str, Any]) -> None:
    roots = [nutshell.root(nutshell.machine(running, who)) for who in (None, node["agent_id"])]
    secrets = [*map(joining_token, roots), nutshell.token, "PRIVATE KEY"]
    logs = [nutshell.home / "director" / "log", *(root / "var/log/conpaas" for root in roots)]
    files = [file for directory in logs for file in directory.rglob("*") if file.is_file()]
    assert len(files) > 5
    for file in files:
        text = file.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], file


# -- users --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mallory(nutshell: Nutshell, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Another user, who has a certificate and no token."""
    nutshell.admin("adduser mallory --email mallory@example.org", f"{PASSWORD}\n")
    cps = CommandLine(tmp_path_factory.mktemp("mallory"))
    der = ssl.PEM_cert_to_DER_cert(nutshell.ca.read_text())
    fingerprint = hashlib.sha256(der).hexdigest()
    (cps.home / ".conpaas").mkdir()
    (cps.home / ".conpaas" / "cps-tools.conf").write_text(
        f"[cps-tools]\ndirector_url = https://{nutshell.address}\nusername = mallory\n"
    )
    out = cps.ok(f"cps-user get_certificate --fingerprint {fingerprint}", given=f"{PASSWORD}\n")
    assert out.endswith("User certificates installed successfully.\n")
    return cps


def test_a_certificate_stands_for_its_user_without_password(mallory: CommandLine) -> None:
    assert mallory.rows("cps-user get_config")["username"] == "mallory"
    key = mallory.home / ".conpaas" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


COMMANDS = [
    "cps-application get_info {aid}",
    "cps-application get_info {name}",
    "cps-application get_log {aid}",
    "cps-application get_history {aid}",
    "cps-application rename {aid} Mine",
    "cps-application start {aid}",
    "cps-application stop {aid}",
    "cps-application delete {aid}",
    "cps-service add helloworld {aid}",
    "cps-service list -a {aid}",
    "cps-service get_state {aid} 1",
    "cps-service rename {aid} 1 Mine",
    "cps-service remove {aid} 1",
    "cps-service list_nodes {aid} 1",
    "cps-service add_nodes {aid} 1",
    "cps-service stop {aid} 1",
    "cps-helloworld get_helloworld {aid} 1",
    "cps-machine list -a {aid}",
    "cps-job list -a {aid}",
    "cps-job get 1 -a {aid}",
    "cps-job get 1",
]


def test_another_users_things_look_as_if_they_were_not_there(
    nutshell: Nutshell,
    cps: CommandLine,
    mallory: CommandLine,
    running: int,
    node: dict[str, Any],
) -> None:
    before = cps.rows(f"cps-service list -a {running}"), cps.rows(f"cps-machine list -a {running}")
    for command in COMMANDS:
        mallory.refused(command.format(aid=running, name="test_identity"), "there is no ")
    after = cps.rows(f"cps-service list -a {running}"), cps.rows(f"cps-machine list -a {running}")
    assert after == before


def test_another_users_things_are_in_no_list(
    nutshell: Nutshell, mallory: CommandLine, node: dict[str, Any]
) -> None:
    for things in ("application", "service", "machine", "job"):
        assert mallory.rows(f"cps-{things} list") == []


def test_another_users_things_are_404_by_every_path(
    nutshell: Nutshell, mallory: CommandLine, running: int, node: dict[str, Any]
) -> None:
    files = mallory.home / ".conpaas"
    pair = (files / "cert.pem", files / "key.pem")
    for path in (
        f"/applications/{running}/services/1/list_nodes",
        f"/applications/{running}/services/1/stop",
        "/applications/test_identity/services/1/stop",
        f"/applications/0{running}/services/1/stop",
        f"/applications/{running}/jobs/1",
        "/jobs/1",
    ):
        method = "GET" if "/jobs/" in path else "POST"
        body = None if method == "GET" else {}
        answer = nutshell.call(method, path, body, headers={}, certificate=pair)
        assert answer.status == 404, (path, answer.body)
    for operation in ("stop", "delete", "get_info", "start"):
        answer = nutshell.call(
            "POST", f"/application/{operation}", {"application": running},
            headers={}, certificate=pair,
        )  # fmt: skip
        assert answer.status == 404, answer.body
    answer = nutshell.call("POST", "/manager/list_machines", {}, headers={}, certificate=pair)
    assert answer.status == 403


def test_two_users_may_call_their_applications_the_same(
    mallory: CommandLine, running: int
) -> None:
    aid = mallory.rows('cps-application create "test_identity"')["aid"]
    assert mallory.rows("cps-application get_info test_identity")["aid"] == aid != running
    mallory.ok("cps-application delete test_identity")


def test_a_wrong_password_and_an_unknown_user_are_told_the_same(
    nutshell: Nutshell, mallory: CommandLine
) -> None:
    told = {
        mallory.refused(
            ["cps-application", "list", "--username", name, "--password", "wrong password"]
        )
        for name in ("mallory", "nobody")
    }
    assert told == {"ERROR: the username or the password is wrong\n"}
    for value in ("Bearer x", "Bearer", "Basic !", "Basic eA==", "Digest x", json.dumps({})):
        answer = nutshell.call("GET", "/application/list", headers={"Authorization": value})
        assert answer.status == 401, (value, answer.body)
