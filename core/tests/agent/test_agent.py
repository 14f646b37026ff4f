"""The agent of a machine: whom it serves, what it keeps, what it takes up again."""

import datetime as dt
import json
import logging

import pytest

from conpaas.agent.config import AgentSection
from conpaas.agent.host import AgentHost
from conpaas.agent.server import make_app
from conpaas.certificates import Authority, Identity, Role, Verifier, new_key, signing_request
from conpaas.records import Records
from conpaas.supervisor.process import ProcessSupervisor
from conpaas.testing.network import Network, NetworkPeers

URL = "https://node:5555"
SECTION = AgentSection(
    deployment="test", director_url="https://director:5555", owner=1, application=7, service=2,
    service_type="simple", machine=5, node="node-5", role="node", address="192.0.2.5",
)  # fmt: skip
MANAGER = Identity(Role.MANAGER, owner=1, application=7, machine=1)


class Machine:
    """A machine with an agent, and callers that come to it."""

    def __init__(self, directory, plugins):
        self.directory, self.plugins = directory, plugins
        self.authority = Authority.create(directory / "authority", "test")
        self.supervisor = ProcessSupervisor(directory / "log", pause=0.05)
        self.network = Network()
        self.records = None
        self.boot()

    def boot(self):
        """Start the agent's process, or start it again as after a crash."""
        if self.records is not None:
            self.records.close()
        self.records = Records(self.directory / "agent.db")
        self.host = AgentHost(
            SECTION, self.plugins, self.directory / "root", self.supervisor, self.records
        )
        self.host.start()
        self.verifier = Verifier(self.authority.ca_pem, "test")
        app = make_app(self.host, self.verifier, SECTION.application)
        self.network.join(URL, Identity(Role.AGENT, 1, 7, 5), app)

    def call(self, method, path, identity=MANAGER, body=None):
        """Make a call as the bearer of an identity; return status and content."""
        certificate = None
        if identity is not None:
            request = signing_request(new_key())
            certificate = self.authority.issue(request, identity, dt.timedelta(hours=1))
        answer = NetworkPeers(self.network, certificate).request(
            URL, method, f"/api/v1/{path}", body=body,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        return answer.status, answer.json()

    def result(self, method, path, body=None):
        """Make a call as the manager and return its result."""
        status, content = self.call(method, path, body=body)
        assert status == 200, content
        return content["result"]

    def run(self, operation, **arguments):
        """Run a job and return its report."""
        body = json.dumps(arguments).encode()
        status, content = self.call("POST", f"agent/{operation}", body=body)
        assert status == 202, content
        running = self.host.runner._running.get("agent")
        if running is not None:
            assert running.ended.wait(10)
        return self.result("GET", f"jobs/{content['job']}")


@pytest.fixture
def machine(tmp_path, plugins):
    made = Machine(tmp_path, plugins)
    yield made
    made.supervisor.shutdown()
    made.records.close()


@pytest.mark.parametrize(
    "identity",
    [
        Identity(Role.MANAGER, owner=1, application=8, machine=1),
        Identity(Role.AGENT, owner=1, application=7, machine=6),
        Identity(Role.AGENT, owner=1, application=7, machine=5),
        Identity(Role.USER, owner=1),
        Identity(Role.DIRECTOR),
    ],
    ids=str,
)
def test_only_its_own_applications_manager_may_call(machine, identity):
    for method, path in [
        ("GET", "check"), ("GET", "agent/say"), ("POST", "agent/configure"), ("GET", "jobs"),
        ("GET", "jobs/1"), ("GET", "nowhere"),
    ]:  # fmt: skip
        status, content = machine.call(method, path, identity)
        assert (status, content["error"]["code"]) == (403, "denied"), path
    assert machine.result("GET", "agent/say")["word"] == ""


def test_who_shows_no_certificate_is_nobody(machine):
    status, content = machine.call("GET", "check", None)
    assert (status, content["error"]["code"]) == (401, "unauthenticated")


def test_a_revoked_manager_is_nobody(machine):
    class Everything(frozenset):
        def __contains__(self, serial):
            return True

    machine.verifier.revoked = Everything()
    status, content = machine.call("GET", "check")
    assert (status, content["error"]["code"]) == (401, "unauthenticated")


def test_it_says_who_it_is(machine):
    told = machine.result("GET", "check")
    assert told["node"] == "node-5"
    assert told["version"] and told["started"] > 0


def test_a_job_is_run_and_told(machine):
    report = machine.run("configure", word="hello")
    assert (report["state"], report["result"], report["user"]) == ("done", "hello", "manager")
    assert machine.result("GET", "agent/say") == {"node": "node-5", "word": "hello"}
    assert [job["operation"] for job in machine.result("GET", "jobs")] == ["configure"]


def test_a_job_that_fails_tells_why(machine):
    report = machine.run("configure", word="broken")
    assert report["state"] == "failed"
    assert report["error"]["code"] == "agent"
    assert "burns" in report["error"]["message"]


def test_a_check_answers_the_caller(machine):
    status, content = machine.call("POST", "agent/configure", body=b'{"word": "unspeakable"}')
    assert (status, content["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "agent/no_such", (404, "not-found")),
        ("GET", "agent/on_boot", (404, "not-found")),
        ("GET", "agent/configure?word=x", (400, "invalid")),
        ("POST", "agent/configure", (400, "invalid")),
        ("GET", "jobs/77", (404, "not-found")),
        ("GET", "jobs/" + "9" * 30, (404, "not-found")),
        ("PUT", "agent/say", (405, "invalid")),
        ("GET", "manager/get_log", (404, "not-found")),
    ],
)
def test_what_is_not_offered_is_refused(machine, method, path, expected):
    status, content = machine.call(method, path)
    assert (status, content["error"]["code"]) == expected


def test_what_it_keeps_survives_its_process(machine):
    machine.run("configure", word="kept")
    machine.boot()
    assert machine.result("GET", "agent/say")["word"] == "kept"


def test_logs_are_listed_and_read_from_their_end(machine):
    machine.run("configure", word="hello")
    assert [log["filename"] for log in machine.result("GET", "agent/list_logs")] == [
        "agent.log",
        "word.log",
    ]
    assert machine.result("GET", "agent/get_log?filename=word.log&lines=1") == "hello\n"
    assert machine.result("GET", "agent/get_log") == ""


@pytest.mark.parametrize("name", ["../agent.db", "/etc/passwd", "", "word.lgo"])
def test_a_log_that_is_not_offered_is_not_read(machine, name):
    status, content = machine.call("GET", f"agent/get_log?filename={name}")
    assert (status, content["error"]["code"]) == (400, "invalid")


@pytest.mark.parametrize("lines", [0, -1, 100_001, "1e3"])
def test_a_number_of_lines_that_means_nothing_is_refused(machine, lines):
    status, content = machine.call("GET", f"agent/get_log?lines={lines}")
    assert (status, content["error"]["code"]) == (400, "invalid")


def test_plugins_and_the_agent_itself_are_told_that_it_is_there(machine, plugins, monkeypatch):
    order = []
    monkeypatch.setattr(plugins, "tell", lambda hook, **values: order.append(hook))
    monkeypatch.setattr(type(machine.host.agent), "on_boot", lambda self: order.append("on_boot"))
    machine.boot()
    assert order == ["conpaas_agent_started", "on_boot"]


def test_its_log_has_the_name_of_its_service_type(machine):
    assert machine.host.agent.log is logging.getLogger("conpaas.simple")
