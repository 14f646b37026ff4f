"""Passes the operations of services on to their managers, unchanged, streaming both ways."""

from __future__ import annotations

import json
from typing import IO, Any, cast
from urllib.parse import quote

import falcon

from conpaas.director import targets
from conpaas.director.audit import Entry
from conpaas.director.authentication import Authentication
from conpaas.director.director import Director
from conpaas.director.models import Machine
from conpaas.director.notices import add_notices
from conpaas.director.objects import ApiObject
from conpaas.director.users import Caller
from conpaas.errors import InvalidError, NotFoundError
from conpaas.manager.server import USER_HEADER
from conpaas.rpc import JobReport, find_operation
from conpaas.schema import from_json
from conpaas.transport import Answer
from conpaas.web import Request, Response, send_result

#: What of a request and of an answer is passed on.
REQUEST_HEADERS = ("Content-Type", "Content-Length", "X-Filename")
ANSWER_HEADERS = ("content-type", "content-length", "content-disposition", "allow")


class ServiceOperations:
    """``/api/v1/applications/{application}/services/{service}/{operation}``."""

    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._director = director
        self._authentication = authentication

    def on_get(
        self, req: Request, resp: Response, application: str, service: str, operation: str
    ) -> None:
        """Pass a question on."""
        self.on_post(req, resp, application, service, operation)

    def on_post(
        self, req: Request, resp: Response, application: str, service: str, operation: str
    ) -> None:
        """Pass an operation on."""
        caller = self._authentication.caller(req, f"service {operation}")
        if caller.is_manager:
            raise NotFoundError("managers call no services here")
        things = ApiObject(self._director, caller)
        row = things.find_application(application)
        found = things.find_service(row, service)
        cls = self._director.plugins.service(found.type).manager_class
        declared = find_operation(cls, operation)
        req.context.operation = f"{found.type} {operation}"
        with targets.entry(self._director, caller, found.type, declared) as entry:
            self._director.permit(caller, declared)
            if req.method == "GET" and not declared.reads:
                raise InvalidError(f"{operation} changes something: call it with POST")
            machine = self._director.require_manager(row)
            entry.about(targets.of_service(row, found))
            answer = self._pass(req, machine, found.number, operation, caller)
            pass_on(resp, answer, f"/api/v1/applications/{row.id}/jobs/", entry)
        add_notices(self._director, caller, declared, resp)

    def _pass(
        self, req: Request, machine: Machine, number: int, operation: str, caller: Caller
    ) -> Answer:
        path = f"/api/v1/services/{number}/{quote(operation)}"
        if req.query_string:
            path += f"?{req.query_string}"
        headers = {name: value for name in REQUEST_HEADERS if (value := req.get_header(name))}
        headers[USER_HEADER] = caller.username
        body = None
        if req.method == "POST":
            body = cast("IO[bytes]", req.bounded_stream if req.content_length else req.stream)
        return self._director.ways.forward(machine, req.method, path, body, headers)


class ApplicationJobs:
    """``/api/v1/applications/{application}/jobs/{number}``: the jobs of a manager."""

    def __init__(self, director: Director, authentication: Authentication) -> None:
        self._director = director
        self._authentication = authentication

    def on_get(self, req: Request, resp: Response, application: str, number: int) -> None:
        """Answer with a job's report."""
        caller = self._authentication.caller(req)
        if caller.is_manager:
            raise NotFoundError("managers look after their jobs themselves")
        things = ApiObject(self._director, caller)
        row = things.find_application(application)
        machine = self._director.require_manager(row)
        report = self._director.ways.get(machine, f"/api/v1/jobs/{number}")
        told: JobReport = from_json(report, JobReport, "job")
        if told.state.ended:
            # The manager ends its jobs by itself: the record learns of it from who asks.
            self._director.audit.manager_job_ended(row.id, told)
        send_result(resp, told)


def pass_on(resp: Response, answer: Answer, jobs: str, entry: Entry) -> None:
    """Answer as the manager did; a job's place is told as seen from here."""
    resp.status = falcon.code_to_http_status(answer.status)
    if answer.status == 202:
        content = json.loads(b"".join(answer.chunks))
        entry.manager_job(content["job"])
        watch = f"{jobs}{content['job']}"
        resp.set_header("Location", watch)
        resp.media = {"job": content["job"], "watch": watch}
        return
    for name in ANSWER_HEADERS:
        if name in answer.headers and name != "content-length":
            resp.set_header(name, answer.headers[name])
    if answer.status >= 400:
        entry.failed(*_error(answer))
        resp.data = answer.body
        return
    length = answer.headers.get("content-length")
    if length is not None:
        resp.set_stream(cast("Any", answer.chunks), int(length))
    else:
        resp.stream = answer.chunks


def _error(answer: Answer) -> tuple[str, str]:
    """Return the code and the message of a manager's error."""
    try:
        error = json.loads(answer.body)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "internal", f"the manager answered {answer.status}"
