"""The director's web application."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from conpaas.director import targets
from conpaas.director.authentication import Authentication
from conpaas.director.director import Director
from conpaas.director.forward import ApplicationJobs, ServiceOperations
from conpaas.director.metrics import ApplicationMetrics, DirectorMetrics
from conpaas.director.notices import add_notices
from conpaas.director.objects import ApiObject
from conpaas.director.openapi import OpenApi, Reference
from conpaas.errors import DeniedError, InvalidError, UnauthenticatedError
from conpaas.front import METRICS_PATH
from conpaas.gate import verified
from conpaas.web import (
    NUMBER,
    App,
    Request,
    Response,
    new_app,
    read_arguments,
    read_json,
    send_job,
    send_result,
)


def make_app(director: Director) -> App:
    """Return the application that serves a director."""
    authentication = Authentication(director)
    metrics = DirectorMetrics(director, authentication)
    app = new_app([metrics.requests, _Connection(director)])
    app.add_route("/api/v1/version", _Version())
    app.add_route("/api/v1/ca", _Ca(director))
    app.add_route("/api/v1/join", _Join(director))
    app.add_route("/api/v1/renew", _Renew(director))
    app.add_route("/api/v1/revoked", _Revoked(director))
    app.add_route(f"/api/v1{METRICS_PATH}", metrics)
    app.add_route("/api/v1/openapi.json", OpenApi(director))
    app.add_route("/api/v1", Reference(director))
    app.add_route(f"/api/v1/jobs/{NUMBER}", _Jobs(director, authentication))
    app.add_route(
        "/api/v1/applications/{application}/services/{service}/{operation}",
        ServiceOperations(director, authentication),
    )
    app.add_route(
        f"/api/v1/applications/{{application}}{METRICS_PATH}",
        ApplicationMetrics(director, authentication),
    )
    app.add_route(
        f"/api/v1/applications/{{application}}/jobs/{NUMBER}",
        ApplicationJobs(director, authentication),
    )
    app.add_route("/api/v1/{name}/{operation}", _Operations(director, authentication))
    return app


class _Connection:
    """Middleware: a connection to the database for each request."""

    def __init__(self, director: Director) -> None:
        self._database = director.database

    def process_request(self, req: Request, resp: Response) -> None:
        # Kept by the thread: opening SQLite costs more than most questions to it.
        self._database.connect(reuse_if_open=True)


class _Operations:
    """``/api/v1/{object}/{operation}``."""

    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._director = director
        self._authentication = authentication

    def on_get(self, req: Request, resp: Response, name: str, operation: str) -> None:
        """Answer a question."""
        self.on_post(req, resp, name, operation)

    def on_post(self, req: Request, resp: Response, name: str, operation: str) -> None:
        """Carry out an operation, or begin its job."""
        director = self._director
        if director.is_public(name, operation):
            caller = self._authentication.anybody(req)
        else:
            caller = self._authentication.caller(req, f"{name} {operation}")
        declared = director.declared(name, operation)
        req.context.operation = f"{name} {operation}"  # measured under its name: it is one of ours
        with targets.entry(director, caller, name, declared) as entry:
            if not declared.public and caller.is_manager != (name == "manager"):
                raise DeniedError(f"{caller.username} may not call {name} this way")
            director.permit(caller, declared)
            arguments = read_arguments(req, declared)
            if not declared.reads:
                entry.about(targets.of_call(ApiObject(director, caller), name, arguments))
            if declared.is_job:
                number = director.jobs.submit(name, declared, arguments, caller, entry.job)
                send_job(resp, number, f"/api/v1/jobs/{number}")
                add_notices(director, caller, declared, resp)
                return
            result = getattr(director.object(name, caller), operation)(**arguments)
            entry.made(targets.made(result))
        send_result(resp, result)
        add_notices(director, caller, declared, resp)


class _Jobs:
    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._director = director
        self._authentication = authentication

    def on_get(self, req: Request, resp: Response, number: int) -> None:
        """Answer with a job's report."""
        # Who deletes himself is shut out first, and sees how far it is.
        caller = self._authentication.caller(req, disabled_too=True)
        send_result(resp, self._director.jobs.report(number, caller))


class _Version:
    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the version."""
        send_result(resp, importlib.metadata.version("conpaas-core"))


class _Ca:
    def __init__(self, director: Director) -> None:
        self._director = director

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the authority's certificate: the one thing to trust first."""
        send_result(resp, self._director.certificates.authority.ca_pem)


class _Join:
    def __init__(self, director: Director) -> None:
        self._director = director

    def on_post(self, req: Request, resp: Response) -> None:
        """Let a machine in."""
        given = _texts(read_json(req), "token", "csr")
        send_result(resp, self._director.joining.join(given["token"], given["csr"]))


class _Renew:
    def __init__(self, director: Director) -> None:
        self._director = director

    def on_post(self, req: Request, resp: Response) -> None:
        """Renew the certificate of a machine."""
        found = verified(req, self._director.verifier)
        if found is None:
            raise UnauthenticatedError("show the present certificate to get a new one")
        given = _texts(read_json(req), "csr")
        send_result(resp, self._director.joining.renew(found.identity, given["csr"]))


class _Revoked:
    def __init__(self, director: Director) -> None:
        self._director = director

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the serial numbers of revoked certificates."""
        send_result(resp, sorted(self._director.certificates.revoked()))


def _texts(given: Any, *names: str) -> dict[str, str]:
    if not isinstance(given, dict) or given.keys() != set(names):
        raise InvalidError(f"the body must be an object with {' and '.join(names)}")
    for name in names:
        if not isinstance(given[name], str) or len(given[name]) > 16384:
            raise InvalidError(f"{name} must be a text of at most 16384 characters")
    return given
