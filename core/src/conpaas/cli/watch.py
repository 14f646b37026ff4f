"""Follow a job to its end."""

from __future__ import annotations

import time

from conpaas.cli.failure import Failure, Interrupted, Unreachable
from conpaas.cli.progress import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conpaas.cli.call import Answer, Director

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
#: How long a director that stopped answering is waited for: it may be coming back, in seconds.
PATIENCE = 60.0


def follow(
    director: Director,
    answer: Answer,
    how_to_watch: str,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Return the result of a job that began with ``answer``, showing its steps.

    Raises:
        Failure: It failed; or the director stayed away; or the user left.
    """
    meter, pause, silent_since, told = Meter(), FIRST_PAUSE, 0.0, 0
    try:
        while True:
            try:
                report = director.get(answer.watch).result
            except Unreachable as error:
                silent_since = silent_since or clock()
                if clock() - silent_since > PATIENCE:
                    message = f"{error.message}; the job may go on: {how_to_watch}"
                    raise Unreachable(message, error.code) from error
                meter.note(f"{error.message}; trying again")
                time.sleep(LONGEST_PAUSE * 2)
                continue
            silent_since = 0.0
            # Those too that came and went between two looks: what moved where must be told.
            for step in report.get("steps", ())[told:]:
                meter.step(int(step["percent"]), str(step["message"]))
                told += 1
            if report["state"] == "done":
                meter.step(100, str(report["message"]))
                return report["result"]
            if report["state"] not in ("queued", "running"):
                raise _why(report)
            meter.step(int(report["percent"]), str(report["message"]))
            time.sleep(pause)
            pause = min(pause * 1.3, LONGEST_PAUSE)
    except KeyboardInterrupt:
        raise Interrupted(f"The job goes on; see: {how_to_watch}") from None
    finally:
        meter.end()


def _why(report: dict[str, Any]) -> Failure:
    error = report.get("error") or {}
    told = error.get("message") or f"job {report['id']} was {report['state']}"
    return Failure(str(told), str(error.get("code", "")), error.get("detail"))
