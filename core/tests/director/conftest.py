"""What the director's tests share: knocking at its door as anybody."""

import base64
import dataclasses
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import pytest

from conpaas.api import Applications
from conpaas.certificates import new_key, signing_request
from conpaas.director.models import Machine, User
from conpaas.director.users import new_token
from conpaas.front import ADDRESS_HEADER
from conpaas.testing.cluster import DIRECTOR_URL
from conpaas.testing.network import NetworkPeers


@dataclass(frozen=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """What the body holds."""
        return json.loads(self.content)

    @property
    def result(self) -> Any:
        """The result of a call that went well."""
        assert self.status == 200, self.content
        return self.json["result"]

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.json["error"]["code"]

    @property
    def message(self) -> str:
        """The text of an error."""
        return self.json["error"]["message"]


def basic(username, password):
    """Return the header of a login with a password."""
    told = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


class Caller:
    """Somebody at the director's door."""

    def __init__(self, cluster, token=None, certificate=None, address=""):
        self.peers = NetworkPeers(cluster.network, certificate)
        self.token = token
        self.address = address

    def call(self, method, path, body=None, **headers):
        """Make a call; ``body`` is JSON's value, or bytes as they are."""
        sent = {"Content-Type": "application/json", ADDRESS_HEADER: self.address, **headers}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        answer = self.peers.request(DIRECTOR_URL, method, path, body=content, headers=sent)
        return Got(answer.status, dict(answer.headers), answer.body)

    def post(self, path, body=None, **headers):
        """Make a POST below ``/api/v1``."""
        return self.call("POST", f"/api/v1/{path}", {} if body is None else body, **headers)

    def log_in(self, username, password):
        """Try a password."""
        return self.post("user/get_config", **basic(username, password))

    def open_session(self, username, password):
        """Log in as the frontend does."""
        return self.post("user/open_session", **basic(username, password))

    def send(self, path, content, **headers):
        """Send a file below ``/api/v1``."""
        kind = {"Content-Type": "application/octet-stream"}
        return self.call("POST", f"/api/v1/{path}", content, **kind, **headers)

    def get(self, path, **headers):
        """Make a GET below ``/api/v1``."""
        return self.call("GET", f"/api/v1/{path}", None, **headers)


@pytest.fixture
def call_as(cluster):
    """Return a caller: with a token, a certificate, or the certificate of an identity."""

    def call_as(token=None, certificate=None, identity=None, address=""):
        if identity is not None:
            request = signing_request(new_key())
            certificate = cluster.authority.issue(request, identity, dt.timedelta(hours=1))
        return Caller(cluster, token, certificate, address)

    return call_as


@pytest.fixture
def make_user(call_as):
    """Make a user who cannot log in with a password, and return a caller with a token."""

    def make_user(name, admin=False):
        user = User.create(username=name, password="!", admin=admin)
        return call_as(token=new_token(user.id, "test"))

    return make_user


@pytest.fixture
def set_accounts(cluster):
    """Change the director's settings of accounts."""

    def set_accounts(**changes):
        config = cluster.director.config
        accounts = dataclasses.replace(config.accounts, **changes)
        cluster.director.config = dataclasses.replace(config, accounts=accounts)

    return set_accounts


@pytest.fixture
def run_job(cluster):
    """Return the report of a job when it has ended."""

    def run_job(caller, got):
        assert got.status == 202, got.content
        reports = []

        def ended():
            report = caller.get(f"jobs/{got.json['job']}")
            reports.append(report.result)
            return report.result["finished"] is not None

        cluster.wait(ended, 20)
        return reports[-1]

    return run_job


@pytest.fixture
def owner(cluster, call_as):
    """The user that the cluster comes with."""
    return call_as(token=cluster.token)


@pytest.fixture
def stranger(make_user):
    """Another user."""
    return make_user("stranger")


@pytest.fixture
def admin(make_user):
    """An administrator."""
    return make_user("admin", admin=True)


@pytest.fixture
def applications(cluster):
    """The stub of the applications, called as the owner."""
    return cluster.api(Applications)


@pytest.fixture
def aid(cluster):
    """A running application."""
    return cluster.application()


@pytest.fixture
def sid(cluster, aid):
    """A service of it that runs on one node."""
    cluster.run(cluster.service("simple", aid).start())
    cluster.manager(aid).handover.now()
    return 1


class Books:
    """What the director's books say, beside what its cloud has."""

    def __init__(self, cluster):
        self.cluster = cluster

    def rows(self, *states):
        """Return the machines in these states, or all that live."""
        wanted = states or ("wanted", "booting", "running")
        return list(Machine.select().where(Machine.state.in_(wanted)).order_by(Machine.id))

    @property
    def right(self):
        """Whether the cloud has what they say, and nothing else."""
        there = {machine.name for machine in self.cluster.provider.machines.values()}
        return {row.name for row in self.rows()} == there


@pytest.fixture
def books(cluster):
    """The director's books."""
    return Books(cluster)
