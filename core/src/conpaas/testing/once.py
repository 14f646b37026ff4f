"""What is slow to make, and the same for all clusters of a process."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from argon2 import PasswordHasher

from conpaas.director.database import migrate, open_database


@functools.cache
def empty_tables() -> bytes:
    """Return the file of a director's database after all migrations."""
    with tempfile.TemporaryDirectory(prefix="conpaas-tables-") as directory:
        database = open_database("", Path(directory))
        migrate(database)
        database.close()
        return (Path(directory) / "director.db").read_bytes()


@functools.cache
def cheap_hash(password: str) -> str:
    """Return a hash of a password that is checked at once; real ones are slow by design."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)
