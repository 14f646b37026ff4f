"""The ledger of credits, with something in it for the users that are there."""

# The models as they were then: a migration must not follow what the code says later.

import time

import peewee as pw
from peewee_migrate import Migrator

GRANT = 50


def migrate(migrator: Migrator, database: pw.Database, *, fake: bool = False) -> None:
    """Make the tables; administrators are not charged, the others get credit."""
    sqlite = isinstance(database, pw.SqliteDatabase)
    never_again = [pw.SQL("AUTOINCREMENT")] if sqlite else None

    @migrator.create_model
    class CreditAccount(pw.Model):
        user = pw.ForeignKeyField(
            column_name="user_id",
            field="id",
            model=migrator.orm["user_account"],
            on_delete="CASCADE",
            primary_key=True,
        )
        unlimited = pw.BooleanField(default=False)

        class Meta:
            table_name = "credit_account"

    @migrator.create_model
    class CreditEntry(pw.Model):
        id = pw.AutoField(constraints=never_again)
        user = pw.ForeignKeyField(
            column_name="user_id",
            field="id",
            model=migrator.orm["user_account"],
            on_delete="CASCADE",
            index=False,
        )
        time = pw.DoubleField()
        amount = pw.IntegerField()
        kind = pw.CharField(max_length=16)
        machine = pw.IntegerField(null=True)
        hour = pw.IntegerField(null=True)
        application = pw.IntegerField(null=True)
        application_name = pw.CharField(default="", max_length=255)
        service = pw.IntegerField(null=True)
        reason = pw.TextField(default="")
        by = pw.CharField(default="", max_length=255)

        class Meta:
            table_name = "credit_entry"
            indexes = [
                (("machine", "hour", "kind"), True),
                (("user", "amount"), False),
                (("user", "time"), False),
            ]

    @migrator.create_model
    class CreditStop(pw.Model):
        application = pw.ForeignKeyField(
            column_name="application_id",
            field="id",
            model=migrator.orm["application"],
            on_delete="CASCADE",
            primary_key=True,
        )
        time = pw.DoubleField()
        phase = pw.CharField(max_length=16)
        services = pw.TextField()
        seen = pw.IntegerField()
        line = pw.IntegerField()
        tries = pw.IntegerField(default=0)

        class Meta:
            table_name = "credit_stop"

    migrator.run(_begin, migrator)


def _begin(migrator: Migrator) -> None:
    orm, now = migrator.orm, time.time()
    user, application, machine = orm["user_account"], orm["application"], orm["machine"]
    entry = orm["credit_entry"]
    for number, admin in user.select(user.id, user.admin).tuples():
        orm["credit_account"].insert(user=number, unlimited=admin).execute()
        if not admin:
            entry.insert(
                user=number, time=now, amount=GRANT, kind="grant", reason="credit to begin with"
            ).execute()
    living = (
        machine.select(
            machine.id, machine.created, machine.service, application.id, application.name,
            application.user,
        )
        .join(application, on=(machine.application == application.id))
        .where(machine.state.in_(["wanted", "booting", "running"]))
    )  # fmt: skip
    # What runs is charged from its next hour on: the hours before have cost nothing.
    for number, created, service, aid, name, owner in list(living.tuples()):
        hour = max(0, int((now - created) // 3600))
        entry.insert(
            user=owner, time=created + hour * 3600, amount=0, kind="charge", machine=number,
            hour=hour, application=aid, application_name=name, service=service,
            reason="began before there were credits",
        ).execute()  # fmt: skip
