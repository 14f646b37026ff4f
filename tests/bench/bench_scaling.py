"""Scaling a PHP service: from ``add_nodes`` to the first request that new backends serve.

1 and 5 backends at once, from the call until a request has been answered by each of the new ones
through the proxy.  Beside as many bare instances of the same image, booted at once until a trivial
server in each answers.  Makes a nutshell called ``bench`` (root) and destroys it at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from harness import Figure, alternate, median_of, wait_until
from machines import Application, BareCloud, Service, nutshell
from php_services import WHO, address_of, fetch, put_code

from conpaas.rpc import finish

_REST = 1.5  #: seconds in which what the machines before have left behind comes to its end


def measure(runs: int) -> Iterator[Figure]:
    """Measure both numbers."""
    with ExitStack() as stack:
        stack.enter_context(nutshell())
        service = Application().service("php")
        put_code(service, {"index.php": WHO})
        cloud = BareCloud()
        stack.callback(cloud.down)
        for count in (1, 5):
            base, ours = alternate(
                lambda: _boot(cloud, count),  # noqa: B023 - called within the loop
                lambda: _add(service, count),  # noqa: B023
                runs=runs if count == 1 else max(2, runs // 2),
            )
            yield Figure(
                f"add_nodes --backend {count} to first answers ({os.cpu_count()} cores)",
                median_of(base), median_of(ours), "s", 1.0, more=True,
            )  # fmt: skip


def _boot(cloud: BareCloud, count: int) -> float:
    """Boot bare instances at once; return the seconds until all answered."""
    time.sleep(_REST)
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        machines = list(pool.map(cloud.create, [f"bare{n}" for n in range(count)]))
    wall = time.perf_counter() - begin
    for machine in machines:
        cloud.destroy(machine)
    return wall


def _add(service: Service, count: int) -> float:
    """Add backends, and remove them again; return the seconds until each had answered."""
    time.sleep(_REST)
    url = address_of(service)
    before = fetch(url)
    answered: set[str] = set()

    def all_answered() -> bool:
        answered.add(fetch(url))
        return len(answered - {before, ""}) == count

    begin = time.perf_counter()
    finish(service.manager.add_nodes(nodes={"backend": count}))
    wait_until(all_answered, f"{count} backends have not answered", pause=0.001)
    wall = time.perf_counter() - begin
    finish(service.manager.remove_nodes(nodes={"backend": count}))
    return wall
