"""The command line: a program that starts, and one that asks the director.

``cps-tools --version`` beside ``python -c pass``; ``cps-tools application list`` beside a bare
script that asks the same address with http.client, the same authority and the same token.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import Figure, Workbench, alternate, median_of, run_program
from servers import HOST, Director

_BARE = """\
import http.client, json, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.load_verify_locations(sys.argv[1])
connection = http.client.HTTPSConnection(sys.argv[2], int(sys.argv[3]), context=context)
headers = {"Authorization": "Bearer " + sys.argv[4]}
connection.request("GET", "/api/v1/application/list", headers=headers)
answer = connection.getresponse()
assert answer.status == 200
for row in json.loads(answer.read())["result"]:
    print(*row.values())
"""


def measure(runs: int) -> Iterator[Figure]:
    """Measure both."""
    with Workbench() as bench:
        director = Director(bench)
        home = bench.directory / "home"
        (home / ".conpaas").mkdir(parents=True)
        (home / ".conpaas/cps-tools.conf").write_text(
            f"[cps-tools]\ndirector_url = {director.url}\ntoken = {director.token}\n"
            f"ca_cert = {director.files.ca}\n"
        )
        environment = {**os.environ, "HOME": str(home)}
        tools = str(Path(sys.executable).parent / "cps-tools")
        bare = bench.directory / "bare.py"
        bare.write_text(_BARE)
        given = [str(director.files.ca), HOST, str(director.served.port), director.token]
        yield from _beside(
            "cps-tools --version", 2.0,
            [sys.executable, "-c", "pass"], [tools, "--version"], environment, runs,
        )  # fmt: skip
        yield from _beside(
            "cps-tools application list", 1.4,
            [sys.executable, str(bare), *given], [tools, "application", "list"], environment, runs,
        )  # fmt: skip


def _beside(
    what: str,
    aim: float,
    baseline: list[str],
    ours: list[str],
    environment: dict[str, str],
    runs: int,
) -> Iterator[Figure]:
    bare, own = alternate(
        lambda: run_program(baseline, environment),
        lambda: run_program(ours, environment),
        runs=3 * runs,
    )
    for kind, place in (("time", 0), ("CPU", 1)):
        yield Figure(
            f"{what}: {kind}",
            1000 * median_of([one[place] for one in bare]),
            1000 * median_of([one[place] for one in own]),
            "ms",
            aim,
        )
