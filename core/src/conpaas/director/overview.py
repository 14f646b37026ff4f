"""The first page of the frontend: all of a user's applications, in few questions."""

from __future__ import annotations

import peewee

from conpaas.api import ApplicationOverview, ServiceInfo
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine, Service
from conpaas.director.prepared import Prepared

#: Each application with the number of its machines and the address of its manager.
_APPLICATIONS = Prepared(
    lambda user: (
        Application.select(
            Application.id,
            Application.name,
            Application.state,
            Application.cloud,
            peewee.fn.COUNT(Machine.id),
            peewee.fn.MAX(
                peewee.Case(
                    None,
                    [
                        (
                            (Machine.service == 0) & (Machine.state == Life.RUNNING.value),
                            Machine.address,
                        )
                    ],
                )
            ),
        )
        .join(
            Machine,
            peewee.JOIN.LEFT_OUTER,
            on=((Machine.application == Application.id) & Machine.state.in_(Life.living())),
        )
        .where(Application.user == user)
        .group_by(Application.id, Application.name, Application.state, Application.cloud)
        .order_by(Application.id)
    )
)
_SERVICES = Prepared(
    lambda user: (
        Service.select(
            Service.application, Service.number, Service.type, Service.name, Service.state
        )
        .join(Application)
        .where(Application.user == user)
        .order_by(Service.application, Service.number)
    )
)


def applications(user: int) -> tuple[ApplicationOverview, ...]:
    """Return a user's applications with their services."""
    services: dict[int, list[ServiceInfo]] = {}
    for row in _SERVICES.rows(user):
        services.setdefault(row[0], []).append(ServiceInfo(*row))
    return tuple(
        ApplicationOverview(
            aid, name, state, manager, cloud, machines, tuple(services.get(aid, ()))
        )
        for aid, name, state, cloud, machines, manager in _APPLICATIONS.rows(user)
    )
