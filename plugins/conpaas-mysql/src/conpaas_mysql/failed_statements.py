"""What people can do about a statement that failed, by the number of the server's error."""

from __future__ import annotations

import re

#: The server, not the dump, is why a statement failed: it went away, or was not ready.
_OF_THE_SERVER = {1021, 1047, 1053, 1205, 1213, 1927, 2002, 2006, 2013, 2055}
_EXPLANATIONS = {
    1021: "The volume of the database is full: have it grown, or delete data.",
    1044: "Your account may not use that database.",
    1047: "The database had lost the others for a moment: try again.",
    1049: "The dump names no database: put 'CREATE DATABASE' and 'USE' with a name before it.",
    1046: "The dump names no database: put 'CREATE DATABASE' and 'USE' with a name before it.",
    1007: "Drop that database first, or make the dump with 'CREATE DATABASE IF NOT EXISTS'.",
    1050: "Drop that table first, or make the dump with --add-drop-table.",
    1062: "The table has such a row already: empty it first.",
    1114: "The volume of the database is full: have it grown, or delete data.",
    1153: "One statement is larger than the server takes: make the dump with "
    "--net-buffer-length=1M.",
    1180: "The transaction is too large to be copied to the other nodes (2 GB at most): make the "
    "dump without --no-autocommit.",
    1193: "The dump is of another kind of server: make it with --set-gtid-purged=OFF, or delete "
    "that line.",
    1205: "Something else holds a lock on it: try again.",
    1213: "Somebody changed the same rows on another node: try again.",
    1273: "The dump is of MySQL 8, whose collations MariaDB lacks: write utf8mb4_unicode_ci for "
    "utf8mb4_0900_ai_ci in it.",
    1286: "Only tables of InnoDB are copied to all nodes: write ENGINE=InnoDB in the dump.",
    1290: "Only tables of InnoDB are copied to all nodes: write ENGINE=InnoDB in the dump.",
    2006: "The server went away: look at its log, and try again.",
    2013: "The server went away: look at its log, and try again.",
    4165: "Only tables of InnoDB are copied to all nodes: write ENGINE=InnoDB in the dump.",
    4166: "A dump cannot read files of a machine: it must hold the data itself.",
}
_DEFINER = re.compile(r"(?i)\bDEFINER\s*=\s*(\S+?@\S+?)(?:\s|\*|$)")


def is_of_the_server(code: int) -> bool:
    """Whether an error is none of the dump."""
    return code in _OF_THE_SERVER


def explanation(code: int, words: str, statement: str) -> str:
    """Return what to do about an error, in a sentence; empty when its own words must do.

    Args:
        code: The server's, or the client's.
        words: That came with it.
        statement: How what failed begins.
    """
    if code in (1227, 1449):
        if definer := _DEFINER.search(statement):
            return (
                f"It shall belong to the account {definer[1]}, which is not yours: take that "
                "DEFINER=… out of the dump, or write DEFINER=CURRENT_USER."
            )
        if "SET USER" in words:
            return (
                "It shall belong to an account that is not yours: take the DEFINER=… out of the "
                "dump, or write DEFINER=CURRENT_USER."
            )
        if "BINLOG" in words or "SUPER" in words:
            return (
                "The dump sets what belongs to the server: make it with --set-gtid-purged=OFF, or "
                "delete that line."
            )
    if code in (1142, 1227):
        return "Your account has no right to do that, as it has none to the server's own things."
    return _EXPLANATIONS.get(code, "")
