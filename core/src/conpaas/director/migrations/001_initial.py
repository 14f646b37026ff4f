"""The first tables."""

# The models as they were then: a migration must not follow what the code says later.

import peewee as pw
from peewee_migrate import Migrator


def migrate(migrator: Migrator, database: pw.Database, *, fake: bool = False) -> None:
    """Make the first tables."""
    # Numbers are never given twice, or an old name would lead to a new thing.
    sqlite = isinstance(database, pw.SqliteDatabase)
    never_again = [pw.SQL("AUTOINCREMENT")] if sqlite else None

    @migrator.create_model
    class User(pw.Model):
        id = pw.AutoField(constraints=never_again)
        username = pw.CharField(max_length=64, unique=True)
        email = pw.CharField(default="", max_length=255)
        password = pw.CharField(max_length=255)
        admin = pw.BooleanField(default=False)
        created = pw.DoubleField()

        class Meta:
            table_name = "user_account"

    @migrator.create_model
    class Application(pw.Model):
        id = pw.AutoField(constraints=never_again)
        user = pw.ForeignKeyField(
            column_name="user_id",
            field="id",
            model=migrator.orm["user_account"],
            on_delete="CASCADE",
        )
        name = pw.CharField(max_length=255)
        state = pw.CharField(max_length=16)
        cloud = pw.CharField(max_length=255, null=True)
        services_made = pw.IntegerField(default=0)
        created = pw.DoubleField()

        class Meta:
            table_name = "application"
            indexes = [(("user", "name"), True)]

    @migrator.create_model
    class Certificate(pw.Model):
        serial = pw.CharField(max_length=40, primary_key=True)
        identity = pw.CharField(max_length=255)
        machine = pw.IntegerField(index=True, null=True)
        user = pw.IntegerField(index=True, null=True)
        expires = pw.DoubleField()
        revoked = pw.DoubleField(null=True)

        class Meta:
            table_name = "certificate"

    @migrator.create_model
    class Job(pw.Model):
        id = pw.AutoField(constraints=never_again)
        object = pw.CharField(max_length=32)
        operation = pw.CharField(max_length=64)
        arguments = pw.TextField()
        caller = pw.TextField()
        user = pw.IntegerField(index=True)
        username = pw.CharField(default="", max_length=255)
        application = pw.IntegerField(index=True, null=True)
        target = pw.CharField(max_length=255)
        active = pw.CharField(max_length=255, null=True, unique=True)
        state = pw.CharField(max_length=16)
        before = pw.CharField(max_length=16, null=True)
        percent = pw.IntegerField(default=0)
        message = pw.TextField(default="")
        cancel = pw.BooleanField(default=False)
        worker = pw.CharField(max_length=255, null=True)
        heartbeat = pw.DoubleField(null=True)
        result = pw.TextField(null=True)
        error = pw.TextField(null=True)
        created = pw.DoubleField()
        finished = pw.DoubleField(null=True)

        class Meta:
            table_name = "job"

    @migrator.create_model
    class Machine(pw.Model):
        id = pw.AutoField(constraints=never_again)
        application = pw.ForeignKeyField(
            column_name="application_id",
            field="id",
            model=migrator.orm["application"],
            on_delete="CASCADE",
        )
        service = pw.IntegerField()
        role = pw.CharField(max_length=64)
        name = pw.CharField(max_length=255, null=True, unique=True)
        cloud = pw.CharField(max_length=255)
        cloud_id = pw.CharField(max_length=255, null=True)
        address = pw.CharField(max_length=255, null=True)
        state = pw.CharField(max_length=16)
        request = pw.CharField(index=True, max_length=64)
        takes_over = pw.BooleanField(default=False)
        token = pw.CharField(max_length=64, null=True, unique=True)
        token_expires = pw.DoubleField(null=True)
        public_key = pw.CharField(max_length=64, null=True)
        created = pw.DoubleField()
        gone = pw.DoubleField(null=True)

        class Meta:
            table_name = "machine"

    @migrator.create_model
    class Service(pw.Model):
        id = pw.AutoField(constraints=never_again)
        application = pw.ForeignKeyField(
            column_name="application_id",
            field="id",
            model=migrator.orm["application"],
            on_delete="CASCADE",
        )
        number = pw.IntegerField()
        type = pw.CharField(max_length=64)
        name = pw.CharField(max_length=255)
        state = pw.CharField(max_length=16)
        created = pw.DoubleField()

        class Meta:
            table_name = "service"
            indexes = [(("application", "number"), True)]

    @migrator.create_model
    class StateChange(pw.Model):
        id = pw.AutoField(constraints=never_again)
        application = pw.ForeignKeyField(
            column_name="application_id",
            field="id",
            model=migrator.orm["application"],
            on_delete="CASCADE",
        )
        time = pw.DoubleField()
        state = pw.CharField(max_length=16)
        reason = pw.TextField(default="")

        class Meta:
            table_name = "state_change"

    @migrator.create_model
    class Token(pw.Model):
        id = pw.AutoField(constraints=never_again)
        user = pw.ForeignKeyField(
            column_name="user_id",
            field="id",
            model=migrator.orm["user_account"],
            on_delete="CASCADE",
        )
        name = pw.CharField(max_length=255)
        digest = pw.CharField(max_length=64, unique=True)
        created = pw.DoubleField()

        class Meta:
            table_name = "token"
