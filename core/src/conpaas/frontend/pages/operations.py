"""Every operation has a page: its form, the confirmation before it loses anything, its result."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote

from conpaas.channel import HttpChannel
from conpaas.errors import ConPaaSError, InvalidError, NotFoundError
from conpaas.frontend import results
from conpaas.frontend.calls import CHANGE_TIMEOUT
from conpaas.frontend.fields import Choice
from conpaas.frontend.forms import BACK_FIELD, CONFIRM_FIELD, Form, operation_form
from conpaas.frontend.looks import in_words
from conpaas.frontend.posted import Posted, read_form
from conpaas.frontend.service_types import service_operations, service_type
from conpaas.frontend.site import Crumb, Site
from conpaas.frontend.visit import Visit, within_site
from conpaas.rpc import Download, JobStarted, Operation
from conpaas.service_type import Role
from conpaas.web import Request, Response, send_result


class Way(Protocol):
    """Carries a call: a channel does, and what stands before one."""

    def send(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        """Deliver a call; see :meth:`conpaas.rpc.Channel.send`."""


@dataclass(frozen=True)
class Subject:
    """What operations are done to.

    Args:
        name: What people call it; typed before it is lost.
        path: Its page.
        crumbs: Where that is, itself included.
        ways: Of each operation: what carries the call.
        operations: By name.
        preset: Arguments that the address says.
        choices: What can be chosen for an argument.
        roles: What counts of nodes may be given for.
        saves: The operations by which what it keeps can be saved before it is removed.
    """

    name: str
    path: str
    crumbs: tuple[Crumb, ...]
    operations: Mapping[str, Operation]
    ways: Mapping[str, Way]
    preset: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    roles: Sequence[Role] = ()
    saves: Sequence[Operation] = ()

    def operation(self, name: str) -> Operation:
        """Return one of its operations.

        Raises:
            NotFoundError: It has none of that name.
        """
        if name not in self.operations:
            raise NotFoundError(f"{self.name} has no operation {name[:60]!r}")
        return self.operations[name]

    def form(self, operation: Operation, **how: Any) -> Form:
        """Return the form of one of its operations; ``how`` as in ``operation_form``."""
        how.setdefault("back", self.path)
        choices = {**self.choices, **how.pop("choices", {})}
        return operation_form(
            operation,
            f"{self.path.rstrip('/')}/operations/{operation.name}",
            preset=tuple(self.preset),
            choices=choices,
            roles=self.roles,
            must_type=self.name,
            twice=True,
            **how,
        )


class OperationPage(abc.ABC):
    """The page of an operation of something; what it is, a subclass says."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @abc.abstractmethod
    def subject(self, visit: Visit, **where: Any) -> Subject:
        """Return what the address names."""

    def on_get(self, req: Request, resp: Response, operation: str, **where: Any) -> None:
        """Show the form; or the answer, of a question that needs nothing more."""
        visit = self.site.enter(req, resp)
        subject = self.subject(visit, **where)
        declared = subject.operation(operation)
        query = {k: v if isinstance(v, str) else v[-1] for k, v in req.params.items()}
        back = within_site(query.pop(BACK_FIELD, ""), subject.path)
        if not declared.reads:
            form = subject.form(declared, values=_given(declared, query), back=back)
            return self._show(req, resp, visit, subject, form)
        form = subject.form(declared, back=back)
        posted = Posted(query)
        missing = [f for f in form.fields if f.required and not posted.text(f.name)]
        if missing:
            return self._show(req, resp, visit, subject, form)
        self._answer(req, resp, visit, subject, form, posted)

    def on_post(self, req: Request, resp: Response, operation: str, **where: Any) -> None:
        """Carry the operation out."""
        visit = self.site.enter(req, resp)
        posted = read_form(req, visit)
        subject = self.subject(visit, **where)
        declared = subject.operation(operation)
        # The name to type was asked for when the link said what goes, and only then.
        named = declared.parameters if CONFIRM_FIELD in posted.texts else ()
        values = {p.name: posted.text(p.name) for p in named if posted.text(p.name)}
        # What was there before, so that it means something when it is emptied.
        values |= {p.name: "yes" for p in declared.parameters if posted.text(f"filled.{p.name}")}
        form = subject.form(
            declared,
            values=values,
            back=within_site(posted.text(BACK_FIELD), subject.path),
        )
        if declared.confirm and not posted.text("confirmed"):
            form.fill(posted)
            return self._show(req, resp, visit, subject, form)
        self._answer(req, resp, visit, subject, form, posted)

    def _answer(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        subject: Subject,
        form: Form,
        posted: Posted,
    ) -> None:
        declared = form.operation
        try:
            arguments = {**form.arguments(posted), **subject.preset}
            if declared.upload is not None and posted.upload is not None:
                arguments[declared.upload.name] = posted.upload
            result = subject.ways[declared.name].send(declared, arguments)
        except JobStarted as started:
            return visit.go(job_page(started.watch, form.back))
        except ConPaaSError as error:
            if error.status in (401, 500):
                raise
            form.blame(error)
            form.fill(posted)
            return self._show(req, resp, visit, subject, form, error.status)
        if isinstance(result, Download):
            return send_result(resp, result)
        if not declared.reads and (declared.done or result is None):
            told, note = results.sentence(declared, arguments, result), results.note(result)
            visit.tell_next(f"{told} {note}" if note else told, "warning" if note else "done")
            gone = declared.name in ("delete", "remove")
            return visit.go("/" if gone else form.back)
        self._show(req, resp, visit, subject, form, result=results.shown(declared, result))

    def _show(
        self,
        req: Request,
        resp: Response,
        visit: Visit,
        subject: Subject,
        form: Form,
        status: int = 200,
        result: results.Shown | None = None,
    ) -> None:
        told = self.site.ask(visit)
        self.site.show(
            req, resp, visit, "operation.html",
            title=form.title, overview=told["overview"], crumbs=subject.crumbs, status=status,
            form=form, subject=subject, result=result,
        )  # fmt: skip


class ObjectOperations(OperationPage):
    """``/objects/{name}/operations/{operation}``: of an object of the API."""

    def subject(self, visit: Visit, **where: Any) -> Subject:
        """Return the object."""
        name = where["name"]
        found = visit.api.operations(name)
        channel = visit.api.channel(f"/api/v1/{name}", CHANGE_TIMEOUT)
        return Subject(
            name=name,
            path=f"/objects/{name}",
            crumbs=(("Dashboard", "/"), (in_words(name), f"/objects/{name}")),
            operations=found,
            ways=dict.fromkeys(found, channel),
            choices=choices(visit),
        )


class ApplicationOperations(OperationPage):
    """``/applications/{aid}/operations/{operation}``."""

    def subject(self, visit: Visit, **where: Any) -> Subject:
        """Return the application."""
        return application_subject(visit, where["aid"])


class ServiceOperations(OperationPage):
    """``/applications/{aid}/services/{sid}/operations/{operation}``."""

    def subject(self, visit: Visit, **where: Any) -> Subject:
        """Return the service."""
        aid, sid = where["aid"], where["sid"]
        info = visit.api.services.get_state(application=aid, service=sid)
        application = visit.api.applications.get_info(application=aid)
        return service_subject(self.site, visit, info, application)


def application_subject(visit: Visit, aid: int, info: Any = None) -> Subject:
    """Return an application as what operations are done to."""
    info = info or visit.api.applications.get_info(application=aid)
    found = {
        name: operation
        for name, operation in visit.api.operations("application").items()
        if any(p.name == "application" for p in operation.parameters)
    }
    return Subject(
        name=info.name,
        path=f"/applications/{aid}",
        crumbs=(("Dashboard", "/"), (info.name, f"/applications/{aid}")),
        operations=found,
        ways=dict.fromkeys(found, visit.api.channel("/api/v1/application", CHANGE_TIMEOUT)),
        preset={"application": aid},
        choices=choices(visit),
    )


def service_subject(site: Site, visit: Visit, info: Any, application: Any) -> Subject:
    """Return a service as what operations are done to: its manager's and the director's."""
    aid, sid = info.aid, info.sid
    path = f"/applications/{aid}/services/{sid}"
    of_director = {
        name: operation
        for name, operation in visit.api.operations("service").items()
        if any(p.name == "service" for p in operation.parameters)
    }
    told = service_type(site.plugins, info.type)
    remove = of_director["remove"]
    of_director["remove"] = replace(remove, confirm=told.losing(remove.confirm))
    of_manager = service_operations(site.plugins, info.type)
    director: Way = visit.api.channel("/api/v1/service", CHANGE_TIMEOUT)
    manager: Way = _Bare(visit.api.service_channel(aid, sid, CHANGE_TIMEOUT))
    return Subject(
        name=info.name,
        path=path,
        crumbs=(
            ("Dashboard", "/"),
            (application.name, f"/applications/{aid}"),
            (info.name, path),
        ),
        operations={**of_manager, **of_director},
        ways={**dict.fromkeys(of_manager, manager), **dict.fromkeys(of_director, director)},
        preset={"application": aid, "service": sid},
        choices=choices(visit),
        roles=told.roles,
        saves=[one for one in of_manager.values() if _saves(one, info.status)],
    )


def _saves(operation: Operation, state: str) -> bool:
    """Whether it brings, in this state, all of something: nothing need be said of which."""
    complete = operation.is_download and not any(p.required for p in operation.parameters)
    return complete and (not operation.states or state in operation.states)


class _Bare:
    """A channel to one service: its address says which, so the arguments must not."""

    def __init__(self, channel: HttpChannel) -> None:
        self._channel = channel

    def send(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        """Deliver a call without the arguments that the operation does not have."""
        named = {p.name for p in operation.parameters}
        return self._channel.send(operation, {k: v for k, v in arguments.items() if k in named})


def _given(operation: Operation, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what an address says of an operation's arguments; of counts, role by role."""
    given: dict[str, Any] = {}
    for parameter in operation.parameters:
        name = parameter.name
        counts = {k[len(name) + 1 :]: v for k, v in query.items() if k.startswith(f"{name}.")}
        if counts:
            given[name] = counts
        elif name in query:
            given[name] = query[name]
    return given


def choices(visit: Visit) -> dict[str, Sequence[Choice]]:
    """Return what can be chosen for arguments of these names, wherever they stand."""
    try:
        clouds = visit.api.clouds.list()
    except ConPaaSError:
        return {}
    return {"cloud": [Choice(c.name, f"{c.name} ({c.driver})") for c in clouds]}


def job_page(watch: str, back: str) -> str:
    """Return the address of a job's page, from where the director says that its reports are.

    Raises:
        InvalidError: That is no place of jobs.
    """
    path = watch.removeprefix("/api/v1")
    if not path.startswith(("/jobs/", "/applications/")):
        raise InvalidError(f"{watch!r} is no place of jobs")
    return path if back == "/" else f"{path}?back={quote(back, safe='/')}"
