"""Services: defined here, managed by the application's manager."""

from __future__ import annotations

from typing import Any

from conpaas import api
from conpaas.api import ServiceInfo, ServiceType
from conpaas.director.jobs import Scope
from conpaas.director.models import Application, Service, database
from conpaas.director.objects import ApiObject
from conpaas.director.volumes import volumes_of
from conpaas.rpc import Job, JobState, Operation, Progress, patiently, scaled
from conpaas.state import State


class ServicesObject(ApiObject, api.Services):
    """``service``."""

    def get_types(self) -> tuple[ServiceType, ...]:
        """List the service types that are installed."""
        services = self.director.plugins.services.values()
        return tuple(ServiceType(s.name, s.title, s.summary) for s in services)

    def add(
        self, service_type: str, application: str | int, name: str | None = None
    ) -> ServiceInfo:
        """Add a service to a running application."""
        self.director.plugins.service(service_type)
        row = self.find_application(application)
        machine = self.director.require_manager(row)
        with database.atomic():
            Application.update(services_made=Application.services_made + 1).where(
                Application.id == row.id
            ).execute()
            number = Application.get_by_id(row.id).services_made
            service = Service.create(
                application=row,
                number=number,
                type=service_type,
                name=name or f"New {service_type} service",
                state=State.INIT.value,
            )
        # Noted first: should the call get lost, the manager learns of it when it starts again.
        self.director.manager(machine, self.caller.username).add_service(
            number=number, service_type=service_type
        )
        return _info(service)

    def list(
        self, application: str | int | None = None, service_type: str | None = None
    ) -> tuple[ServiceInfo, ...]:
        """List the services of the caller's applications."""
        rows = (
            Service.select(
                Service.application, Service.number, Service.type, Service.name, Service.state
            )
            .join(Application)
            .order_by(Service.application, Service.number)
        )
        if application is not None:
            rows = rows.where(Service.application == self.find_application(application))
        else:
            rows = rows.where(Application.user == self.caller.user)
        if service_type is not None:
            rows = rows.where(Service.type == service_type)
        return tuple(ServiceInfo(*row) for row in rows.tuples())

    def get_state(self, application: str | int, service: str | int) -> ServiceInfo:
        """Show one service and its state."""
        return _info(self.find_service(self.find_application(application), service))

    def rename(self, application: str | int, service: str | int, new_name: str) -> ServiceInfo:
        """Rename a service."""
        row = self.find_service(self.find_application(application), service)
        Service.update(name=new_name).where(Service.id == row.id).execute()
        return _info(Service.get_by_id(row.id))

    def remove(self, application: str | int, service: str | int) -> Job[ServiceInfo]:
        """Stop a service and remove it with all that belongs to it."""
        row = self.find_application(application)
        found = self.find_service(row, service)
        info = _info(found)
        yield Progress(0, f"stopping service {info.sid}")
        machine = self.director.manager_machine(row)
        if machine is not None:
            manager = self.director.manager(machine, self.caller.username)
            removal = patiently(lambda: manager.remove_service(number=info.sid))
            yield from scaled(removal, 0, 90)
        if volumes := volumes_of(row.id, info.sid):
            yield Progress(90, f"destroying {', '.join(v.name for v in volumes)} and all data")
            self.director.volumes.destroy(volumes)
        return info

    def scope(self, operation: Operation, arguments: dict[str, Any]) -> Scope:
        """Return the service that a job changes."""
        row = self.find_application(arguments["application"])
        service = self.find_service(row, arguments["service"])
        return Scope(_target(service), row.id)

    def end(
        self,
        operation: Operation,
        scope: Scope,
        before: str | None,
        state: JobState,
        reason: str,
    ) -> None:
        """Forget a service that has been removed."""
        if operation.name == "remove" and state is JobState.DONE:
            # With the job's own end: a worker that takes it up must find what it is to remove.
            for row in Service.select().where(Service.application == scope.application):
                if _target(row) == scope.target:
                    row.delete_instance()


def _target(row: Service) -> str:
    return f"service {row.number} of application {row.application_id}"


def _info(row: Service) -> ServiceInfo:
    return ServiceInfo(row.application_id, row.number, row.type, row.name, row.state)
