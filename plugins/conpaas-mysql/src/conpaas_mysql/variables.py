"""Changes settings of a server while it runs, where it can."""

from __future__ import annotations

import re
from pathlib import Path

from conpaas_mysql.client import Session, session
from conpaas_mysql.configuration import Configuration

_SIZE = re.compile(r"(\d+)([KMG]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_READ_ONLY = "SELECT READ_ONLY FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_NAME = %s"


def change_running(socket: Path, running: Configuration, wanted: Configuration) -> Configuration:
    """Change what can change while the server runs.

    Args:
        socket: Of the server.
        running: What it runs with.
        wanted: What it shall run with.

    Returns:
        What it runs with now.

    Raises:
        UnreachableError: It does not answer.
    """
    import pymysql

    server = dict(running.server)
    with session(socket) as connection:
        for option in wanted.news(running):
            try:
                if not _set(connection, option, wanted.server.get(option)):
                    continue
            except pymysql.Error:
                continue  # it takes effect at the next start
            if option in wanted.server:
                server[option] = wanted.server[option]
            else:
                server.pop(option)
    return Configuration({**wanted.sections, "mysqld": server})


def reload_certificate(socket: Path) -> None:
    """Have the group's connections made with the certificate that is in its file now.

    Raises:
        UnreachableError: The server does not answer.
    """
    with session(socket, seconds=5.0) as connection:
        connection.run("SET GLOBAL wsrep_provider_options = 'socket.ssl_reload=1'")


def _set(session: Session, option: str, value: str | None) -> bool:
    """Set a variable, or put it back to what it is without any word; return whether it can be."""
    name = option.replace("-", "_")
    found = session.rows(_READ_ONLY, (name.upper(),))
    if not found or found[0][0] == "YES":
        return False
    if value is None:
        session.run(f"SET GLOBAL `{name}` = DEFAULT")
    elif size := _SIZE.fullmatch(value):
        session.run(f"SET GLOBAL `{name}` = %s", (int(size[1]) * _UNITS[size[2].upper()],))
    else:
        session.run(f"SET GLOBAL `{name}` = %s", (value.strip('"'),))
    return True
