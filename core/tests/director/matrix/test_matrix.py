"""Who may call what: everybody, every operation, every place where something can be named.

Generated from the declarations: an operation that is new is walked at once, and what it asks for
that cannot be guessed has to be said here.  What is named is always the owner's.
"""

import json
from urllib.parse import quote, urlencode

import pytest

from conpaas.api import ManagerDesk
from conpaas.plugins import Plugins
from conpaas.rpc import operations
from conpaas.testing.cluster import DIRECTOR_URL, PASSWORD
from conpaas.testing.network import NetworkPeers

PLUGINS = Plugins.installed()
OPERATIONS = [
    (cls.object, operation)
    for cls in (*PLUGINS.api, ManagerDesk)
    for operation in operations(cls).values()
]
SERVICE_OPERATIONS = [
    (name, operation)
    for name, service in PLUGINS.services.items()
    for operation in operations(service.manager_class).values()
]

UNKNOWN = ("nobody", "an expired token", "an idle session", "a revoked token",
           "a revoked certificate", "the frontend alone")  # fmt: skip
SHUT_OUT = ("a disabled user's token", "a disabled user's certificate")
NO_USERS = ("a director", "its agent", "another application's agent")
MANAGERS = ("its manager", "another application's manager")
OWNERS = ("the owner", "the owner's session", "the owner's certificate", "a read-only token")
ADMINISTRATORS = ("an administrator", "an administrator's read-only token")
READ_ONLY = ("a read-only token", "an administrator's read-only token")
USERS = ("another user", *OWNERS, *ADMINISTRATORS)
EVERYBODY = (*UNKNOWN, *SHUT_OUT, *NO_USERS, *MANAGERS, *USERS)

#: Arguments that name a thing; the values are the world's.
NAMING = ("application", "service", "user", "job", "key", "token", "invitation")
#: Values of the others, where a guess by their type would not do.
VALUES = {
    "new_name": "Taken over",
    "name": "Another one",
    "service_type": "helloworld",
    "username": "somebody",
    "email": "somebody@example.org",
    "password": "battery staple",
    "new_password": "battery staple",
    "current_password": PASSWORD,
    "roles": ["node"],
    "keys": ["k"],
    "machines": [1, 2, 3, 4],
    "machine": 2,
    "cloud": "memory",
    "volume": 1,
    "volumes": [1],
    "states": {"1": "ERROR"},
}
#: Files, by the name of the argument.
FILES = {
    "filename": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
    b"OMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here",
    "content": b"x",
    "snapshot": b"a database",
}
#: What those who are let in get, where it is neither 200 nor 202.
OTHERWISE = {
    "application.start": (409, "wrong-state"),  # it runs
}
#: The same for one of them only.
OTHERWISE_FOR = {
    # There is no session that could be closed.
    ("the owner's certificate", "user.close_session"): (400, "invalid"),
    # What was put there is another application's, and so are volume and machine.
    **{
        ("another application's manager", f"manager.{name}"): (404, "not-found")
        for name in (
            "get_blob",
            "create_volume",
            "attach_volume",
            "detach_volume",
            "orphan_volumes",
            "destroy_volume",
            "grow_volume",
        )
    },
}
UNAUTHENTICATED, DENIED = (401, "unauthenticated"), (403, "denied")
NOT_FOUND, INVALID = (404, "not-found"), (400, "invalid")


# -- what is expected ---------------------------------------------------------------------------


def at_the_door(who):
    """Return what whoever is not let in at all gets, None for the others."""
    if who in UNKNOWN:
        return UNAUTHENTICATED
    return DENIED if who in (*SHUT_OUT, *NO_USERS) else None


def expected(who, name, operation, named, method):
    """Return the status and the code of the error of one cell."""
    if not operation.public:
        refused = (
            at_the_door(who)
            or (DENIED if (who in MANAGERS) != (name == "manager") else None)
            or (DENIED if who in READ_ONLY and not operation.reads else None)
            or (DENIED if operation.admin and who not in ADMINISTRATORS else None)
        )
        if refused:
            return refused
    if method == "GET" and not operation.reads:
        return INVALID
    if who in MANAGERS or operation.public:
        return let_in(who, name, operation)
    if named & {"key", "token"} and who not in OWNERS:
        return NOT_FOUND  # one's own only
    if who == "another user":
        if named & {"application", "service", "job"}:
            return NOT_FOUND
        if "user" in named:
            return DENIED
    return let_in(who, name, operation)


def let_in(who, name, operation):
    """Return what a call gets that is carried out."""
    key = f"{name}.{operation.name}"
    if (who, key) in OTHERWISE_FOR:
        return OTHERWISE_FOR[who, key]
    return OTHERWISE.get(key, (202 if operation.is_job else 200, None))


def expected_of_service(who, operation, method):
    """Return the same of an operation of a service."""
    if refused := at_the_door(who):
        return refused
    if who in MANAGERS or who == "another user":
        return NOT_FOUND
    if who in READ_ONLY and not operation.reads:
        return DENIED
    return INVALID if method == "GET" and not operation.reads else (200, None)


# -- the calls ----------------------------------------------------------------------------------


def value_of(world, parameter):
    """Return a value for an argument that names nothing."""
    if parameter.name in VALUES:
        return VALUES[parameter.name]
    if parameter.name in world.values and parameter.name not in NAMING:
        return world.values[parameter.name]
    guesses = {str: "x", int: 1, float: 1.0, bool: True}
    assert parameter.hint.inner in guesses, f"say in VALUES what {parameter.name} may be"
    return guesses[parameter.hint.inner]


def choices(world, operation):
    """Return the arguments of every call: each thing named in each way, and not at all."""
    plain = {
        p.name: value_of(world, p)
        for p in operation.parameters
        if p.required and not p.is_upload and p not in naming(operation)
    }
    if operation.name == "register":
        plain["invitation"] = world.values["code"]
        return [plain]
    names = naming(operation)
    first = plain | {p.name: world.values[p.name][0] for p in names}
    found = [first]
    for p in names:
        found += [first | {p.name: way} for way in world.values[p.name][1:]]
        if not p.required:
            found.append({k: v for k, v in first.items() if k != p.name})
    return found


def naming(operation):
    """Return the arguments that name a thing; one that is only text searches, or is a key."""
    return [p for p in operation.parameters if p.name in NAMING and p.hint.inner is not str]


def fitting(operation, arguments):
    """Return arguments without names of a kind that an argument does not take."""
    hints = {p.name: p.hint.inner for p in operation.parameters}
    return all(not (hints[k] is int and isinstance(v, str)) for k, v in arguments.items())


def query(arguments):
    """Return arguments as a query."""
    told = {k: v if isinstance(v, str) else json.dumps(v) for k, v in arguments.items()}
    return f"?{urlencode(told)}" if told else ""


class Walker:
    """Makes the calls of one of them, and compares."""

    def __init__(self, world, who):
        self.world, self.who, self.wrong, self.cells = world, who, [], 0
        person = dict(world.people[who])
        certificate = person.pop("certificate", None)
        if identity := person.pop("identity", None):
            certificate = world.cluster._issue(identity)
        self._peers = NetworkPeers(world.cluster.network, certificate)
        token = person.get("token")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def walk(self, method, path, wanted, body=None, kind="application/json"):
        """Make a call and note what is not as it should be."""
        self.cells += 1
        writes = self.world.writes
        answer = self._peers.request(
            DIRECTOR_URL, method, f"/api/v1/{path}", body=body,
            headers={"Content-Type": kind, **self._headers},
        )  # fmt: skip
        code = answer.json()["error"]["code"] if answer.status >= 400 else None
        if (answer.status, code) != wanted:
            self.wrong.append((method, path, body, wanted, answer.status, answer.body[:200]))
        changed = self.world.writes != writes and self.world.snapshot() != self.world.before
        if (answer.status >= 400 or method == "GET") and changed:
            self.wrong.append((method, path, "a refused call, or a question, has changed rows"))
        if (
            changed
            and self.who.startswith("another")
            and self.world.of_owner() != self.world.owners
        ):
            self.wrong.append((method, path, "it has changed what is another's"))
        if changed or "delete_blob" in path:
            self.world.restore()


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_operation_answers_everybody_exactly_as_declared(world, who):
    walker = Walker(world, who)
    for name, operation in OPERATIONS:
        for arguments in choices(world, operation):
            if not fitting(operation, arguments):
                continue
            named = {p.name for p in naming(operation)} & arguments.keys()
            path = f"{name}/{operation.name}"
            for method in ("POST", "GET"):
                wanted = expected(who, name, operation, named, method)
                if method == "GET":
                    walker.walk("GET", path + query(arguments), wanted)
                elif operation.upload is None:
                    walker.walk("POST", path, wanted, json.dumps(arguments).encode())
                else:
                    walker.walk(
                        "POST", path + query(arguments), wanted, FILES[operation.upload.name],
                        "application/octet-stream",
                    )  # fmt: skip
    assert walker.wrong == []
    assert walker.cells > 2 * len(OPERATIONS)


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_operation_of_a_service_answers_everybody_exactly(world, who):
    walker = Walker(world, who)
    # Names are looked up before the operation is: who is let in names one type's in every way.
    is_let_in, named = who in (*OWNERS, *ADMINISTRATORS), SERVICE_OPERATIONS[0][0]
    for kind, operation in SERVICE_OPERATIONS:
        number = world.services[kind]
        ways = [(1, number)]
        if not is_let_in or kind == named:
            ways = [(way, number) for way in world.values["application"]]
            ways += [(1, kind if number > 1 else "first")]
        for application, service in ways:
            path = f"applications/{quote(str(application))}/services/{quote(str(service))}/"
            for method in ("POST", "GET"):
                wanted = expected_of_service(who, operation, method)
                body = b"{}" if method == "POST" else None
                walker.walk(method, path + operation.name, wanted, body)
    assert walker.wrong == []
    assert walker.cells >= (2 if is_let_in else 8) * len(SERVICE_OPERATIONS)


@pytest.mark.parametrize("who", EVERYBODY)
def test_jobs_are_shown_to_those_whose_they_are(world, who):
    walker, refused = Walker(world, who), at_the_door(who)
    # Whoever deletes himself is disabled, and may see how far it is: but no other's jobs.
    directors = None if who in SHUT_OUT else refused
    seen = who in (*OWNERS, *ADMINISTRATORS, "its manager")
    walker.walk("GET", "jobs/1", directors or ((200, None) if seen else NOT_FOUND))
    walker.walk("GET", "jobs/77", directors or NOT_FOUND)
    for way in world.values["application"]:
        mine = who in (*OWNERS, *ADMINISTRATORS)
        wanted = refused or ((200, None) if mine else NOT_FOUND)
        walker.walk("GET", f"applications/{way}/jobs/1", wanted)
        walker.walk("POST", f"applications/{way}/jobs/1", (405, "invalid"), b"{}")
    walker.walk("POST", "jobs/1", (405, "invalid"), b"{}")
    assert walker.wrong == []


@pytest.mark.parametrize("who", EVERYBODY)
def test_metrics_are_shown_to_those_whose_they_are(world, who):
    walker, refused = Walker(world, who), at_the_door(who)
    directors = refused or ((200, None) if who in ADMINISTRATORS else DENIED)
    walker.walk("GET", "metrics", directors)
    walker.walk("POST", "metrics", (405, "invalid"), b"{}")
    mine = who in (*OWNERS, *ADMINISTRATORS)
    for way in world.values["application"]:
        path = f"applications/{quote(str(way))}/metrics"
        walker.walk("GET", path, refused or ((200, None) if mine else NOT_FOUND))
        walker.walk("POST", path, (405, "invalid"), b"{}")
    assert walker.wrong == []


def test_everybody_walks(world):
    assert set(world.people) == set(EVERYBODY)
