"""What the handlers of a service manager may return."""

from __future__ import annotations

from conpaas.rpc import Job, scaled

#: Nothing, or a job whose progress the user sees.
Handled = Job[None] | None


def handled(result: Handled, low: int, high: int) -> Job[None]:
    """Carry out what a handler returned, as these percents of the job that called it."""
    if result is not None:
        yield from scaled(result, low, high)
