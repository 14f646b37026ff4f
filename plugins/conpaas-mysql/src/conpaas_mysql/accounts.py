"""The accounts of a database, and what each of them may do.

docs/decisions tells why the user's account has these privileges, and what they cannot prevent.
"""

from __future__ import annotations

import hashlib

from conpaas_mysql.configuration import TRANSFER_USER
from conpaas_mysql.directories import administrator
from conpaas_mysql.parts import USER

MONITOR = "monitor"
#: What the user may do everywhere: nothing by which the server, its files or its accounts'
#: passwords are reached, or other members are slowed down.
_EVERYWHERE = ("CREATE USER", "PROCESS", "SHOW DATABASES")
#: What the user may do in his databases, and pass on.
_IN_DATABASES = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "DELETE HISTORY", "CREATE", "DROP", "ALTER"),
    *("INDEX", "REFERENCES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "CREATE VIEW"),
    *("SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "TRIGGER"),
)
#: What the user may do in the server's own databases: the entry of a name comes before that of a
#: pattern, and only the first one counts.
_SYSTEM_DATABASES = {"mysql": "SELECT", "sys": "SELECT, SHOW VIEW, EXECUTE"}


def digest(password: str) -> str:
    """Return what MariaDB keeps of a password (``mysql_native_password``): 41 characters."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324 - MariaDB's own way
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324


def first_accounts(transfer_password: str, monitor_password: str, user_digest: str) -> str:
    """Return the SQL that makes all accounts in a new, empty database.

    Args:
        transfer_password: Of the account that copies are made with.
        monitor_password: Of the account that only looks.
        user_digest: Of the first password of the user.
    """
    admin = f"'{administrator()}'@'localhost'"
    statements = [
        # While it is set up, the server knows of no accounts.
        "FLUSH PRIVILEGES",
        f"ALTER USER {admin} IDENTIFIED VIA unix_socket",
        *user_account(user_digest),
        *_own_accounts(transfer_password, monitor_password),
    ]
    return "".join(f"{statement};\n" for statement in statements)


def user_account(user_digest: str) -> list[str]:
    """Return the statements that make the user's account, or set it right again.

    Its password becomes the one with this digest.
    """
    name = f"'{USER}'@'%'"
    # The system user of that name needs no password on the machine itself.
    via = f"IDENTIFIED VIA mysql_native_password USING '{user_digest}' OR unix_socket"
    return [
        f"CREATE USER IF NOT EXISTS {name} {via}",
        f"ALTER USER {name} {via}",
        f"GRANT {', '.join(_EVERYWHERE)} ON *.* TO {name}",
        f"GRANT {', '.join(_IN_DATABASES)} ON `%`.* TO {name} WITH GRANT OPTION",
        *(f"GRANT {may} ON `{db}`.* TO {name}" for db, may in _SYSTEM_DATABASES.items()),
    ]


def _own_accounts(transfer_password: str, monitor_password: str) -> list[str]:
    transfer, monitor = f"'{TRANSFER_USER}'@'localhost'", f"'{MONITOR}'@'localhost'"
    copies = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICA MONITOR"
    via = "IDENTIFIED VIA mysql_native_password USING"
    return [
        f"CREATE USER {transfer} {via} '{digest(transfer_password)}'",
        f"GRANT {copies} ON *.* TO {transfer}",
        f"CREATE USER {monitor} {via} '{digest(monitor_password)}'",
        # CONNECTION ADMIN: it gets in although there are as many connections as there may be.
        f"GRANT PROCESS, CONNECTION ADMIN ON *.* TO {monitor}",
    ]
