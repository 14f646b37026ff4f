"""Tables and events that are not on a cluster what they are on a single server."""

from __future__ import annotations

from conpaas_mysql.client import Session
from conpaas_mysql.dumping import SYSTEM_DATABASES, quoted

_NAMED = 5  #: of each kind
_OTHER_ENGINE = """
    SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN %s AND ENGINE <> 'InnoDB'
    ORDER BY 1, 2
"""
_NO_KEY = """
    SELECT t.TABLE_SCHEMA, t.TABLE_NAME FROM information_schema.TABLES t
    WHERE t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN %s AND t.ENGINE = 'InnoDB'
    AND NOT EXISTS (
        SELECT 1 FROM information_schema.TABLE_CONSTRAINTS c
        WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
        AND c.CONSTRAINT_TYPE = 'PRIMARY KEY'
    )
    ORDER BY 1, 2
"""

_EVENTS = """
    SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS
    WHERE EVENT_SCHEMA NOT IN %s AND STATUS = 'ENABLED' ORDER BY 1, 2
"""


def note(session: Session) -> str:
    """Return what to know of the user's tables and events, in sentences; empty for none.

    Whole schemas are read: it may take a second on thousands of tables.
    """
    told = []
    if others := _names(session, _OTHER_ENGINE):
        told.append(
            f"Not of InnoDB, so that their rows are on one node only: {others}; change that by "
            "ALTER TABLE … ENGINE=InnoDB."
        )
    if without := _names(session, _NO_KEY):
        told.append(
            f"Without a primary key, which makes changes of many rows slow: {without}; add one."
        )
    if events := _names(session, _EVENTS):
        told.append(f"Events are kept, and do not run on a cluster: {events}.")
    return " ".join(told)


def _names(session: Session, query: str) -> str:
    rows = session.rows(query, (SYSTEM_DATABASES,))
    names = [f"{quoted(database)}.{quoted(table)}" for database, table in rows]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
