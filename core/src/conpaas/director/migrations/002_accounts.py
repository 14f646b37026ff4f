"""Profiles, sessions, SSH keys, invitations, limits of attempts, the record of changing calls."""

# The models as they were then: a migration must not follow what the code says later.

import peewee as pw
from peewee_migrate import Migrator

#: Columns of tables that are there.  In plain SQL: peewee would make SQLite's tables anew for
#: them, and what is dropped on the way takes everything with it that refers to it.
_COLUMNS = {
    "user_account": (
        "fname VARCHAR(255) NOT NULL DEFAULT ''",
        "lname VARCHAR(255) NOT NULL DEFAULT ''",
        "email_key VARCHAR(255)",
        "affiliation VARCHAR(255) NOT NULL DEFAULT ''",
        "disabled BOOLEAN NOT NULL DEFAULT FALSE",
    ),
    "token": (
        "kind VARCHAR(16) NOT NULL DEFAULT 'token'",
        "scope VARCHAR(16) NOT NULL DEFAULT 'all'",
        "expires DOUBLE PRECISION",
        "last_used DOUBLE PRECISION",
        "address VARCHAR(64) NOT NULL DEFAULT ''",
    ),
}


def migrate(migrator: Migrator, database: pw.Database, *, fake: bool = False) -> None:
    """Make what accounts need."""
    for table, columns in _COLUMNS.items():
        for column in columns:
            migrator.sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    # Nothing has kept two users from having one address: the first has it, the others must
    # choose another when they change theirs.
    migrator.sql(
        "UPDATE user_account SET email_key = lower(email) WHERE email <> '' AND id = (SELECT "
        "min(other.id) FROM user_account AS other WHERE lower(other.email) = "
        "lower(user_account.email))"
    )
    migrator.sql("CREATE UNIQUE INDEX user_account_email_key ON user_account (email_key)")

    sqlite = isinstance(database, pw.SqliteDatabase)
    never_again = [pw.SQL("AUTOINCREMENT")] if sqlite else None

    @migrator.create_model
    class SshKey(pw.Model):
        id = pw.AutoField(constraints=never_again)
        user = pw.ForeignKeyField(
            column_name="user_id",
            field="id",
            model=migrator.orm["user_account"],
            on_delete="CASCADE",
        )
        name = pw.CharField(max_length=255)
        type = pw.CharField(max_length=64)
        fingerprint = pw.CharField(max_length=64)
        line = pw.TextField()
        created = pw.DoubleField()

        class Meta:
            table_name = "ssh_key"
            indexes = [(("user", "fingerprint"), True)]

    @migrator.create_model
    class Invitation(pw.Model):
        id = pw.AutoField(constraints=never_again)
        digest = pw.CharField(max_length=64, unique=True)
        email = pw.CharField(default="", max_length=255)
        username = pw.CharField(default="", max_length=64)
        created = pw.DoubleField()
        expires = pw.DoubleField()
        used = pw.DoubleField(null=True)
        revoked = pw.DoubleField(null=True)

        class Meta:
            table_name = "invitation"

    @migrator.create_model
    class Attempt(pw.Model):
        name = pw.CharField(max_length=200, primary_key=True)
        count = pw.IntegerField()
        last = pw.DoubleField()
        forgotten = pw.DoubleField(index=True)

        class Meta:
            table_name = "attempt"

    @migrator.create_model
    class AuditRow(pw.Model):
        id = pw.AutoField(constraints=never_again)
        time = pw.DoubleField()
        user = pw.IntegerField(null=True)
        username = pw.CharField(default="", max_length=255)
        owner = pw.IntegerField(null=True)
        address = pw.CharField(default="", max_length=64)
        object = pw.CharField(max_length=64)
        operation = pw.CharField(max_length=64)
        target = pw.CharField(default="", max_length=255)
        application = pw.IntegerField(null=True)
        job = pw.IntegerField(index=True, null=True)
        manager_job = pw.IntegerField(null=True)
        outcome = pw.CharField(default="unknown", max_length=64)
        detail = pw.TextField(default="")

        class Meta:
            table_name = "audit"
            indexes = [
                (("user", "id"), False),
                (("owner", "id"), False),
                (("username", "id"), False),
                (("operation", "id"), False),
                (("target", "id"), False),
                (("application", "manager_job"), False),
            ]
