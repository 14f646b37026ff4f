"""Donors that Galera has forgotten.

A script that gives a copy may end while its server has lost most of the cluster, for instance
because the only other member was killed in the middle of that copy.  Galera 4.23 drops the notice:
when the server is primary again it goes on as a donor, for ever, takes no queries, and no joiner
may have it or any other copy from it ("No donor candidates").  Nothing but a new start helps.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conpaas_mysql.galera import DONOR, Group
from conpaas_mysql.transfers import transfers


def is_forgotten(group: Group, data: Path) -> bool:
    """Whether a member stays a donor although no copy is being made of its data.

    For a moment that is so after each copy that others were lost in.
    """
    return (
        group.is_primary
        and group.state == DONOR
        and not group.ready
        and not any(transfer.sends for transfer in transfers(data))
    )


def in_truth(group: Group, data: Path) -> Group:
    """Return what a member is good for: a forgotten donor is as one that has lost the others."""
    return replace(group, is_primary=False) if is_forgotten(group, data) else group
