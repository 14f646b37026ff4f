"""WordPress on the services beside the same WordPress on one machine by hand (needs root).

By hand: nginx, PHP-FPM and one MariaDB, as Debian has them, with one CPU for all of them, as each
machine of the nutshell has.  Ours: a proxy, a web node and a backend, and behind them a balancer
and three databases.  ``wrk`` on 4 connections asks for the front page, with PHP's ``open_basedir``
off, as by hand and as services begin with, and on.  Makes a nutshell called ``bench`` and destroys
it at the end.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from harness import Figure, alternate, median_of
from machines import Application, nutshell
from php_services import address_of, wrk

from conpaas.rpc import Upload, finish, patiently

_TESTS = Path(__file__).parents[1]
_PASSWORD = "correct horse 7"
_SECONDS, _CLIENTS = 4, 4


def measure(runs: int) -> Iterator[Figure]:
    """Measure both."""
    # What WordPress is made of is known to the tests.
    sys.path.append(str(_TESTS))
    from bare_wordpress import BareWordpress, create_database, install, tree

    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="conpaas-bench-", dir="/var/tmp")
            )
        )
        directory.chmod(0o755)
        code, archive = tree(directory)
        bare = stack.enter_context(BareWordpress(directory, code, _PASSWORD))
        stack.enter_context(nutshell())
        application = Application()
        mysql = application.service("mysql")
        mysql.manager.set_password(password=_PASSWORD)
        php = application.service("php")
        finish(mysql.manager.add_nodes(nodes={"mysql": 2, "glb": 1}))
        # It may still be told where the database is.
        finish(patiently(lambda: php.manager.add_nodes(nodes={"backend": 1, "web": 1})))
        finish(php.manager.set_env(name="DB_PASSWORD", value=_PASSWORD))
        with archive.open("rb") as content:
            upload = Upload(content, archive.name, archive.stat().st_size)
            version = php.manager.upload_code(filename=upload).codeVersionId
        for host in (bare.database, mysql.manager.get_address().host):
            create_database(host, _PASSWORD)
        finish(php.manager.enable_code(code_version=version))
        url = address_of(php)
        for one in (bare.url, url):
            install(one, _PASSWORD)
        aims = {"off": 0.9, "on": None}
        for fence in aims:
            finish(php.manager.set_php_config(open_basedir=fence))
            base, ours = alternate(
                lambda: wrk(bare.url, _SECONDS, _CLIENTS),
                lambda: wrk(url, _SECONDS, _CLIENTS),
                runs=runs,
            )
            yield Figure(
                f"WordPress: front page through proxy and cluster, open_basedir {fence}",
                median_of(base), median_of(ours), "/s", aims[fence], at_least=True,
            )  # fmt: skip
