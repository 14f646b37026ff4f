"""The director as the pages call it: the same stubs as the command line's, made for one caller."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

from conpaas import api
from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel, Sender
from conpaas.errors import NotFoundError
from conpaas.front import CLIENT_HEADER
from conpaas.frontend.service_types import manager_class
from conpaas.plugins import Plugins
from conpaas.rpc import JobReport, Operation, operations, stub

READ_TIMEOUT = 20.0  #: seconds for a question
CHANGE_TIMEOUT = 60.0  #: seconds for a call that changes something


class Director:
    """Where the director is, and how calls get there.

    Args:
        sender: Keeps the connections.
        url: Of the director.
        plugins: Say what can be called.
    """

    def __init__(self, sender: Sender, url: str, plugins: Plugins) -> None:
        self.sender = sender
        self.url = url
        self.plugins = plugins
        self.declared: dict[str, type] = {
            cls.object: cls  # type: ignore[attr-defined]  # each of them has it
            for cls in plugins.api
        }

    def with_session(self, token: str, address: str) -> Api:
        """Return the calls of whoever has a session; an empty token is nobody's."""
        return Api(self, {"Authorization": f"Bearer {token}"} if token else {}, address)

    def with_password(self, username: str, password: str, address: str) -> Api:
        """Return the calls of somebody who logs in."""
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        return Api(self, {"Authorization": f"Basic {pair}"}, address)


class Api:
    """What one caller may ask of the director: ``api.applications.list()``.

    Args:
        director: Where calls go.
        headers: Say who is calling.
        address: Of the browser.
    """

    def __init__(self, director: Director, headers: Mapping[str, str], address: str) -> None:
        self._director = director
        self._headers = {**headers, CLIENT_HEADER: address}
        self._stubs: dict[str, Any] = {}

    @property
    def applications(self) -> api.Applications:
        """The stub of ``application``."""
        return cast("api.Applications", self.object("application"))

    @property
    def services(self) -> api.Services:
        """The stub of ``service``."""
        return cast("api.Services", self.object("service"))

    @property
    def users(self) -> api.Users:
        """The stub of ``user``."""
        return cast("api.Users", self.object("user"))

    @property
    def clouds(self) -> api.Clouds:
        """The stub of ``cloud``."""
        return cast("api.Clouds", self.object("cloud"))

    @property
    def machines(self) -> api.Machines:
        """The stub of ``machine``."""
        return cast("api.Machines", self.object("machine"))

    @property
    def plugins(self) -> api.PluginsInfo:
        """The stub of ``plugin``."""
        return cast("api.PluginsInfo", self.object("plugin"))

    @property
    def jobs(self) -> api.Jobs:
        """The stub of ``job``."""
        return cast("api.Jobs", self.object("job"))

    @property
    def audit(self) -> api.Audit:
        """The stub of ``audit``."""
        return cast("api.Audit", self.object("audit"))

    def object(self, name: str) -> Any:
        """Return the stub of an object of the API, those that features add included."""
        if name not in self._stubs:
            self._stubs[name] = stub(self._declaration(name), self.channel(f"/api/v1/{name}"))
        return self._stubs[name]

    def operations(self, name: str) -> dict[str, Operation]:
        """Return the operations of an object of the API that are for people, by name."""
        found = operations(self._declaration(name))
        return {key: operation for key, operation in found.items() if not operation.hidden}

    def manager(self, service_type: str, aid: int, sid: int) -> Any:
        """Return the stub of a service's manager."""
        channel = self.service_channel(aid, sid)
        return stub(manager_class(self._director.plugins, service_type), channel)

    def job_report(self, number: int) -> JobReport:
        """Return a job's present report; whoever deletes himself may still ask for that."""
        return self.channel("/api/v1").report(f"/api/v1/jobs/{number}")

    def service_channel(self, aid: int, sid: int, timeout: float = READ_TIMEOUT) -> HttpChannel:
        """Return the way to a service's manager, through the director."""
        return self.channel(f"/api/v1/applications/{aid}/services/{sid}", timeout)

    def channel(self, path: str, timeout: float = READ_TIMEOUT) -> HttpChannel:
        """Return the way to what stands below a path of the director."""
        return HttpChannel(
            self._director.sender, self._director.url, path, Identity(Role.DIRECTOR),
            timeout=timeout, headers=self._headers,
        )  # fmt: skip

    def _declaration(self, name: str) -> type:
        try:
            return self._director.declared[name]
        except KeyError:
            raise NotFoundError(f"there is no object {name[:60]!r}") from None
