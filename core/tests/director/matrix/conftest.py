"""The world in which the authorisation matrix is walked, and everybody who walks it.

Nothing runs in it: managers answer and do nothing, jobs are recorded and stay.  So every call can
be made, and what it has changed in the records can be put back.
"""

import hashlib
import io
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import pytest

from conpaas.certificates import Identity, Role, new_key, signing_request
from conpaas.director import tokens
from conpaas.director.invitations import invite
from conpaas.director.models import (
    Application,
    Certificate,
    Invitation,
    Job,
    Machine,
    Service,
    SshKey,
    Token,
    User,
)
from conpaas.director.users import hash_password
from conpaas.director.volumes_model import Volume
from conpaas.plugins import Plugins
from conpaas.rpc import JobReport, JobState, Piece
from conpaas.schema import to_json
from conpaas.testing.cluster import PASSWORD, Cluster
from conpaas.transport import Answer

BLOB = b"x"
#: Columns that say when and from where something was used, and tables of what was tried.
BOOKKEEPING = {"audit", "attempt"}
USED = {"last_used", "address"}


class IdleWays:
    """Ways to managers that answer everything and do nothing."""

    def manager(self, machine, path, user):
        """Return a channel that answers as if all had gone well."""
        return self

    def send(self, operation, arguments):
        """Answer a call."""
        return {str: "", Piece: {"text": "", "after": ""}}.get(operation.result)

    def report(self, watch):
        """Answer with a job that has ended."""
        return JobReport(1, "service 1", "start", JobState.DONE, 100, "")

    def check(self, machine):
        """Answer that all is well."""
        return {}

    def get(self, machine, path, timeout=30.0):
        """Answer with the manager's jobs."""
        one = to_json(self.report(path))
        return [one] if path.endswith("/jobs") else one

    def forward(self, machine, method, path, body, headers):
        """Answer an operation of a service."""
        return Answer(
            200, {"content-type": "application/json"}, chunks=iter([b'{"result": null}'])
        )


@dataclass
class World:
    """A director whose records hold something of everything, all of it the owner's."""

    cluster: Cluster
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    services: dict[str, int] = field(default_factory=dict)

    @property
    def writes(self):
        """How many rows have been written so far."""
        return self.cluster.database.connection().total_changes

    def snapshot(self):
        """Return all rows of all tables but the bookkeeping."""
        found = {}
        connection = self.cluster.database.connection()
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            if name in BOOKKEEPING or name.startswith("sqlite_"):
                continue
            cursor = connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')
            kept = [i for i, column in enumerate(cursor.description) if column[0] not in USED]
            found[name] = [tuple(row[i] for i in kept) for row in cursor.fetchall()]
        return found

    def of_owner(self):
        """Return what is the owner's, as it is told to people."""
        mine = Application.id == 1
        return [
            list(Application.select().where(mine).dicts()),
            list(Service.select().where(Service.application == 1).dicts()),
            list(Machine.select().where(Machine.application == 1).dicts()),
            list(Volume.select().where(Volume.application == 1).dicts()),
            list(SshKey.select().where(SshKey.user == 1).dicts()),
            list(User.select().where(User.id == 1).dicts()),
            list(Token.select(Token.id, Token.name).where(Token.user == 1).dicts()),
        ]

    def keep(self):
        """Remember the records as they are."""
        self._kept = sqlite3.connect(":memory:")
        self.cluster.database.connection().backup(self._kept)
        self.before, self.owners = self.snapshot(), self.of_owner()

    def restore(self):
        """Put the records back as they were."""
        self._kept.backup(self.cluster.database.connection())
        self.cluster.director.files(1).put(self.values["digest"], io.BytesIO(BLOB))
        self.cluster.director.refresh_revoked()


def make_world():
    """Build it."""
    cluster = Cluster(Plugins.installed())
    cluster.director.ways = IdleWays()
    cluster._queue.run = lambda number: None
    cluster.database.connection().execute("PRAGMA synchronous = OFF")
    world = World(cluster)
    owner = User.get()
    owner.username, owner.password = "owner", hash_password(PASSWORD)
    owner.save()
    other, boss, shut = (
        User.create(username=name, password=owner.password, admin=name == "boss",
                    disabled=name == "shut")
        for name in ("other", "boss", "shut")
    )  # fmt: skip
    for user in (other, boss, shut):
        cluster.plugins.hook.conpaas_user_created(config=cluster.config, user=user, credit=None)
    _fill(world, owner, "hidden")
    _fill(world, other, "theirs")
    now = cluster.director.clock()
    Job.create(
        object="application", operation="start", arguments="{}", caller="{}", user=owner.id,
        username="owner", application=1, target="application 1", state="done",
    )  # fmt: skip
    Volume.create(
        application=1, service=1, name="data", held="1/data", cloud="memory", cloud_name="v",
        wanted=1, size=1, state="available", request="v", role="node", position=0,
    )  # fmt: skip
    key = SshKey.create(user=owner, name="k", type="t", fingerprint="f", line="t k", created=now)
    spare = tokens.issue(owner.id, "spare")
    code = invite("", now, 1000)
    world.values = {
        "application": [1, "1", "hidden"],
        "service": [1, "1", "first"],
        "user": [owner.id, str(owner.id), "owner"],
        "job": [1],
        "key": [key.id],
        "token": [Token.get(Token.digest == tokens.digest(spare)).id],
        "invitation": [Invitation.get().id],
        "code": code,
        "digest": hashlib.sha256(BLOB).hexdigest(),
        "csr": signing_request(new_key()),
    }
    _people(world, owner, other, boss, shut)
    cluster.director.files(1).put(world.values["digest"], io.BytesIO(BLOB))
    world.keep()
    return world


def _fill(world, user, name):
    """Give a user a running application with a service of each type."""
    row = Application.create(user=user, name=name, state="RUNNING", cloud="memory")
    types = sorted(world.cluster.plugins.services)
    for number, kind in enumerate(types, 1):
        Service.create(
            application=row, number=number, type=kind, state="STOPPED",
            name="first" if number == 1 else kind,
        )  # fmt: skip
        world.services[kind] = number
    for service in (0, 1):
        Machine.create(
            application=row, service=service, role="manager" if service == 0 else "node",
            name=f"{name}-{service}", cloud="memory", address=f"10.0.{row.id}.{service}",
            state="running", request=f"{name}-{service}",
        )  # fmt: skip
    row.services_made = len(types)
    row.save()


def _people(world, owner, other, boss, shut):
    cluster, now = world.cluster, world.cluster.director.clock()

    def token(user, **more):
        return {"token": tokens.issue(user.id, "t", now=now, **more)}

    def certificate(role, number=None, application=None, machine=None):
        return {"identity": Identity(role, number, application, machine)}

    expired = tokens.issue(owner.id, "t", now=now - 100, lifetime=50)
    idle = cluster.config.accounts.session_idle
    stale = tokens.issue(owner.id, "t", kind="session", now=now - idle - 1, lifetime=10 * idle)
    revoked = tokens.issue(owner.id, "t")
    Token.delete().where(Token.digest == tokens.digest(revoked)).execute()
    revoked_pem = cluster.director.certificates.for_user(owner, signing_request(new_key()))
    Certificate.update(revoked=now).execute()
    cluster.director.refresh_revoked()
    world.people = {
        "nobody": {},
        "an expired token": {"token": expired},
        "an idle session": {"token": stale},
        "a revoked token": {"token": revoked},
        "a revoked certificate": {"certificate": revoked_pem},
        "a disabled user's token": token(shut),
        "a disabled user's certificate": certificate(Role.USER, shut.id),
        "the frontend alone": certificate(Role.FRONTEND),
        "a director": certificate(Role.DIRECTOR),
        "its agent": certificate(Role.AGENT, owner.id, 1, 2),
        "another application's agent": certificate(Role.AGENT, other.id, 2, 4),
        "its manager": certificate(Role.MANAGER, owner.id, 1, 1),
        "another application's manager": certificate(Role.MANAGER, other.id, 2, 3),
        "another user": token(other),
        "the owner": token(owner),
        "the owner's session": token(owner, kind="session", lifetime=1000.0),
        "the owner's certificate": certificate(Role.USER, owner.id),
        "a read-only token": token(owner, scope="read"),
        "an administrator": token(boss),
        "an administrator's read-only token": token(boss, scope="read"),
    }


@pytest.fixture(scope="module")
def world(cheap_passwords):
    """The world; whoever changes it puts it back."""
    made = make_world()
    yield made
    made.cluster.close()
