"""How callers name what an operation is about."""

from __future__ import annotations

from typing import Annotated

from conpaas.schema import Option

ApplicationRef = Annotated[
    str | int, "Name or id of an application", Option(metavar="app_name_or_id")
]
ServiceRef = Annotated[str | int, "Name or id of a service", Option(metavar="serv_name_or_id")]
CloudOption = Annotated[str | None, "Name of a cloud", Option(short="-c")]
OnlyApplication = Annotated[str | int | None, "Only those of this application", Option(short="-a")]
