"""The manager's door: for its director only."""

import pytest

from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.testing.network import NetworkPeers


@pytest.fixture
def call(running):
    """Call the manager as the bearer of an identity; return status and content."""
    import datetime as dt

    cluster = running.cluster

    def call(method, path, identity=None, body=None):
        certificate = None
        if identity is not None:
            request = signing_request(new_key())
            certificate = cluster.authority.issue(request, identity, dt.timedelta(hours=1))
        answer = NetworkPeers(cluster.network, certificate).request(
            running.machine.url, method, f"/api/v1/{path}", body=body,
            headers={"Content-Type": "application/json", "X-ConPaaS-User": "anna" * 100},
        )  # fmt: skip
        return answer.status, answer.json()

    return call


DIRECTOR = Identity(Role.DIRECTOR)
DOORS = [
    ("GET", "check"), ("POST", "services/1/stop"), ("GET", "services/1/list_nodes"),
    ("POST", "manager/remove_service"), ("POST", "manager/stop_services"), ("GET", "jobs"),
    ("GET", "jobs/1"), ("GET", "nowhere"),
]  # fmt: skip


def test_nobody_but_the_director_gets_in(running, call):
    before = running.seen()
    for method, path in DOORS:
        status, content = call(method, path)
        assert (status, content["error"]["code"]) == (401, "unauthenticated"), path
        for identity in (
            Identity(Role.USER, owner=1),
            Identity(Role.MANAGER, owner=1, application=1, machine=1),
            Identity(Role.MANAGER, owner=2, application=9, machine=9),
            Identity(Role.AGENT, owner=1, application=1, machine=2),
        ):
            status, content = call(method, path, identity)
            assert (status, content["error"]["code"]) == (403, "denied"), (path, identity)
    assert running.seen() == before


def test_it_tells_the_states_of_its_services(call):
    assert call("GET", "check", DIRECTOR) == (200, {"result": {"1": "RUNNING"}})


def test_for_whom_it_works_is_a_short_name(running, call):
    status, content = call("POST", "services/1/add_nodes", DIRECTOR, b'{"nodes": {}}')
    assert status == 202
    running.idle()
    assert running.manager.runner.report(content["job"]).user == ("anna" * 100)[:64]


def test_what_is_not_offered_is_refused(call):
    for method, path, expected in [
        ("GET", "services/2/list_nodes", (404, "not-found")),
        ("GET", "services/x/list_nodes", (404, "not-found")),
        ("GET", "services/" + "9" * 30 + "/list_nodes", (404, "not-found")),
        ("GET", "services/1/choose_nodes", (404, "not-found")),
        ("GET", "services/1/stop", (400, "invalid")),
        ("GET", "manager/stop_services", (400, "invalid")),
        ("POST", "manager/lose", (404, "not-found")),
        ("GET", "jobs/77", (404, "not-found")),
        ("DELETE", "services/1/stop", (405, "invalid")),
    ]:
        status, content = call(method, path, DIRECTOR)
        assert (status, content["error"]["code"]) == expected, path
