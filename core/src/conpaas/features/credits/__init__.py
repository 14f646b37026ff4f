"""Credits: what machines cost, who pays, and what happens when nothing is left.

One credit is one machine for one started hour, paid when the hour begins.  ``api`` declares what
users call; ``director`` keeps the ledger, charges, and stops what cannot be paid.
"""

from __future__ import annotations

from typing import Any

from conpaas import hookimpl
from conpaas.features.credits.director import (
    conpaas_balance,
    conpaas_director_objects,
    conpaas_machines_gone,
    conpaas_machines_wanted,
    conpaas_notices,
    conpaas_periodic,
    conpaas_permit,
    conpaas_user_created,
)


@hookimpl
def conpaas_api() -> list[type]:
    """Add the credit's operations to the users'."""
    # Late, as all imports of the hooks: every command line imports this file.
    from conpaas.features.credits.api import Credits

    return [Credits]


@hookimpl
def conpaas_pages() -> list[Any]:
    """Add the page that shows what was used."""
    from conpaas.features.credits.frontend import page

    return [page()]


__all__ = [
    "conpaas_api",
    "conpaas_balance",
    "conpaas_director_objects",
    "conpaas_machines_gone",
    "conpaas_machines_wanted",
    "conpaas_notices",
    "conpaas_pages",
    "conpaas_periodic",
    "conpaas_permit",
    "conpaas_user_created",
]
