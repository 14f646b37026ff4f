"""The director's tables.  Times are seconds since 1970, UTC."""

from __future__ import annotations

import time
from typing import Any

import peewee

#: Bound when a director is made.
database = peewee.DatabaseProxy()


class Model(peewee.Model):
    """Base of all tables."""

    class Meta:
        """Where they are."""

        database = database


class User(Model):
    """Somebody who may log in; ``password`` is an argon2 hash.

    ``email_key`` is the e-mail address as it is compared; two users have never the same.
    """

    id = peewee.AutoField()
    username = peewee.CharField(max_length=64, unique=True)
    fname = peewee.CharField(default="")
    lname = peewee.CharField(default="")
    email = peewee.CharField(default="")
    email_key = peewee.CharField(null=True, unique=True)
    affiliation = peewee.CharField(default="")
    password = peewee.CharField()
    admin = peewee.BooleanField(default=False)
    disabled = peewee.BooleanField(default=False)
    created = peewee.DoubleField(default=time.time)

    class Meta:
        """Its name in the database."""

        table_name = "user_account"


class Token(Model):
    """An API token or a session of the frontend (``kind``); only its SHA-256 is kept.

    ``address`` is where it was last used from.
    """

    id = peewee.AutoField()
    user = peewee.ForeignKeyField(User, backref="tokens", on_delete="CASCADE")
    name = peewee.CharField()
    digest = peewee.CharField(max_length=64, unique=True)
    kind = peewee.CharField(max_length=16, default="token")
    scope = peewee.CharField(max_length=16, default="all")
    created = peewee.DoubleField(default=time.time)
    expires = peewee.DoubleField(null=True)
    last_used = peewee.DoubleField(null=True)
    address = peewee.CharField(max_length=64, default="")

    class Meta:
        """Its name in the database."""

        table_name = "token"


class SshKey(Model):
    """A public key; ``line`` is its type and its content, without options and comment."""

    id = peewee.AutoField()
    user = peewee.ForeignKeyField(User, backref="keys", on_delete="CASCADE")
    name = peewee.CharField()
    type = peewee.CharField(max_length=64)
    fingerprint = peewee.CharField(max_length=64)
    line = peewee.TextField()
    created = peewee.DoubleField()

    class Meta:
        """Its name in the database; a user has a key once."""

        table_name = "ssh_key"
        indexes = ((("user", "fingerprint"), True),)


class Invitation(Model):
    """An invitation to register; only the SHA-256 of its code is kept."""

    id = peewee.AutoField()
    digest = peewee.CharField(max_length=64, unique=True)
    email = peewee.CharField(default="")
    username = peewee.CharField(max_length=64, default="")
    created = peewee.DoubleField()
    expires = peewee.DoubleField()
    used = peewee.DoubleField(null=True)
    revoked = peewee.DoubleField(null=True)

    class Meta:
        """Its name in the database."""

        table_name = "invitation"


class Attempt(Model):
    """How often something was tried: ``name`` says what, for whom and from where.

    From ``forgotten`` on it is as if it had never been.
    """

    name = peewee.CharField(max_length=200, primary_key=True)
    count = peewee.IntegerField()
    last = peewee.DoubleField()
    forgotten = peewee.DoubleField(index=True)

    class Meta:
        """Its name in the database."""

        table_name = "attempt"


class AuditRow(Model):
    """A changing call; ``owner`` is the user whose application it was about.

    ``job`` is the director's job that the call began, ``manager_job`` that of the application's
    manager.
    """

    id = peewee.AutoField()
    time = peewee.DoubleField()
    user = peewee.IntegerField(null=True)
    username = peewee.CharField(default="")
    owner = peewee.IntegerField(null=True)
    address = peewee.CharField(max_length=64, default="")
    object = peewee.CharField(max_length=64)
    operation = peewee.CharField(max_length=64)
    target = peewee.CharField(default="")
    application = peewee.IntegerField(null=True)
    job = peewee.IntegerField(null=True, index=True)
    manager_job = peewee.IntegerField(null=True)
    outcome = peewee.CharField(max_length=64, default="unknown")
    detail = peewee.TextField(default="")

    class Meta:
        """Its name in the database; what lists are asked for by."""

        table_name = "audit"
        indexes = (
            (("user", "id"), False),
            (("owner", "id"), False),
            (("username", "id"), False),
            (("operation", "id"), False),
            (("target", "id"), False),
            (("application", "manager_job"), False),
        )


class Application(Model):
    """A named set of services of one user; ``services_made`` numbers the next one."""

    id = peewee.AutoField()
    user = peewee.ForeignKeyField(User, backref="applications", on_delete="CASCADE")
    name = peewee.CharField()
    state = peewee.CharField(max_length=16)
    cloud = peewee.CharField(null=True)
    services_made = peewee.IntegerField(default=0)
    created = peewee.DoubleField(default=time.time)

    class Meta:
        """Its name in the database; a name is unique for its user."""

        table_name = "application"
        indexes = ((("user", "name"), True),)


class Service(Model):
    """The definition of a service; ``state`` is what its manager told last."""

    id = peewee.AutoField()
    application = peewee.ForeignKeyField(Application, backref="services", on_delete="CASCADE")
    number = peewee.IntegerField()
    type = peewee.CharField(max_length=64)
    name = peewee.CharField()
    state = peewee.CharField(max_length=16)
    created = peewee.DoubleField(default=time.time)

    class Meta:
        """Its name in the database."""

        table_name = "service"
        indexes = ((("application", "number"), True),)


class Machine(Model):
    """A machine that shall be, is or was.

    ``service`` 0 is the application's manager.  ``request`` is the key under which it was asked
    for.  ``token`` is the SHA-256 of what it joins with; ``public_key`` that of the key which
    used it.
    """

    id = peewee.AutoField()
    application = peewee.ForeignKeyField(Application, backref="machines", on_delete="CASCADE")
    service = peewee.IntegerField()
    role = peewee.CharField(max_length=64)
    name = peewee.CharField(unique=True, null=True)
    cloud = peewee.CharField()
    cloud_id = peewee.CharField(null=True)
    address = peewee.CharField(null=True)
    state = peewee.CharField(max_length=16)
    request = peewee.CharField(max_length=64, index=True)
    takes_over = peewee.BooleanField(default=False)
    token = peewee.CharField(max_length=64, null=True, unique=True)
    token_expires = peewee.DoubleField(null=True)
    public_key = peewee.CharField(max_length=64, null=True)
    created = peewee.DoubleField(default=time.time)
    gone = peewee.DoubleField(null=True)

    class Meta:
        """Its name in the database."""

        table_name = "machine"


class Certificate(Model):
    """A certificate that was issued; a revoked one is told to everybody until it expires."""

    serial = peewee.CharField(max_length=40, primary_key=True)
    identity = peewee.CharField()
    machine = peewee.IntegerField(null=True, index=True)
    user = peewee.IntegerField(null=True, index=True)
    expires = peewee.DoubleField()
    revoked = peewee.DoubleField(null=True)

    class Meta:
        """Its name in the database."""

        table_name = "certificate"


class Job(Model):
    """A job of the director; ``active`` is its target while it is not ended, so that it is alone.

    ``heartbeat`` is renewed by the worker that runs it: one that falls silent is dead.
    """

    id = peewee.AutoField()
    object = peewee.CharField(max_length=32)
    operation = peewee.CharField(max_length=64)
    arguments = peewee.TextField()
    caller = peewee.TextField()
    user = peewee.IntegerField(index=True)
    username = peewee.CharField(default="")
    application = peewee.IntegerField(null=True, index=True)
    target = peewee.CharField()
    active = peewee.CharField(null=True, unique=True)
    state = peewee.CharField(max_length=16)
    before = peewee.CharField(max_length=16, null=True)
    percent = peewee.IntegerField(default=0)
    message = peewee.TextField(default="")
    steps = peewee.TextField(default="[]")
    cancel = peewee.BooleanField(default=False)
    worker = peewee.CharField(null=True)
    heartbeat = peewee.DoubleField(null=True)
    result = peewee.TextField(null=True)
    error = peewee.TextField(null=True)
    created = peewee.DoubleField(default=time.time)
    finished = peewee.DoubleField(null=True)

    class Meta:
        """Its name in the database."""

        table_name = "job"


class StateChange(Model):
    """A change of an application's state."""

    id = peewee.AutoField()
    application = peewee.ForeignKeyField(Application, backref="changes", on_delete="CASCADE")
    time = peewee.DoubleField(default=time.time)
    state = peewee.CharField(max_length=16)
    reason = peewee.TextField(default="")

    class Meta:
        """Its name in the database."""

        table_name = "state_change"


MODELS: tuple[type[Any], ...] = (
    User,
    Token,
    SshKey,
    Invitation,
    Attempt,
    AuditRow,
    Application,
    Service,
    Machine,
    Certificate,
    Job,
    StateChange,
)
