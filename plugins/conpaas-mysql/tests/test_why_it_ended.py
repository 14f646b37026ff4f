from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from conpaas_mysql.mariadb import MariaDb
from conpaas_mysql.status import why_it_ended


@dataclass
class Saying:
    """A database, of which only the end of its log is known."""

    words: str

    def last_words(self, lines: int) -> str:
        return "\n".join(self.words.splitlines()[-lines:])


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            "[Note] WSREP: state transfer required\n"
            "WSREP_SST: [ERROR] stunnel not found\n"
            "WSREP_SST: [ERROR] cleanup after exit\n"
            "[ERROR] WSREP: SST request callback failed\n"
            "[ERROR] Aborting",
            "WSREP_SST: [ERROR] stunnel not found",
        ),
        (
            "[ERROR] mysqld: unknown variable 'no_such_setting=1'\n[ERROR] Aborting",
            "[ERROR] mysqld: unknown variable 'no_such_setting=1'",
        ),
        ("[Note] starting\n[Note] ready", "[Note] ready"),
        ("", "it said nothing"),
    ],
)
def test_the_first_reason_is_told_and_not_what_followed_from_it(log, told):
    assert why_it_ended(cast(MariaDb, Saying(log))) == told
