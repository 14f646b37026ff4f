"""Passes the operations of services on to their managers, unchanged, streaming both ways."""

from __future__ import annotations

import json
from typing import IO, Any, cast
from urllib.parse import quote

import falcon

from conpaas.director.director import Director
from conpaas.director.objects import ApiObject
from conpaas.director.users import Authentication
from conpaas.errors import NotFoundError
from conpaas.manager.server import USER_HEADER
from conpaas.rpc import find_operation
from conpaas.transport import Answer
from conpaas.web import Request, Response

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
        caller = self._authentication.caller(req)
        if caller.is_manager:
            raise NotFoundError("managers call no services here")
        things = ApiObject(self._director, caller)
        row = things.find_application(application)
        found = things.find_service(row, service)
        declared = find_operation(self._director.plugins.service(found.type).manager, operation)
        self._director.permit(caller, declared)
        machine = self._director.require_manager(row)
        path = f"/api/v1/services/{found.number}/{quote(operation)}"
        if req.query_string:
            path += f"?{req.query_string}"
        headers = {name: value for name in REQUEST_HEADERS if (value := req.get_header(name))}
        headers[USER_HEADER] = caller.username
        body = None
        if req.method == "POST":
            body = cast("IO[bytes]", req.bounded_stream if req.content_length else req.stream)
        answer = self._director.ways.forward(machine, req.method, path, body, headers)
        pass_on(resp, answer, f"/api/v1/applications/{row.id}/jobs/")


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
        machine = self._director.require_manager(things.find_application(application))
        answer = self._director.ways.forward(machine, "GET", f"/api/v1/jobs/{number}", None, {})
        pass_on(resp, answer, "")


def pass_on(resp: Response, answer: Answer, jobs: str) -> None:
    """Answer as the manager did; a job's place is told as seen from here."""
    resp.status = falcon.code_to_http_status(answer.status)
    if answer.status == 202:
        content = json.loads(b"".join(answer.chunks))
        watch = f"{jobs}{content['job']}"
        resp.set_header("Location", watch)
        resp.media = {"job": content["job"], "watch": watch}
        return
    for name in ANSWER_HEADERS:
        if name in answer.headers and name != "content-length":
            resp.set_header(name, answer.headers[name])
    if answer.status >= 400:
        resp.data = answer.body
        return
    length = answer.headers.get("content-length")
    if length is not None:
        resp.set_stream(cast("Any", answer.chunks), int(length))
    else:
        resp.stream = answer.chunks
