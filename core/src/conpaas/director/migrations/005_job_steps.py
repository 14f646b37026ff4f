"""What jobs tell on their way is kept."""

import peewee as pw
from peewee_migrate import Migrator


def migrate(migrator: Migrator, database: pw.Database, *, fake: bool = False) -> None:
    """Keep the steps of jobs."""
    migrator.add_fields("job", steps=pw.TextField(default="[]"))
