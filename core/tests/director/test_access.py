"""Who may call what: every operation, every kind of caller."""

import json

import pytest

from conpaas.api import Applications, ManagerDesk, Services
from conpaas.certificates import Identity, Role
from conpaas.director.users import add_user, new_token
from conpaas.errors import DeniedError, NotFoundError, UnauthenticatedError
from conpaas.plugins import Plugins
from conpaas.rpc import operations
from conpaas.testing.network import NetworkPeers

DIRECTOR = "https://director:5555"
ALL = [
    (cls.object, op)
    for cls in (*Plugins.installed().api, ManagerDesk)
    for op in operations(cls).values()
]
NAMES = [f"{name}.{operation.name}" for name, operation in ALL]


def call(cluster, name, operation, certificate=None, token=None, arguments=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return NetworkPeers(cluster.network, certificate).request(
        DIRECTOR, "POST", f"/api/v1/{name}/{operation.name}",
        body=json.dumps(arguments or {}).encode(), headers=headers,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "operation"), ALL, ids=NAMES)
def test_nobody_may_call_anything(cluster, name, operation):
    assert call(cluster, name, operation).status == 401
    assert call(cluster, name, operation, token="cps_wrong").status == 401


@pytest.mark.parametrize(("name", "operation"), ALL, ids=NAMES)
def test_an_agent_may_call_nothing(cluster, name, operation):
    certificate = cluster._issue(Identity(Role.AGENT, 1, 1, 1))
    assert call(cluster, name, operation, certificate).status == 403


@pytest.mark.parametrize(("name", "operation"), ALL, ids=NAMES)
def test_a_manager_may_call_the_desk_only_and_a_user_all_but_the_desk(cluster, name, operation):
    aid = cluster.application(start=False)
    manager = cluster._issue(Identity(Role.MANAGER, 1, aid, 1))
    user = cluster._issue(Identity(Role.USER, 1))
    refused, let_in = (user, manager) if name == "manager" else (manager, user)
    assert call(cluster, name, operation, refused).status == 403
    assert call(cluster, name, operation, let_in).status not in (401, 403)


def test_a_revoked_certificate_opens_nothing(cluster):
    aid = cluster.application()
    (machine,) = cluster.machines.values()
    pem = machine.peers._certificate
    listing = operations(ManagerDesk)["list_services"]
    assert call(cluster, "manager", listing, pem).status == 200
    cluster.run(cluster.api(Applications).stop(application=aid))
    cluster.director.refresh_revoked()
    assert call(cluster, "manager", listing, pem).status == 401


# -- one user's things, another user ------------------------------------------------------------


@pytest.fixture
def other(cluster):
    """The token of a user who owns nothing."""
    user = add_user("other", "battery staple")
    return new_token(user.id, "test")


OF_APPLICATION = [
    (cls, op)
    for cls in Plugins.installed().api
    for op in operations(cls).values()
    if any(p.name == "application" for p in op.parameters)
]


@pytest.mark.parametrize("by", ["id", "name"])
@pytest.mark.parametrize(
    ("cls", "operation"), OF_APPLICATION, ids=[f"{c.object}.{o.name}" for c, o in OF_APPLICATION]
)
def test_another_users_application_is_not_to_be_found(cluster, other, cls, operation, by):
    aid = cluster.application("hidden", start=False)
    given = {"application": aid if by == "id" else "hidden"}
    for parameter in operation.parameters:
        if parameter.required and parameter.name != "application":
            given[parameter.name] = {
                "new_name": "mine", "service_type": "simple", "service": 1, "job": 1
            }[parameter.name]  # fmt: skip
    answer = call(cluster, cls.object, operation, token=other, arguments=given)
    assert answer.status == 404, answer.body
    mine = cluster.api(Applications).get_info(application=aid)
    assert (mine.name, mine.status) == ("hidden", "INIT")


def test_another_users_services_and_jobs_are_not_to_be_found(cluster, other):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    cluster.run(service.start())
    for path in (f"/api/v1/applications/{aid}/services/1/list_nodes", "/api/v1/jobs/1",
                 f"/api/v1/applications/{aid}/jobs/1"):  # fmt: skip
        headers = {"Authorization": f"Bearer {other}"}
        answer = NetworkPeers(cluster.network).request(DIRECTOR, "GET", path, headers=headers)
        assert answer.status == 404, path
    assert cluster.api(Applications, other).list() == ()
    assert cluster.api(Services, other).list() == ()


def test_a_manager_touches_only_its_own_application(cluster):
    first, second = cluster.application("first"), cluster.application("second")
    cluster.run(cluster.service("simple", second).start())
    desk = cluster.manager(first).desk
    theirs = [m.id for m in cluster.manager(second).desk.list_machines()]
    assert theirs
    assert desk.list_machines() == ()
    cluster.run(desk.remove_machines(machines=tuple(theirs)))
    assert [m.id for m in cluster.manager(second).desk.list_machines()] == theirs
    with pytest.raises(NotFoundError):
        cluster.run(desk.create_machines(service=1, roles=("node",), key="k"))


# -- logging in ---------------------------------------------------------------------------------


def test_an_unknown_user_is_told_the_same_as_one_with_a_wrong_password(cluster):
    import base64

    answers = []
    for pair in ("test:wrong password", "nobody:wrong password"):
        credentials = base64.b64encode(pair.encode()).decode()
        answers.append(
            NetworkPeers(cluster.network).request(
                DIRECTOR,
                "POST",
                "/api/v1/user/get_config",
                headers={"Authorization": f"Basic {credentials}"},
            )
        )
    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].body == answers[1].body


def test_a_changed_password_ends_the_tokens(cluster):
    from conpaas.director.users import set_password

    cluster.api(Applications).list()
    set_password("test", "another password")
    with pytest.raises(UnauthenticatedError, match="not valid"):
        cluster.api(Applications).list()


def test_state_never_changes_by_get(cluster):
    for name, operation in ALL:
        if not operation.reads and name != "manager":
            headers = {"Authorization": f"Bearer {cluster.token}"}
            answer = NetworkPeers(cluster.network).request(
                DIRECTOR, "GET", f"/api/v1/{name}/{operation.name}?name=x", headers=headers
            )
            assert answer.status == 400, f"{name}.{operation.name}"
    assert cluster.api(Applications).list() == ()


def test_a_plugin_can_refuse_a_call(cluster):
    from conpaas import hookimpl

    class Miser:
        @hookimpl
        def conpaas_permit(self, user, operation):
            return (
                f"no {operation.name} for {user.username}" if operation.name == "create" else None
            )

    cluster.plugins._add("miser", Miser())
    with pytest.raises(DeniedError, match="no create for test"):
        cluster.api(Applications).create(name="x")
