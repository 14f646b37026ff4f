"""The first data of a database, made beforehand: once, with the image of the machines.

What ``mariadb-install-db`` makes is the same for every service: empty databases of the server, an
administrator who is let in over the socket only, and a user whom no password lets in yet.  So a
new service gets a copy of it.  A copy is taken only of data that this very server has made, and as
it is told here; where there is none, as on machines whose image is not ours, the data are made.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from pathlib import Path

from conpaas_mysql import accounts
from conpaas_mysql.directories import SERVER_USER, Directories, administrator
from conpaas_mysql.starting import PATH, PROGRAM

#: The administrator on machines whose images are ours.
_ADMINISTRATOR = "root"
_ARGUMENTS = (
    "--skip-test-db",
    "--skip-name-resolve",
    "--auth-root-authentication-method=socket",
)
#: The smallest log: the server makes it as large as it is told at its first start.
_OWN_ARGUMENTS = ("--character-set-server=utf8mb4", "--innodb-log-file-size=4M")


def install_arguments(data: Path, statements: Path, administrator: str) -> list[str]:
    """Return the arguments by which ``mariadb-install-db`` makes first data.

    Args:
        data: Where.
        statements: A file with :func:`first_statements`.
        administrator: The system user whom the server lets in as its administrator.
    """
    return [
        f"--datadir={data}",
        *_ARGUMENTS,
        f"--auth-root-socket-user={administrator}",
        f"--extra-file={statements}",
    ]


def first_statements() -> str:
    """Return the SQL that first data are completed with; it holds no secret."""
    # While it is set up, the server knows of no accounts; ConPaaS's own come with each start.
    statements = ["FLUSH PRIVILEGES", *accounts.user_account(accounts.NO_PASSWORD)]
    return "".join(f"{s};\n" for s in statements)


def image_script(root: Path = Path("/")) -> str:
    """Return the shell script by which an image gets data to copy.

    Args:
        root: Of the image's files.
    """
    place = Directories(root, root).prepared
    install = [
        *("mariadb-install-db", "--no-defaults", f"--user={SERVER_USER}", *_OWN_ARGUMENTS),
        *install_arguments(place / "data", place / "first.sql", _ADMINISTRATOR),
    ]
    there = shlex.quote(str(place))
    return (
        f"rm -rf {there}\n"
        f"mkdir -p {there}\n"
        f"cat > {there}/first.sql <<'END'\n{first_statements()}END\n"
        f"{shlex.join(install)} >/dev/null\n"
        f"rm {there}/first.sql\n"
        f"{PROGRAM} --version > {there}/server\n"
        # Nobody but root gets there: who has broken into a server changes nothing.
        f"chmod 0700 {there}\n"
        f"echo {_mark()} > {there}/made\n"
    )


def is_prepared(directories: Directories) -> bool:
    """Whether there are data to copy, made by the server that is installed, as told here."""
    place = directories.prepared
    try:
        if administrator() != _ADMINISTRATOR or (place / "made").read_text().strip() != _mark():
            return False
        made_by = (place / "server").read_text()
    except OSError:
        return False
    asked = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
    return asked.stdout == made_by


def copy(directories: Directories, to: Path) -> None:
    """Copy the data, with whose they are.

    Raises:
        OSError: It cannot be done; half a copy may be left.
    """
    command = ["cp", "-a", "--no-target-directory", str(directories.prepared / "data"), str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def _mark() -> str:
    """Return what stands for how data are made."""
    told = "\n".join([*_OWN_ARGUMENTS, *_ARGUMENTS, first_statements()])
    return hashlib.sha256(told.encode()).hexdigest()
