"""The accounts of a database, and what each of them may do.

docs/decisions tells why the user's account has these privileges, and what they cannot prevent.
"""

from __future__ import annotations

import hashlib

from conpaas_mysql.configuration import TRANSFER_USER
from conpaas_mysql.directories import administrator
from conpaas_mysql.parts import USER

MONITOR = "monitor"
#: Stands in the place of a digest, and is none: no password fits.
NO_PASSWORD = "invalid"  # noqa: S105 - as MariaDB writes it
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

#: Whatever may have been asked of the account, or been forbidden to it.
_UNBOUND = (
    "REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 "
    "MAX_USER_CONNECTIONS 0 ACCOUNT UNLOCK PASSWORD EXPIRE NEVER"
)


def digest(password: str) -> str:
    """Return what MariaDB keeps of a password (``mysql_native_password``): 41 characters."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324 - MariaDB's own way
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324


def own_accounts(transfer_password: str, monitor_password: str) -> list[str]:
    """Return the statements that make our own accounts, or set them right again.

    Args:
        transfer_password: Of the account that copies are made with.
        monitor_password: Of the account that only looks.
    """
    admin, transfer, monitor = (
        f"'{name}'@'localhost'" for name in (administrator(), TRANSFER_USER, MONITOR)
    )
    copies = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICA MONITOR"
    return [
        *_account(admin, "IDENTIFIED VIA unix_socket"),
        f"GRANT ALL PRIVILEGES ON *.* TO {admin} WITH GRANT OPTION",
        *_account(transfer, _by_password(digest(transfer_password))),
        f"GRANT {copies} ON *.* TO {transfer}",
        *_account(monitor, _by_password(digest(monitor_password))),
        # CONNECTION ADMIN: it gets in although there are as many connections as there may be.
        f"GRANT PROCESS, CONNECTION ADMIN ON *.* TO {monitor}",
    ]


def script(statements: list[str]) -> str:
    """Return statements as the server reads them when it is set up, or started.

    They are of this member alone: each carries them out itself.
    """
    return "".join(f"{s};\n" for s in ["SET SESSION wsrep_on = OFF", *statements])


def user_account(user_digest: str) -> list[str]:
    """Return the statements that make the user's account, or set it right again.

    Its password becomes the one with this digest.
    """
    name = f"'{USER}'@'%'"
    # The system user of that name needs no password on the machine itself.
    return [
        *_account(name, f"{_by_password(user_digest)} OR unix_socket"),
        f"GRANT {', '.join(_EVERYWHERE)} ON *.* TO {name}",
        f"GRANT {', '.join(_IN_DATABASES)} ON `%`.* TO {name} WITH GRANT OPTION",
        *(f"GRANT {may} ON `{db}`.* TO {name}" for db, may in _SYSTEM_DATABASES.items()),
    ]


def _account(name: str, identified: str) -> list[str]:
    return [
        f"CREATE USER IF NOT EXISTS {name} {identified}",
        f"ALTER USER {name} {identified} {_UNBOUND}",
    ]


def _by_password(digest_: str) -> str:
    return f"IDENTIFIED VIA mysql_native_password USING '{digest_}'"
