"""Knocking at every door as everybody; another's things look exactly like nothing."""

import base64
import datetime as dt
import json
from urllib.parse import urlencode

import argon2
import pytest

from conpaas import hookimpl
from conpaas.api import ManagerDesk, Users
from conpaas.certificates import (
    Authority,
    Identity,
    Role,
    new_key,
    serial_number,
    signing_request,
)
from conpaas.director.models import Application, Job, Machine, Service, StateChange, Token, User
from conpaas.director.users import hash_password, new_token
from conpaas.plugins import Plugins
from conpaas.rpc import operations

OPERATIONS = [
    (cls.object, operation)
    for cls in (*Plugins.installed().api, ManagerDesk)
    for operation in operations(cls).values()
]
#: For each argument a value that means something of the owner's.
VALUES = {
    "application": 1,
    "service": 1,
    "new_name": "Taken over",
    "name": "Another one",
    "service_type": "simple",
    "job": 1,
}
NAMING = ("application", "service", "job")


def given(operation, named):
    """Return arguments, with every one that can name a thing naming it as ``named`` says."""
    return {
        p.name: named.get(p.name, VALUES[p.name])
        for p in operation.parameters
        if not p.is_upload and (p.required or p.name in NAMING)
    }


def knock(caller, name, operation, **named):
    """Call an operation as it wants to be called."""
    arguments, path = given(operation, named), f"{name}/{operation.name}"
    if operation.upload is None:
        return caller.post(path, arguments)
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in arguments.items()}
    kind = {"Content-Type": "application/octet-stream"}
    return caller.post(f"{path}?{urlencode(texts)}", b"x", **kind)


def everything():
    """Return all that the director knows, for two moments to be compared."""
    return [
        list(model.select().order_by(model.id).dicts())
        for model in (Application, Service, Machine, Job, StateChange)
    ]


@pytest.fixture
def unknown(cluster, call_as):
    """Those who are nobody here, by name."""
    foreign = Authority.create(cluster.directory / "foreign", "cluster")
    mine = Identity(Role.USER, owner=1)
    request = signing_request(new_key())
    revoked = cluster.authority.issue(request, mine, dt.timedelta(hours=1))
    expired = cluster.authority.issue(request, mine, dt.timedelta(seconds=-1))
    cluster.director.verifier.revoked = frozenset({serial_number(revoked)})
    return {
        "nobody": call_as(),
        "a wrong token": call_as(token="cps_wrong"),
        "a foreign authority": call_as(
            certificate=foreign.issue(request, mine, dt.timedelta(hours=1))
        ),
        "revoked": call_as(certificate=revoked),
        "expired": call_as(certificate=expired),
        "a user who is gone": call_as(identity=Identity(Role.USER, owner=99)),
        "its agent": call_as(identity=Identity(Role.AGENT, owner=1, application=1, machine=2)),
        "another's agent": call_as(
            identity=Identity(Role.AGENT, owner=2, application=9, machine=9)
        ),
        "a director": call_as(identity=Identity(Role.DIRECTOR)),
        "no certificate at all": call_as(certificate="-----BEGIN NONSENSE-----"),
    }


def test_whoever_is_nobody_here_gets_in_nowhere(cluster, sid, unknown):
    before = everything()
    for who, caller in unknown.items():
        for path in ("application/list", "application/stop", "manager/list_machines"):
            assert caller.post(path).status in (401, 403), (who, path)
        assert caller.get("applications/1/services/1/list_nodes").status in (401, 403), who
        assert caller.post("applications/1/services/1/stop").status in (401, 403), who
    assert everything() == before


def test_another_users_things_look_like_nothing_everywhere(cluster, sid, stranger):
    before = everything()
    for name, operation in OPERATIONS:
        if not set(NAMING) & {p.name for p in operation.parameters} or name == "manager":
            continue
        key, theirs = f"{name}.{operation.name}", knock(stranger, name, operation)
        # Exactly as what does not exist, but for the number in the text.
        nothing = knock(stranger, name, operation, application=77, job=77)
        assert (theirs.status, theirs.code) == (nothing.status, nothing.code), key
        assert theirs.code == "not-found", key
        assert theirs.message.replace("77", "1") == nothing.message.replace("77", "1"), key
    assert everything() == before


@pytest.mark.parametrize("ref", [1, "1", "app"])
def test_another_users_services_are_reached_by_no_name(cluster, sid, stranger, ref):
    for operation in ("list_nodes", "get_words", "stop", "set_word", "no_such_operation"):
        got = stranger.post(f"applications/{ref}/services/1/{operation}", {})
        assert (got.status, got.code) == (404, "not-found"), operation
    assert stranger.get(f"applications/{ref}/jobs/1").code == "not-found"
    assert stranger.get("jobs/1").code == "not-found"


def test_lists_tell_a_stranger_nothing(cluster, sid, stranger):
    for path in ("application/list", "service/list", "machine/list", "job/list"):
        assert stranger.post(path).result == []


def test_an_administrator_sees_and_does_everything(cluster, sid, admin):
    assert admin.post("application/get_info", {"application": 1}).result["name"] == "app"
    assert len(admin.post("machine/list").result) == 2
    assert admin.get("applications/1/services/1/list_nodes").status == 200
    got = admin.post("application/rename", {"application": 1, "new_name": "theirs"})
    assert got.result["name"] == "theirs"


def test_a_manager_reaches_no_other_application_of_its_owner(cluster, sid, call_as):
    other = cluster.application("other")
    before = everything()
    manager = call_as(identity=Identity(Role.MANAGER, owner=1, application=other, machine=3))
    assert manager.get("applications/1/jobs/1").code == "not-found"
    assert manager.get("applications/1/services/1/list_nodes").code == "not-found"
    assert manager.post("manager/list_machines").result == []
    assert manager.post("manager/list_services").result == []
    got = manager.post("manager/create_machines", {"service": 1, "roles": ["node"], "key": "x"})
    assert got.code == "not-found"
    kind = {"Content-Type": "application/octet-stream"}
    manager.post("manager/put_blob?digest=" + "0" * 64, b"x", **kind)
    states = urlencode({"states": '{"1": "ERROR"}'})
    manager.post(f"manager/hand_over?{states}", b"snapshot", **kind)
    assert everything() == before

    manager.post("manager/remove_machines", {"machines": [1, 2]})
    cluster.wait(lambda: not Job.select().where(Job.active.is_null(False)).exists())
    assert len(cluster.provider.machines) == 3
    number = Job.select().where(Job.operation == "create_machines").get().id
    assert manager.get(f"jobs/{number}").code == "not-found"


def test_a_manager_cannot_remove_itself(cluster, aid, call_as):
    manager = call_as(identity=Identity(Role.MANAGER, owner=1, application=1, machine=1))
    manager.post("manager/remove_machines", {"machines": [1]})
    cluster.wait(lambda: not Job.select().where(Job.active.is_null(False)).exists())
    assert len(cluster.provider.machines) == 1


def test_a_manager_that_talks_nonsense_is_told_so(cluster, sid, call_as):
    manager = call_as(identity=Identity(Role.MANAGER, owner=1, application=1, machine=1))
    kind = {"Content-Type": "application/octet-stream"}
    for states in [
        '{"1": "NONSENSE"}', '{"x": "ERROR"}', '{"-1": "ERROR"}', "[1]", "x", '{"1": null}',
    ]:  # fmt: skip
        got = manager.post(f"manager/hand_over?{urlencode({'states': states})}", b"x", **kind)
        assert (got.status, got.code) == (400, "invalid"), states


def test_other_methods_are_refused_everywhere(cluster, sid, owner):
    for path in (
        "application/list", "application/stop", "jobs/1", "join", "renew", "revoked", "ca",
        "version", "openapi.json", "applications/1/services/1/stop", "applications/1/jobs/1",
    ):  # fmt: skip
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT"):
            got = owner.call(method, f"/api/v1/{path}")
            assert got.status in (400, 405), (method, path)
    assert owner.post("application/get_info", {"application": 1}).result["status"] == "RUNNING"


# -- logging in -----------------------------------------------------------------------------------


def basic(username, password):
    told = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


def test_a_password_opens_the_door(cluster, call_as):
    got = call_as().post("user/get_config", **basic("test", "correct horse"))
    assert (got.result["username"], got.result["admin"]) == ("test", False)


def test_an_unknown_user_and_a_wrong_password_are_refused_in_the_same_way(
    cluster, call_as, monkeypatch
):
    User.update(password=hash_password("correct horse")).execute()
    verified = []
    verify = argon2.PasswordHasher.verify

    def counted(self, digest, password):
        verified.append(digest.rpartition("$")[0].rpartition("$")[0])
        return verify(self, digest, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    wrong = call_as().post("user/get_config", **basic("test", "wrong horse"))
    unknown = call_as().post("user/get_config", **basic("nobody", "wrong horse"))
    assert (
        (wrong.status, wrong.content) == (unknown.status, unknown.content) == (401, wrong.content)
    )
    # As much work for the one as for the other.
    assert len(verified) == 2 and verified[0] == verified[1]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic dGVzdA==",
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Bearer",
        "Bearer ",
        "Digest x",
        "Bearer cps_" + "x" * 10_000,
        "basic:x",
    ],
)
def test_a_header_that_means_nothing_opens_nothing(cluster, call_as, header):
    got = call_as().post("user/get_config", Authorization=header)
    assert (got.status, got.code) == (401, "unauthenticated")


def test_a_wrong_token_is_not_mended_by_a_good_certificate(cluster, call_as):
    caller = call_as(token="cps_wrong", identity=Identity(Role.USER, owner=1))
    assert caller.post("user/get_config").status == 401


def test_a_users_certificate_opens_the_door_as_its_owner(cluster, call_as):
    caller = call_as(identity=Identity(Role.USER, owner=1))
    assert caller.post("user/get_config").result["username"] == "test"


def test_a_certificate_is_issued_for_the_callers_own_identity(cluster, call_as, stranger):
    key = new_key()
    signed = stranger.post("user/sign_certificate", {"csr": signing_request(key)}).result
    assert (
        call_as(certificate=signed["certificate"]).post("user/get_config").result["username"]
        == "stranger"
    )


@pytest.mark.parametrize("csr", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nx\n"])
def test_a_signing_request_that_is_none_is_refused(owner, csr):
    got = owner.post("user/sign_certificate", {"csr": csr})
    assert (got.status, got.code) == (400, "invalid")


def test_a_token_is_kept_as_its_digest_only(cluster):
    value = new_token(1, "x")
    assert value not in {row.digest for row in Token.select()}
    api = cluster.api(Users, token=value)
    made = api.create_token(name="laptop")
    assert made.value.startswith("cps_") and made.value != value
    assert cluster.api(Users, token=made.value).get_config().username == "test"


def test_a_gone_managers_certificate_opens_nothing(cluster, aid, applications, call_as):
    (machine,) = cluster.machines.values()
    manager = call_as(certificate=machine.peers._certificate)
    assert manager.post("manager/list_services").status == 200
    cluster.run(applications.stop(application=aid))
    cluster.director.refresh_revoked()
    assert manager.post("manager/list_services").status == 401


def test_a_plugin_can_refuse_a_call(cluster, owner):
    class Miser:
        @hookimpl
        def conpaas_permit(self, user, operation):
            return (
                f"no {operation.name} for {user.username}" if operation.name == "create" else None
            )

    cluster.plugins._add("miser", Miser())
    got = owner.post("application/create", {"name": "x"})
    assert (got.status, got.code, got.message) == (403, "denied", "no create for test")
