"""The accounts that users have made: written down, removed, and made again.

Of ``mysqldb``, which is ConPaaS's own account, only its roles are written: whoever makes a role
has it, and nobody else can pass it on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from conpaas.errors import AgentError
from conpaas_mysql.accounts import MONITOR, NO_PASSWORD, user_account
from conpaas_mysql.client import Session
from conpaas_mysql.configuration import TRANSFER_USER
from conpaas_mysql.directories import administrator
from conpaas_mysql.parts import USER

#: Rights on what is not there any more: no table, no routine, no role of that name.
_NOTHING_THERE = (1146, 1305, 1959)
_OWNER = f"`{USER}`@`%`"
_SET_DEFAULT = "SET DEFAULT ROLE"
#: Whoever there is has its rights; the server keeps it like a role, but it is none.
_EVERYBODY = "PUBLIC"


def statements(session: Session) -> Iterator[str]:
    """Return the SQL that makes all of them again, roles before those that have them."""
    roles, users = _names(session)
    for role in roles:
        yield f"CREATE OR REPLACE ROLE {role}"
    for user in users:
        ((made,),) = session.rows(f"SHOW CREATE USER {user}")
        yield str(made).replace("CREATE USER", "CREATE OR REPLACE USER", 1)
    for name in (*roles, *users, _EVERYBODY):
        for (grant,) in session.rows(f"SHOW GRANTS FOR {name}"):
            yield str(grant)
    # A restore of an earlier version has left its roles to the administrator.
    for role, may_grant in session.rows(_ROLES_OF_OWNER, (USER, administrator())):
        yield f"GRANT {_quoted(role)} TO {_OWNER}" + (" WITH ADMIN OPTION" if may_grant else "")
    default = session.rows(_DEFAULT_ROLE, (USER,))
    named = _quoted(default[0][0]) if default and default[0][0] else "NONE"
    # Always there, and last: by it :func:`replace` knows that the roles of the account are told.
    yield f"{_SET_DEFAULT} {named} FOR {_OWNER}"


def replace(session: Session, new: Iterable[str]) -> list[str]:
    """Make accounts in the place of those that there are.

    The account ``mysqldb`` is made, without a password, where it is not there.  A backup that does
    not tell its roles gives it all of them: nobody else can make one.

    Returns:
        The rights that nobody can have any more, because what they are about is not there.

    Raises:
        AgentError: A statement failed; in the server's words.
    """
    new = list(new)
    # Earlier versions wrote neither the roles of that account nor the rights of everybody.
    told = any(one.startswith(_SET_DEFAULT) and one.endswith(f" FOR {_OWNER}") for one in new)
    owner = () if session.rows(_HAS_OWNER, (USER,)) else user_account(NO_PASSWORD)
    everybody = session.rows(_HAS_EVERYBODY, (_EVERYBODY,)) if told else ()
    roles, users = _names(session)
    left_out = [
        _run(session, statement)
        for statement in (
            *owner,
            *(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {_EVERYBODY}" for _ in everybody),
            *(f"DROP USER {user}" for user in users),
            *(f"DROP ROLE {role}" for role in roles),
            *new,
        )
    ]
    _hand_over(session, to_owner=not told)
    return [one for one in left_out if one]


def _run(session: Session, statement: str) -> str:
    """Carry a statement out; return why not, if what it is about is not there."""
    import pymysql

    try:
        session.run(statement)
    except pymysql.Error as error:
        if error.args[0] not in _NOTHING_THERE:
            # The statement may hold what a password has become.
            raise AgentError(f"an account cannot be made again: {error.args[-1]}") from error
        return str(error.args[-1])
    return ""


def _hand_over(session: Session, to_owner: bool) -> None:
    """Take the roles from the administrator, who has them because he has made them again."""
    # By its name: another member would not know who the current user is.
    admin = f"{_quoted(administrator())}@`localhost`"
    for (name,) in session.rows(_ROLES_OF_ADMINISTRATOR, (administrator(),)):
        if to_owner:
            _run(session, f"GRANT {_quoted(name)} TO {_OWNER} WITH ADMIN OPTION")
        _run(session, f"REVOKE {_quoted(name)} FROM {admin}")


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
        elif name != _EVERYBODY and (name, host) not in own:
            users.append(f"{_quoted(name)}@{_quoted(host)}")
    return [role for role in roles if role != _quoted(_EVERYBODY)], users


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_ALL = (
    "SELECT User, Host, JSON_VALUE(Priv, '$.is_role') = 1 FROM mysql.global_priv "
    "ORDER BY User, Host"
)
_HAS_EVERYBODY = "SELECT 1 FROM mysql.global_priv WHERE User = %s AND Host = ''"
_HAS_OWNER = "SELECT 1 FROM mysql.global_priv WHERE User = %s AND Host = '%%'"
_DEFAULT_ROLE = (
    "SELECT JSON_VALUE(Priv, '$.default_role') FROM mysql.global_priv "
    "WHERE User = %s AND Host = '%%'"
)
_ROLES_OF_OWNER = (
    "SELECT Role, MAX(Admin_option = 'Y') FROM mysql.roles_mapping "
    "WHERE (User = %s AND Host = '%%') OR (User = %s AND Host = 'localhost') "
    "GROUP BY Role ORDER BY Role"
)
_ROLES_OF_ADMINISTRATOR = (
    "SELECT Role FROM mysql.roles_mapping WHERE User = %s AND Host = 'localhost'"
)


def as_comment(statement: str) -> bytes:
    """Return a statement as a line that a client takes for a comment."""
    return b"-- account " + json.dumps(statement).encode() + b"\n"


def from_comment(line: bytes) -> str | None:
    """Return the statement that a line holds, None when it holds none."""
    if not line.startswith(b"-- account "):
        return None
    return str(json.loads(line.removeprefix(b"-- account ")))
