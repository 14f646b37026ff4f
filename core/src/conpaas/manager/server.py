"""The manager's web application."""

from __future__ import annotations

from conpaas.certificates import Identity, Role, Verifier
from conpaas.dispatch import JobReports, dispatch
from conpaas.front import METRICS_PATH
from conpaas.gate import Gate
from conpaas.manager.application import ApplicationManager
from conpaas.metrics import Metrics
from conpaas.web import NUMBER, App, Request, Response, new_app, send_result

#: The header in which the director tells for which user it calls; a name, for the records.
USER_HEADER = "X-ConPaaS-User"


def make_app(manager: ApplicationManager, verifier: Verifier) -> App:
    """Return the application that serves a manager to its director only."""

    def allows(identity: Identity) -> bool:
        return identity.role is Role.DIRECTOR

    app = new_app([Gate(verifier, allows, "the director")])
    reports = JobReports(manager.runner)
    metrics = Metrics()
    metrics.add_process()
    metrics.add(manager.sampler.collect)
    app.add_route(METRICS_PATH, metrics)
    app.add_route("/api/v1/check", _Check(manager))
    app.add_route("/api/v1/manager/{operation}", _ManagerOperations(manager))
    app.add_route(f"/api/v1/services/{NUMBER}/{{operation}}", _ServiceOperations(manager))
    app.add_route("/api/v1/jobs", reports, suffix="list")
    app.add_route(f"/api/v1/jobs/{NUMBER}", reports)
    return app


class _Check:
    def __init__(self, manager: ApplicationManager) -> None:
        self._manager = manager

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer that the manager is there, with the states of its services."""
        states = {str(n): state.value for n, state in self._manager.book.states().items()}
        send_result(resp, states)


class _ManagerOperations:
    def __init__(self, manager: ApplicationManager) -> None:
        self._manager = manager

    def on_get(self, req: Request, resp: Response, operation: str) -> None:
        """Answer a question."""
        self.on_post(req, resp, operation)

    def on_post(self, req: Request, resp: Response, operation: str) -> None:
        """Carry out an operation, or begin its job."""
        dispatch(req, resp, operation, self._manager, self._manager.runner, _user(req))


class _ServiceOperations:
    def __init__(self, manager: ApplicationManager) -> None:
        self._manager = manager

    def on_get(self, req: Request, resp: Response, number: int, operation: str) -> None:
        """Answer a question."""
        self.on_post(req, resp, number, operation)

    def on_post(self, req: Request, resp: Response, number: int, operation: str) -> None:
        """Carry out an operation of a service, or begin its job."""
        host = self._manager.host(number)
        dispatch(req, resp, operation, host, self._manager.runner, _user(req))
        if not host.declared(operation).reads:
            # What has been acknowledged must outlive this machine.
            self._manager.handover.try_now()


def _user(req: Request) -> str:
    return (req.get_header(USER_HEADER) or "")[:64]
