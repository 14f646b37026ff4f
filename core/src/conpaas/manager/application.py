"""The manager of one application: its services, and what the director asks of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Annotated, Any

from conpaas.api import ManagerDesk
from conpaas.errors import AgentError, BusyError, ConPaaSError, NotFoundError, UnsavedError
from conpaas.features.monitoring.kept import ServiceSamples
from conpaas.features.monitoring.sampler import Sampler
from conpaas.features.monitoring.samples import Samples
from conpaas.jobs import JobRunner
from conpaas.logs import After, Lines, follow, tail
from conpaas.machine.places import Places
from conpaas.manager.blobs import DirectorBlobs
from conpaas.manager.book import Book
from conpaas.manager.config import ManagerConfig
from conpaas.manager.handover import Handover
from conpaas.manager.host import ServiceHost
from conpaas.manager.machines import MACHINES
from conpaas.manager.news import News
from conpaas.manager.nodes import Node
from conpaas.manager.ways import Ways
from conpaas.plugins import Plugins
from conpaas.reception import Room
from conpaas.records import Records, Store
from conpaas.rpc import (
    Job,
    JobState,
    Operation,
    Piece,
    Progress,
    expose,
    find_operation,
    operations,
    scaled,
    share_of,
    stub,
)
from conpaas.state import STARTABLE, State
from conpaas.supervisor.base import BaseSupervisor

logger = logging.getLogger(__name__)

Number = Annotated[int, "Number of the service"]


class ApplicationManager:
    """Manages one application.

    Args:
        config: Of this manager.
        plugins: The service types, and who is told what happens.
        records: What the manager must not forget (tables: :data:`conpaas.manager.book.STEPS`).
        ways: To agents and director.
        directory: Where files and the services' logs go.
        log_file: Where this process's own log is.
        supervisor: Of the manager's machine.
        machine: The machine, when the manager has one of its own.
        clock: By which figures are kept; seconds since 1970.
    """

    name = "application"

    def __init__(
        self,
        config: ManagerConfig,
        plugins: Plugins,
        records: Records,
        ways: Ways,
        directory: Path,
        log_file: Path,
        supervisor: BaseSupervisor,
        machine: Places | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.limits = config.limits
        self.application = config.manager.application
        self.address = config.manager.address
        self.directory = directory
        self.machine = machine
        self.supervisor = supervisor
        self.plugins = plugins
        self.ways = ways
        self.book = Book(records)
        desk = stub(ManagerDesk, ways.desk(), patient=True)  # type: ignore[type-abstract]
        self.desk: ManagerDesk = desk
        self.handover = Handover(self.book, self.desk)
        self.news = News(self.handover.soon)
        self.runner = JobRunner(records, changed=self._job_ended)
        self.blobs = DirectorBlobs(directory / "blobs", self.desk, Store(records, "blobs"))
        self.samples = Samples(directory / "samples.db")
        self.sampler = Sampler(
            lambda: list(self.services.values()),
            ways,
            self.samples,
            config.monitoring.every,
            clock,
        )
        self._logs = directory / "logs"
        self._log_file = log_file
        self.services: dict[int, ServiceHost] = {}
        self._left_out: dict[int, NotFoundError] = {}
        for number, service_type in self.book.services().items():
            self._load(number, service_type)

    def start(self) -> None:
        """Take up where the manager left off, or begin anew."""
        own = Store(self.book.records, "manager")
        if own.get("machine") != self.config.manager.machine:
            # The state, if there is one, comes from an earlier machine.
            if not self.config.manager.takes_over:
                self._begin_anew()
            own["machine"] = self.config.manager.machine
        self._match_services()
        self.keep_machines()
        self.plugins.tell("conpaas_manager_started", manager=self)
        for host in self.services.values():
            host.manager.on_manager_started()
        self.runner.recover(self.target)
        self.handover.start()
        self.handover.soon()
        self.news.wake()

    def close(self) -> None:
        """Close what is open; what runs meanwhile fails, as when the process is killed."""
        self.handover.stop()
        self.sampler.stop()
        for host in self.services.values():
            host.close()
        self.samples.close()

    @property
    def managers(self) -> list[Any]:
        """The application's service managers, by number."""
        return [host.manager for _, host in sorted(self.services.items())]

    def shared(self, name: str) -> MutableMapping[str, Any]:
        """Return a persisted dictionary that all services of the application share."""
        return self.book.shared(name)

    def hand_over(self) -> None:
        """Hand the state to the director, and return when the director has it."""
        self.handover.now()

    def target(self, name: str) -> Any:
        """Return what jobs of that target's name work on, None when it is gone."""
        if name == self.name:
            return self
        return next((host for host in self.services.values() if host.name == name), None)

    def host(self, number: int) -> ServiceHost:
        """Return a service.

        Raises:
            NotFoundError: The application has none of that number, or its plugin is broken.
        """
        if number in self._left_out:
            raise self._left_out[number]
        try:
            return self.services[number]
        except KeyError:
            raise NotFoundError(f"the application has no service {number}") from None

    # -- what the director asks ---------------------------------------------------------------

    @expose(hidden=True)
    def add_service(self, number: Number, service_type: str) -> None:
        """Take in a service; one that is there already is fine."""
        self.plugins.service(service_type)
        self.book.add_service(number, service_type)
        if number not in self.services:
            self._load(number, service_type)
        self.handover.try_now()

    @expose(hidden=True, resumes=True)
    def remove_service(self, number: Number) -> Job[None]:
        """Stop a service and forget it with all that belongs to it; none is fine."""
        if number in self._left_out:
            raise self._left_out[number]
        yield Progress(0, f"stopping service {number}")
        if number in self.services:
            yield from scaled(self._stop_service(self.services[number], unsaved=True), 0, 90)
            self._forget(number)
        self.handover.try_now()

    @expose(reads=True, hidden=True)
    def check_save(self) -> None:
        """Raise UnsavedError when stopping the services would lose what cannot be saved."""
        for host in list(self.services.values()):
            if host.state() not in STARTABLE:
                host.manager.check_save()

    @expose(hidden=True, resumes=True, preempts=True)
    def stop_services(
        self, unsaved: Annotated[bool, "Give up what cannot be saved"] = False
    ) -> Job[None]:
        """Stop all services, whatever they are doing, and hand the state over.

        Raises:
            UnsavedError: Some go on, for something would be lost with their machines.
            AgentError: Some could not be stopped.
        """
        yield Progress(0, "stopping the services")
        hosts = list(self.services.values())
        failed = []
        unsaved_ones = []
        for place, host in enumerate(hosts):
            low, high = share_of(place, len(hosts), 95)
            try:
                yield from scaled(self._stop_service(host, unsaved=unsaved), low, high)
            except UnsavedError as error:
                unsaved_ones.append(str(error))
            except ConPaaSError as error:
                failed.append(f"{host.name}: {error}")  # and the others stop all the same
        yield Progress(95, "handing the state over")
        self.handover.now()
        if unsaved_ones:
            raise UnsavedError("; ".join([*unsaved_ones, *failed]))
        if failed:
            raise AgentError("; ".join(failed))

    @expose(reads=True, hidden=True)
    def get_log(self, lines: Lines = 1000) -> str:
        """Return the end of the manager's log."""
        return tail(self._log_file, lines)

    @expose(reads=True, hidden=True)
    def read_log(self, lines: Lines = 1000, after: After = None) -> Piece:
        """Return what the manager's log has grown by."""
        return follow(self._log_file, lines, after)

    def _forget(self, number: int) -> None:
        host = self.services[number]
        host.clear()
        del self.services[number]
        host.close()
        host.samples.forget()
        self.blobs.forget(host.name)
        self.book.forget_service(number)
        host.samples.forget()
        self.news.spread()
        host.log_path.unlink(missing_ok=True)

    def _stop_service(self, host: ServiceHost, *, unsaved: bool) -> Job[None]:
        stop = operations(type(host.manager))["stop"]
        while host.state() not in STARTABLE or self.runner.busy(host.name):
            try:
                number = self.runner.submit(host, stop, {"unsaved": unsaved}, "application")
            except BusyError as busy:
                # Its user has it stopped already, or it resumes that after a crash.
                yield Progress(0, str(busy))
                time.sleep(0.1)
            else:
                yield from self._watch(number)

    def _watch(self, number: int) -> Job[None]:
        # A job of this very process: its record is where it tells how it gets on.
        while not (report := self.runner.report(number)).state.ended:
            yield Progress(report.percent, f"{report.target}: {report.message}")
            time.sleep(0.05)
        if report.state is not JobState.DONE:
            raise ConPaaSError.from_json(report.error or {"message": report.message})

    # -- what jobs change ---------------------------------------------------------------------

    def _job_ended(self) -> None:
        self.handover.try_now()
        self.news.wake()  # what had to wait for it need not wait any more

    @property
    def room(self) -> Room:
        """Where the files lie that jobs work on."""
        return Room(self.directory, self.config.limits.data)

    def declared(self, operation: str) -> Operation:
        """Return the declaration of an operation of the manager itself."""
        return find_operation(type(self), operation)

    def make(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        """Call the method."""
        return getattr(self, operation.name)(**arguments)

    def permit(self, operation: Operation) -> None:
        """Permit everything: the director keeps the application's state."""

    def begin(self, operation: Operation) -> str | None:
        """Enter no state: the director keeps the application's."""
        return None

    def end(self, operation: Operation, before: str | None, state: JobState, reason: str) -> None:
        """Leave no state: the director keeps the application's."""

    # -- beginning ----------------------------------------------------------------------------

    def _load(self, number: int, service_type: str) -> None:
        try:
            service = self.plugins.service(service_type)
        except NotFoundError as error:
            # One broken plugin must not take the other services with it.
            logger.error("service %d is left out: %s", number, error)
            self._left_out[number] = error
            return
        self.services[number] = ServiceHost(
            number,
            service,
            self.config,
            self.book,
            self.desk,
            self.ways,
            self.blobs,
            self.runner,
            self.plugins,
            self._logs,
            self.directory / "services",
            self.supervisor,
            self.handover.soon,
            self.news.spread,
            ServiceSamples(self.samples, number, self.config.monitoring.every, self.sampler.clock),
        )

    def _begin_anew(self) -> None:
        """Forget what belonged to machines: the application was stopped and all of them went."""
        with self.book.records.transaction():
            self.book.records.execute(
                "UPDATE job SET state = ? WHERE state = 'running'", JobState.INTERRUPTED.value
            )
            for number in self.book.services():
                self.book.note_roles(number)
            self.book.forget_nodes(self.book.nodes())
            for number, state in self.book.states().items():
                if state not in STARTABLE:
                    self.book.set_state(number, State.STOPPED, "the application was stopped")

    def _match_services(self) -> None:
        """Have the services that the director has: it is asked while managers are away."""
        wanted = {service.sid: service.type for service in self.desk.list_services()}
        for number in sorted(self.services.keys() - wanted.keys()):
            self._forget(number)
        for number in sorted(wanted.keys() - self.services.keys() - self._left_out.keys()):
            self.book.add_service(number, wanted[number])
            self._load(number, wanted[number])

    def keep_machines(self) -> None:
        """Have machines destroyed that neither a node nor a job knows of any more."""
        with self.book.records.transaction():
            machines = tuple(node.machine for node in self.book.nodes())
            keys = tuple(self.runner.remembered(MACHINES))
        self.desk.keep_machines(machines=machines, keys=keys)

    # -- watching -----------------------------------------------------------------------------

    def lose(self, node: Node, why: str) -> None:
        """Note that a node does not answer any more."""
        host = self.services.get(self.book.lose(node) or 0)
        if host is not None:
            host.log.warning("node %s (%s) is lost: %s", node.id, node.address, why)
            self.handover.soon()
