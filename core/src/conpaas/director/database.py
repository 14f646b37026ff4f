"""Opening the director's database: SQLite for one machine, PostgreSQL for several."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import peewee
from playhouse.db_url import connect

from conpaas.director import models
from conpaas.errors import InvalidError

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str, data: Path) -> peewee.Database:
    """Bind the tables to the database that ``url`` names; empty means SQLite in ``data``.

    Raises:
        InvalidError: There is no such kind of database, or it cannot be reached.
    """
    if not url:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened: Any = _Sqlite(
            data / "director.db",
            pragmas={
                "journal_mode": "wal",
                "synchronous": "full",
                "foreign_keys": 1,
                "busy_timeout": 20000,
            },
        )
    else:
        try:
            opened = connect(url)
        except (RuntimeError, ImportError) as error:
            raise InvalidError(
                f"database_url {url.partition(':')[0]!r} cannot be used: {error}"
            ) from None
    try:
        opened.connect(reuse_if_open=True)
        opened.close()
    except peewee.OperationalError as error:
        raise InvalidError(f"the database cannot be opened: {error}") from None
    models.database.initialize(opened)
    return opened


class _Sqlite(peewee.SqliteDatabase):
    """SQLite whose transactions take the write lock at once.

    One that begins by reading cannot wait for it later: SQLite would fail it instead.
    """

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction."""
        super().begin(lock_type or "IMMEDIATE")


def migrate(database: peewee.Database) -> list[str]:
    """Bring the tables up to date; return the names of the migrations that were applied."""
    from peewee_migrate import Router

    logging.getLogger("peewee_migrate").setLevel(logging.WARNING)
    with database.connection_context():
        router = Router(database, migrate_dir=str(MIGRATIONS), ignore=["basemodel"])
        applied: list[str] = router.run()
    return applied


def pending(database: peewee.Database) -> list[str]:
    """Return the names of the migrations that have not been applied."""
    from peewee_migrate import Router

    with database.connection_context():
        router = Router(database, migrate_dir=str(MIGRATIONS), ignore=["basemodel"])
        return [str(name) for name in router.diff]
