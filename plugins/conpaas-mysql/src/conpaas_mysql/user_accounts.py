"""The accounts that users have made: written down, removed, and made again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from conpaas.errors import AgentError
from conpaas_mysql.accounts import MONITOR
from conpaas_mysql.client import Session
from conpaas_mysql.configuration import TRANSFER_USER
from conpaas_mysql.directories import administrator
from conpaas_mysql.parts import USER

#: Rights on what is not there any more: no table, no routine of that name.
_NOTHING_THERE = (1146, 1305)


def statements(session: Session) -> Iterator[str]:
    """Return the SQL that makes all of them again, roles before those that have them."""
    roles, users = _names(session)
    for role in roles:
        yield f"CREATE OR REPLACE ROLE {role}"
    for user in users:
        ((made,),) = session.rows(f"SHOW CREATE USER {user}")
        yield str(made).replace("CREATE USER", "CREATE OR REPLACE USER", 1)
    for name in (*roles, *users):
        for (grant,) in session.rows(f"SHOW GRANTS FOR {name}"):
            yield str(grant)


def replace(session: Session, new: Iterable[str]) -> list[str]:
    """Make accounts in the place of those that there are.

    Returns:
        The rights that nobody can have any more, because what they are about is not there.

    Raises:
        AgentError: A statement failed; in the server's words.
    """
    import pymysql

    roles, users = _names(session)
    left_out = []
    for statement in (
        *(f"DROP USER {user}" for user in users),
        *(f"DROP ROLE {role}" for role in roles),
        *new,
    ):
        try:
            session.run(statement)
        except pymysql.Error as error:
            if error.args[0] not in _NOTHING_THERE:
                # The statement may hold what a password has become.
                raise AgentError(f"an account cannot be made again: {error.args[-1]}") from error
            left_out.append(str(error.args[-1]))
    return left_out


def _names(session: Session) -> tuple[list[str], list[str]]:
    """Return the names of roles and users as SQL has them; ConPaaS's own are left out."""
    own = {
        (administrator(), "localhost"),
        ("root", "localhost"),
        ("mariadb.sys", "localhost"),
        (TRANSFER_USER, "localhost"),
        (MONITOR, "localhost"),
        (USER, "%"),
    }
    roles, users = [], []
    for name, host, is_role in session.rows(_ALL):
        if is_role:
            roles.append(_quoted(name))
        elif name != "PUBLIC" and (name, host) not in own:
            users.append(f"{_quoted(name)}@{_quoted(host)}")
    return [role for role in roles if role != "`PUBLIC`"], users


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_ALL = (
    "SELECT User, Host, JSON_VALUE(Priv, '$.is_role') = 1 FROM mysql.global_priv "
    "ORDER BY User, Host"
)


def as_comment(statement: str) -> bytes:
    """Return a statement as a line that a client takes for a comment."""
    return b"-- account " + json.dumps(statement).encode() + b"\n"


def from_comment(line: bytes) -> str | None:
    """Return the statement that a line holds, None when it holds none."""
    if not line.startswith(b"-- account "):
        return None
    return str(json.loads(line.removeprefix(b"-- account ")))
