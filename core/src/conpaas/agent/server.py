"""The agent's web application."""

from __future__ import annotations

from conpaas.agent.host import AgentHost
from conpaas.certificates import Identity, Role, Verifier
from conpaas.dispatch import JobReports, dispatch
from conpaas.front import METRICS_PATH
from conpaas.gate import Gate
from conpaas.metrics import Metrics
from conpaas.web import NUMBER, App, Request, Response, new_app, send_result


def make_app(host: AgentHost, verifier: Verifier, application: int) -> App:
    """Return the application that serves an agent to its own application's manager only."""

    def allows(identity: Identity) -> bool:
        return identity.role is Role.MANAGER and identity.application == application

    app = new_app([Gate(verifier, allows, f"the manager of application {application}")])
    reports = JobReports(host.runner)
    metrics = Metrics()
    metrics.add_process()
    metrics.add(host.collect)
    app.add_route(METRICS_PATH, metrics)
    app.add_route("/api/v1/check", _Check(host))
    app.add_route("/api/v1/agent/{operation}", _Operations(host))
    app.add_route("/api/v1/jobs", reports, suffix="list")
    app.add_route(f"/api/v1/jobs/{NUMBER}", reports)
    return app


class _Check:
    def __init__(self, host: AgentHost) -> None:
        self._host = host

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer that the agent is there, and who it is."""
        send_result(resp, self._host.status)


class _Operations:
    def __init__(self, host: AgentHost) -> None:
        self._host = host

    def on_get(self, req: Request, resp: Response, operation: str) -> None:
        """Answer a question."""
        dispatch(req, resp, operation, self._host, self._host.runner, "manager")

    def on_post(self, req: Request, resp: Response, operation: str) -> None:
        """Carry out an operation, or begin its job."""
        dispatch(req, resp, operation, self._host, self._host.runner, "manager")
