"""What is written of a job, and read again."""

from __future__ import annotations

import json
from typing import Any

from conpaas.rpc import JobReport, JobState, Operation
from conpaas.schema import to_json


def recordable(operation: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a job that are recorded, as JSON can hold them."""
    # A file is gone with its request, and a secret is not to be kept: both resume without them.
    left_out = {p.name for p in operation.parameters if p.is_upload or p.hint.option.secret}
    return {name: to_json(value) for name, value in arguments.items() if name not in left_out}


def report_of(row: Any) -> JobReport:
    """Return the report that a row of the ``job`` table is."""
    return JobReport(
        id=row["id"],
        target=row["target"],
        operation=row["operation"],
        state=JobState(row["state"]),
        percent=row["percent"],
        message=row["message"],
        user=row["user"],
        created=row["created"],
        finished=row["finished"],
        result=json.loads(row["result"] or "null"),
        error=json.loads(row["error"] or "null"),
    )
