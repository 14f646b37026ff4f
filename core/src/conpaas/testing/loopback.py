"""Addresses of this machine that a cluster's machines can have, so that programs listen there."""

from __future__ import annotations

import itertools
import os

_numbers = itertools.count()


def loopback_network() -> str:
    """Return a network in 127.0.0.0/8 that no other cluster of this process has had.

    Tests that run beside this one have others: the network tells the process, too.
    """
    return f"127.{64 + os.getpid() % 128}.{next(_numbers) % 250}.0/24"
