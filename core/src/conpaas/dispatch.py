"""From a request to an operation of a manager or an agent, and back."""

from __future__ import annotations

from conpaas.jobs import JobRunner
from conpaas.reception import take_in
from conpaas.target import Target
from conpaas.web import Request, Response, read_arguments, send_job, send_result


def dispatch(
    req: Request, resp: Response, operation: str, target: Target, runner: JobRunner, user: str
) -> None:
    """Carry out the operation that a request asks of ``target``, or begin its job."""
    declared = target.declared(operation)
    arguments = read_arguments(req, declared)
    if declared.is_job:
        if declared.upload is not None and declared.upload.name in arguments:
            # Who need not send a long file in vain need not: it may be refused when it is there.
            runner.check(target, declared)
            name = declared.upload.name
            arguments[name] = take_in(arguments[name], target.room)
        number = runner.submit(target, declared, arguments, user)
        send_job(resp, number, f"/api/v1/jobs/{number}")
        return
    target.permit(declared)
    send_result(resp, target.make(declared, arguments))


class JobReports:
    """``/api/v1/jobs`` and ``/api/v1/jobs/{number}``: how jobs are getting on."""

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    def on_get(self, req: Request, resp: Response, number: int) -> None:
        """Answer with a job's report."""
        send_result(resp, self._runner.report(number))

    def on_get_list(self, req: Request, resp: Response) -> None:
        """Answer with the latest jobs, newest first."""
        send_result(resp, self._runner.latest())
