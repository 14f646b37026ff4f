"""The objects of the API by name, and those that need few words."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from conpaas import api
from conpaas.api import AuditInfo, CloudInfo, MachineInfo, PluginInfo
from conpaas.director.accounts import UsersObject
from conpaas.director.applications import ApplicationsObject
from conpaas.director.desk import DeskObject
from conpaas.director.machines import Life, machine_info
from conpaas.director.models import Application, Machine
from conpaas.director.objects import ApiObject
from conpaas.director.services import ServicesObject
from conpaas.director.times import from_words
from conpaas.plugins import Plugins, combined
from conpaas.rpc import JobReport
from conpaas.schema import from_json


class CloudsObject(ApiObject, api.Clouds):
    """``cloud``."""

    def list(self) -> tuple[CloudInfo, ...]:
        """List the clouds that are configured."""
        default = self.director.config.director.default_cloud
        return tuple(
            CloudInfo(
                name,
                cloud.kind,
                name == default,
                ", ".join(f"{s.name} ({s.memory} MB, {s.cpus} CPU)" for s in cloud.sizes()),
            )
            for name, cloud in sorted(self.director.clouds.items())
        )


class MachinesObject(ApiObject, api.Machines):
    """``machine``."""

    def list(self, application: str | int | None = None) -> tuple[MachineInfo, ...]:
        """List the machines of the caller's applications."""
        rows = Machine.select().where(Machine.state != Life.GONE.value).order_by(Machine.id)
        if application is not None:
            rows = rows.where(Machine.application == self.find_application(application))
        elif not self.caller.admin:
            rows = rows.join(Application).where(Application.user == self.caller.user)
        return tuple(machine_info(row) for row in rows)


class PluginsObject(ApiObject, api.PluginsInfo):
    """``plugin``."""

    def list(self) -> tuple[PluginInfo, ...]:
        """List the installed plugins."""
        return tuple(
            PluginInfo(
                name,
                distribution or "conpaas-core",
                _version(distribution or "conpaas-core"),
                "ok" if reason == "ok" else "broken",
                "" if reason == "ok" else reason,
            )
            for name, distribution, reason in self.director.plugins.listing()
        )


class JobsObject(ApiObject, api.Jobs):
    """``job``."""

    def list(self, application: str | int | None = None) -> tuple[JobReport, ...]:
        """List the latest jobs."""
        if application is None:
            return self.director.jobs.latest(self.caller)
        machine = self.director.require_manager(self.find_application(application))
        answer = self.director.ways.get(machine, "/api/v1/jobs")
        return tuple(from_json(answer, list[JobReport], "jobs"))

    def get(self, job: int, application: str | int | None = None) -> JobReport:
        """Show one job."""
        if application is None:
            return self.director.jobs.report(job, self.caller)
        machine = self.director.require_manager(self.find_application(application))
        answer = self.director.ways.get(machine, f"/api/v1/jobs/{job}")
        report: JobReport = from_json(answer, JobReport, "job")
        return report


class AuditObject(ApiObject, api.Audit):
    """``audit``."""

    def list(
        self,
        user: str | None = None,
        action: str | None = None,
        target: str | None = None,
        outcome: str | None = None,
        since: str | None = None,
        before: int | None = None,
        count: int = 100,
    ) -> tuple[AuditInfo, ...]:
        """List changing calls, newest first."""
        return self.director.audit.rows(
            None if self.caller.admin else self.caller.user,
            user=user,
            action=action,
            target=target,
            outcome=outcome,
            since=None if since is None else from_words(since, "since"),
            before=before,
            count=count,
        )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def objects(plugins: Plugins) -> dict[str, type[Any]]:
    """Return the objects that a director serves by name, those that plugins add included."""
    added = [cls for classes in plugins.hook.conpaas_director_objects() for cls in classes]
    return combined([*OBJECTS, *added])


#: The objects of core.
OBJECTS: tuple[type[Any], ...] = (
    ApplicationsObject,
    ServicesObject,
    UsersObject,
    CloudsObject,
    MachinesObject,
    PluginsObject,
    JobsObject,
    AuditObject,
    DeskObject,
)
