"""The table of volumes."""

# The model as it was then: a migration must not follow what the code says later.

import peewee as pw
from peewee_migrate import Migrator


def migrate(migrator: Migrator, database: pw.Database, *, fake: bool = False) -> None:
    """Make the table of volumes."""
    sqlite = isinstance(database, pw.SqliteDatabase)
    # Numbers are never given twice, or an old name would lead to a new thing.
    never_again = [pw.SQL("AUTOINCREMENT")] if sqlite else None

    @migrator.create_model
    class Volume(pw.Model):
        id = pw.AutoField(constraints=never_again)
        application = pw.ForeignKeyField(
            column_name="application_id",
            field="id",
            model=migrator.orm["application"],
            on_delete="CASCADE",
        )
        service = pw.IntegerField()
        name = pw.CharField(max_length=64)
        held = pw.CharField(max_length=255, null=True, unique=True)
        cloud = pw.CharField(max_length=255)
        cloud_name = pw.CharField(max_length=255, null=True, unique=True)
        cloud_id = pw.CharField(max_length=255, null=True)
        wanted = pw.BigIntegerField()
        size = pw.BigIntegerField()
        state = pw.CharField(max_length=16)
        request = pw.CharField(index=True, max_length=64)
        machine = pw.IntegerField(index=True, null=True)
        device = pw.CharField(max_length=255, null=True)
        role = pw.CharField(max_length=64)
        position = pw.IntegerField(null=True)
        created = pw.DoubleField()
        gone = pw.DoubleField(null=True)

        class Meta:
            table_name = "volume"
