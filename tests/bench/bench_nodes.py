"""Real machines: adding 1 node, and 10 at once, until each of them answers (needs root).

``add_nodes`` of a helloworld service, from the call until ``get_helloworld`` has the greetings of
the new nodes too.  Beside a bare instance of the same image on a local cloud: from ``create``
until a trivial server, which is all that runs in it, answers.  Adding 10 is beside adding 1: that
takes 10 times the CPU time, so that few cores cannot reach the aim.

Makes a nutshell called ``bench`` and destroys it at the end; images are kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

from harness import BenchError, Figure, alternate, median_of
from machines import Application, BareCloud, Service, nutshell

from conpaas.rpc import finish

_MANY = 10
_REST = 1.5  #: seconds in which what the machines before have left behind comes to its end


def measure(runs: int) -> Iterator[Figure]:
    """Measure adding nodes."""
    with ExitStack() as stack:
        stack.enter_context(nutshell())
        service = Application().service("helloworld")
        cloud = BareCloud()
        stack.callback(cloud.down)
        bare, one = alternate(lambda: _boot(cloud), lambda: _add(service, 1), runs=runs)
        yield Figure(
            "add_nodes of 1 beside a bare instance",
            median_of(bare), median_of(one), "s", 1.0, more=True,
        )  # fmt: skip
        one, many = alternate(
            lambda: _add(service, 1), lambda: _add(service, _MANY), runs=max(2, runs // 2)
        )
        yield Figure(
            f"add_nodes of {_MANY} beside 1 ({os.cpu_count()} cores)",
            median_of(one), median_of(many), "s", 1.3,
        )  # fmt: skip


def _boot(cloud: BareCloud) -> float:
    """Create an instance, and destroy it again; return the seconds until it answered."""
    begin = time.perf_counter()
    machine = cloud.create("bare")
    wall = time.perf_counter() - begin
    cloud.destroy(machine)
    return wall


def _add(service: Service, count: int) -> float:
    """Add nodes, and remove them again; return the seconds until they answered."""
    time.sleep(_REST)
    begin = time.perf_counter()
    finish(service.manager.add_nodes(nodes={"count": count}))
    greetings = service.manager.get_helloworld()
    wall = time.perf_counter() - begin
    if len(greetings) != 1 + count:
        raise BenchError(f"{len(greetings)} nodes answer, not {1 + count}")
    finish(service.manager.remove_nodes(nodes={"count": count}))
    return wall
