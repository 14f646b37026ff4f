"""The tables of credits.  Times are seconds since 1970, UTC."""

from __future__ import annotations

import enum

import peewee

from conpaas.director.models import Application, Model, User


class Kind(enum.StrEnum):
    """What a line of the ledger is."""

    GRANT = "grant"  #: to begin with
    TOP_UP = "top_up"  #: an administrator gave or took
    CHARGE = "charge"  #: a started hour of a machine
    REFUND = "refund"  #: of an hour of a machine that never joined


class Phase(enum.StrEnum):
    """How far an application is on its way down for lack of credit, and up again."""

    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"  #: its manager
    SERVICES = "services"  #: it runs, and its services are being started


class CreditAccount(Model):
    """How a user pays; its row is what is locked while the balance must stand still."""

    user = peewee.ForeignKeyField(User, primary_key=True, on_delete="CASCADE")
    unlimited = peewee.BooleanField(default=False)

    class Meta:
        """Its name in the database."""

        table_name = "credit_account"


class CreditEntry(Model):
    """A line of the ledger; a user's balance is the sum of the amounts, and stands nowhere else.

    ``machine`` and ``application`` are numbers only: the line outlives them, so it keeps the name.
    ``hour`` counts from 0 since the machine was asked for; ``time`` of a charge is when it began.
    """

    id = peewee.AutoField()
    user = peewee.ForeignKeyField(User, on_delete="CASCADE", index=False)
    time = peewee.DoubleField()
    amount = peewee.IntegerField()
    kind = peewee.CharField(max_length=16)
    machine = peewee.IntegerField(null=True)
    hour = peewee.IntegerField(null=True)
    application = peewee.IntegerField(null=True)
    application_name = peewee.CharField(default="")
    service = peewee.IntegerField(null=True)
    reason = peewee.TextField(default="")
    by = peewee.CharField(default="")

    class Meta:
        """Its name in the database; an hour of a machine is charged once."""

        table_name = "credit_entry"
        indexes = (
            (("machine", "hour", "kind"), True),
            (("user", "amount"), False),
            (("user", "time"), False),
        )


class CreditStop(Model):
    """An application that was stopped for lack of credit and starts again after a top-up.

    ``services`` is JSON: the number and the cloud of those that ran and are to be started.
    ``seen`` is the last job on the application that its user has nothing to do with, or that
    came before: a later one that is not ours means that the user has taken over.  ``line`` is the
    ledger's last one then: what was left could not keep it going, so it waits for a later top-up.
    """

    application = peewee.ForeignKeyField(Application, primary_key=True, on_delete="CASCADE")
    time = peewee.DoubleField()
    phase = peewee.CharField(max_length=16)
    services = peewee.TextField()
    seen = peewee.IntegerField()
    line = peewee.IntegerField()
    tries = peewee.IntegerField(default=0)

    class Meta:
        """Its name in the database."""

        table_name = "credit_stop"
