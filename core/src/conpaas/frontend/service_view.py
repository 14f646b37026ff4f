"""A service, as its page and the panels of plugins see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conpaas.api import ApplicationInfo, ServiceInfo, UserInfo
from conpaas.frontend.calls import Api
from conpaas.frontend.forms import Form
from conpaas.frontend.pages.operations import Subject
from conpaas.service_type import ServiceType
from conpaas.state import State


@dataclass(frozen=True)
class ServiceView:
    """What ``conpaas_panels`` is given.

    Args:
        application: The application's information.
        info: The service's: ``info.aid``, ``info.sid``, ``info.type``, ``info.name``.
        type: What is told of its type: title, roles.
        state: Where the service is; None when its manager cannot be reached.
        nodes: Its nodes, as ``list_nodes`` tells.
        manager: The stub of its manager, typed as the type's manager class.
        api: The other stubs: ``api.users.list_keys()``, ``api.object("credit")``.
        user: Who looks at it.
        subject: Where its forms come from.
    """

    application: ApplicationInfo
    info: ServiceInfo
    type: ServiceType
    state: State | None
    nodes: Sequence[Any]
    manager: Any
    api: Api
    user: UserInfo | None
    subject: Subject

    @property
    def path(self) -> str:
        """The address of its page."""
        return self.subject.path

    @property
    def is_reachable(self) -> bool:
        """Whether its manager answers, so that it can be asked."""
        return self.state is not None

    def has(self, operation: str) -> bool:
        """Whether it has an operation of that name, for people."""
        return operation in self.subject.operations

    def allows(self, operation: str) -> bool:
        """Whether its present state allows an operation."""
        declared = self.subject.operation(operation)
        return not declared.states or self.state in declared.states

    def form(self, operation: str, **how: Any) -> Form:
        """Return the form of an operation, which a template shows by the macro ``form``.

        Args:
            operation: Its name.
            how: ``values`` that fields begin with, ``choices`` of arguments, ``title``,
                ``submit``, ``back`` (where to go on; default: the service's page).
        """
        return self.subject.form(self.subject.operation(operation), **how)

    def link(self, operation: str) -> str:
        """Return the address of an operation's page; add ``?argument=value`` to fill it in."""
        return f"{self.path}/operations/{self.subject.operation(operation).name}"
