"""What users call their volumes."""

from __future__ import annotations

import re
from typing import Annotated

from conpaas.schema import Check, Option


def _complaint(name: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        return None
    if len(name) > 64:
        return f"has {len(name)} characters: at most 64 are allowed"
    return "must be 1 to 64 letters (A-Z, a-z), digits, dashes and underscores"


#: The name of a volume; it is also that of the directory where the volume is mounted.
VolumeName = Annotated[
    str,
    "Name of the volume, unique in the application",
    Option(metavar="vol_name"),
    Check(_complaint, "1 to 64 of A-Z a-z 0-9 _ -"),
]
