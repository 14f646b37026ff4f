"""Who may read /metrics of which server, and what stands there."""

import dataclasses
import os
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conpaas.api import Users
from conpaas.certificates import Identity, Role
from conpaas.director import metrics
from conpaas.director.models import User
from conpaas.frontend.server import make_app
from conpaas.testing.cluster import DIRECTOR_URL
from conpaas.testing.network import NetworkPeers


def get(cluster, url, path="/metrics", identity=None, headers=None):
    certificate = cluster._issue(identity) if identity else None
    peers = NetworkPeers(cluster.network, certificate)
    return peers.request(url, "GET", path, headers=headers)


def samples(answer):
    """Return the samples of a text, by name and labels."""
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def director(cluster, path, token=None):
    headers = {"Authorization": f"Bearer {token or cluster.token}"}
    return get(cluster, DIRECTOR_URL, f"/api/v1{path}", headers=headers)


@pytest.fixture
def administrator(cluster):
    User.update(admin=True).where(User.username == "test").execute()


# -- agents and managers ------------------------------------------------------------------


def test_an_agent_tells_its_own_manager(measured, cluster):
    url = measured.machine("node-2").url
    measured.agents[0].hits = 17.0
    told = samples(get(cluster, url, identity=Identity(Role.MANAGER, 1, measured.aid, 1)))
    assert told["test_hits_total", ("code", "ok")] == 17.0
    assert told["process_resident_memory_bytes",] > 0
    assert ("conpaas_node_cpu_seconds_total",) in told


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        (None, 401),
        (Identity(Role.MANAGER, 1, 99, 1), 403),
        (Identity(Role.DIRECTOR), 403),
        (Identity(Role.USER, 1), 403),
        (Identity(Role.AGENT, 1, 1, 2), 403),
    ],
)
def test_an_agent_tells_nobody_else(measured, cluster, identity, status):
    assert get(cluster, measured.machine("node-2").url, identity=identity).status == status


@pytest.mark.parametrize(
    ("identity", "status"),
    [(None, 401), (Identity(Role.USER, 1), 403), (Identity(Role.AGENT, 1, 1, 2), 403)],
)
def test_a_manager_tells_the_director_only(measured, cluster, identity, status):
    assert get(cluster, measured.manager_machine.url, identity=identity).status == status


def test_a_manager_tells_of_itself_and_of_all_nodes(measured, cluster):
    measured.sample(3, 4)
    cluster.cut(measured.machine("node-3"))
    measured.sample()
    told = samples(get(cluster, measured.manager_machine.url, identity=Identity(Role.DIRECTOR)))
    first = (("node", "node-2"), ("role", "node"), ("service", "1"))
    second = (("node", "node-3"), ("role", "other"), ("service", "1"))
    assert told["conpaas_node_up", *first] == 1.0
    assert told["conpaas_node_up", *second] == 0.0
    assert told["test_hits_total", ("code", "ok"), *first] == 3.0
    assert not any(
        name == "test_hits_total" and ("node", "node-3") in rest for name, *rest in told
    )
    assert told["process_cpu_seconds_total",] > 0, "the manager's own"
    assert told["conpaas_info", ("version", "3.0.0.dev0")] == 1.0


# -- the director -------------------------------------------------------------------------


def test_an_owner_reads_his_application_through_the_director(measured, cluster):
    measured.sample(3, 4)
    told = samples(director(cluster, f"/applications/{measured.aid}/metrics"))
    assert sum(v for key, v in told.items() if key[0] == "test_hits_total") == 7.0
    assert director(cluster, "/applications/shop/metrics").status == 200, "by its name as well"


def test_a_token_that_only_reads_is_enough(measured, cluster):
    token = cluster.api(Users).create_token(name="prometheus", scope="read").value
    assert director(cluster, f"/applications/{measured.aid}/metrics", token).status == 200


def test_an_application_whose_manager_is_away_is_said_to_be(measured, cluster):
    cluster.cut(measured.manager_machine)
    assert director(cluster, f"/applications/{measured.aid}/metrics").status == 503


def test_the_director_tells_administrators_of_itself(measured, cluster, administrator):
    measured.service.list_nodes()
    told = samples(director(cluster, "/metrics"))
    assert told["conpaas_applications", ("state", "RUNNING")] == 1.0
    assert told["conpaas_applications", ("state", "ERROR")] == 0.0
    assert told["conpaas_machines", ("state", "running")] == 3.0
    assert told["conpaas_users",] == 1.0
    assert told["conpaas_jobs", ("state", "done")] >= 1.0
    listed = ("operation", "counting list_nodes")
    assert told["conpaas_requests_total", listed, ("status", "200")] >= 1.0
    assert told["conpaas_request_duration_seconds_count", listed] >= 1.0
    assert told["process_open_fds",] > 0


def test_requests_have_few_names_whatever_is_asked_for(cluster, administrator):
    director(cluster, "/metrics")
    before = samples(director(cluster, "/metrics"))
    for number in range(50):
        get(cluster, DIRECTOR_URL, f"/api/v1/thing{number}/do")
        get(cluster, DIRECTOR_URL, f"/elsewhere/{number}")
        director(cluster, f"/user/no_such_operation_{number}")
        director(cluster, f"/applications/{number + 7}/services/{number}/start")
    after = samples(director(cluster, "/metrics"))
    new = {key[1] for key in after.keys() - before.keys() if key[0] == "conpaas_requests_total"}
    assert len(new) <= 4


# -- the frontend -------------------------------------------------------------------------


@pytest.fixture
def frontend(cluster):
    def ask(token, headers=None):
        app = make_app(NetworkPeers(cluster.network), DIRECTOR_URL, cluster.plugins, token)
        cluster.network.join("https://frontend:443", Identity(Role.FRONTEND), app)
        get(cluster, "https://frontend:443", "/login")
        return get(cluster, "https://frontend:443", headers=headers)

    return ask


def test_the_frontend_tells_nobody_unless_a_token_is_set(frontend):
    assert frontend("").status == 404
    assert frontend("", {"Authorization": "Bearer "}).status == 404


@pytest.mark.parametrize("shown", [None, "Bearer", "Bearer ", "Bearer wrong", "Basic secret"])
def test_the_frontend_wants_its_token(frontend, shown):
    answer = frontend("secret", {"Authorization": shown} if shown else None)
    assert answer.status == 401
    assert b"metrics_token" in answer.body


def test_the_frontend_tells_of_its_pages(frontend):
    told = samples(frontend("secret", {"Authorization": "Bearer secret"}))
    assert told["conpaas_requests_total", ("operation", "/login"), ("status", "200")] == 1.0


# -- several processes --------------------------------------------------------------------


def test_processes_of_the_director_count_together(tmp_path):
    """Two of them count and end, and a third tells of both."""
    program = (
        "from prometheus_client import CollectorRegistry\n"
        "from conpaas.metrics import Requests\n"
        "r = Requests(CollectorRegistry())\n"
        "r._count.labels('user list', '200').inc()\n"
    )
    told = (
        "import sys, conpaas.director.metrics as m\n"
        "from conpaas.metrics import Metrics\n"
        "found = Metrics()\n"
        "m.MultiProcessCollector(found.registry, sys.argv[1])\n"
        "print(found.text().decode())\n"
    )
    environment = {**os.environ, metrics.VARIABLE: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    out = subprocess.run(
        [sys.executable, "-c", told, str(tmp_path)],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert 'conpaas_requests_total{operation="user list",status="200"} 2.0' in out.stdout


def test_what_ended_processes_counted_goes_when_the_director_begins(tmp_path, cluster):
    config = dataclasses.replace(
        cluster.config,
        director=dataclasses.replace(cluster.config.director, run_dir=str(tmp_path)),
    )
    found = metrics.make_directory(config)
    (found / "counter_999999999.db").touch()
    (found / f"counter_{os.getpid()}.db").touch()
    metrics.make_directory(config)
    assert [file.name for file in found.iterdir()] == [f"counter_{os.getpid()}.db"]
