"""Compares what is with what should be, and mends the difference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from conpaas.clouds.base import Cloud, CloudMachine, MachineState
from conpaas.director.director import Director
from conpaas.director.leaving import is_shut_out
from conpaas.director.machines import Life
from conpaas.director.models import Application, Machine, User
from conpaas.director.users import Caller
from conpaas.director.volumes import VolumeState
from conpaas.director.volumes_model import Volume
from conpaas.errors import ConPaaSError
from conpaas.state import State

logger = logging.getLogger(__name__)


class Sweep:
    """Goes through all clouds and managers, now and then.

    Args:
        director: Whose.
    """

    def __init__(self, director: Director) -> None:
        self._director = director

    def round(self) -> None:
        """Do everything once; what fails is logged, and tried at the next round."""
        for cloud in self._director.clouds.values():
            try:
                machines = cloud.list_machines()
                self._remove_unknown(cloud, machines)
                self._boot_stopped(cloud, machines)
                self._remove_unknown_volumes(cloud)
            except ConPaaSError as error:
                logger.warning("the cloud %s cannot be swept: %s", cloud.name, error)
        self._finish_doomed()
        self._look_at_managers()

    def _remove_unknown(self, cloud: Cloud, machines: list[CloudMachine]) -> None:
        """Destroy tagged machines that no record wants."""
        wanted = {
            row.name
            for row in Machine.select(Machine.name).where(Machine.state != Life.GONE.value)
        }
        now = self._director.clock()
        for machine in machines:
            old = now - machine.created > self._director.config.machines.sweep_age
            if machine.name not in wanted and old:
                logger.warning("%s on %s is nobody's: destroying it", machine.name, cloud.name)
                _try(partial(cloud.destroy_machine, machine.id))

    def _remove_unknown_volumes(self, cloud: Cloud) -> None:
        """Destroy tagged volumes that no record wants, with what nobody can reach any more."""
        volumes = cloud.list_volumes()
        # Asked after the cloud: what has been made meanwhile is not among its volumes.
        wanted = {
            row.cloud_name
            for row in Volume.select(Volume.cloud_name).where(
                Volume.state != VolumeState.GONE.value
            )
        }
        now = self._director.clock()
        for volume in volumes:
            old = now - volume.created > self._director.config.machines.sweep_age
            if volume.name not in wanted and volume.machine is None and old:
                logger.warning("volume %s on %s is nobody's", volume.name, cloud.name)
                _try(partial(cloud.destroy_volume, volume.id))

    def _boot_stopped(self, cloud: Cloud, machines: list[CloudMachine]) -> None:
        """Boot machines that stopped with their host."""
        running = {
            row.name
            for row in Machine.select(Machine.name).where(Machine.state == Life.RUNNING.value)
        }
        for machine in machines:
            if machine.state is MachineState.STOPPED and machine.name in running:
                logger.warning("%s on %s is stopped: booting it", machine.name, cloud.name)
                _try(partial(cloud.start_machine, machine.id))

    def _finish_doomed(self) -> None:
        """Destroy what a cloud kept when it was told to destroy it."""
        machines = list(Machine.select().where(Machine.state == Life.DOOMED.value))
        if machines:
            _try(partial(self._director.room.destroy, machines))
        volumes = list(Volume.select().where(Volume.state == VolumeState.DOOMED.value))
        if volumes:
            _try(partial(self._director.volumes.destroy, volumes))

    def _look_at_managers(self) -> None:
        """Replace managers whose machine is gone."""
        running = Application.select().where(Application.state == State.RUNNING.value)
        for application in list(running):
            if is_shut_out(application.user_id):
                continue  # it is being stopped
            machine = self._director.manager_machine(application)
            try:
                # None: an earlier try to replace it got as far as giving the old one up.
                if machine is not None and not self._director.room.is_gone(machine):
                    continue
            except ConPaaSError as error:
                logger.warning("nobody knows of the manager of %d: %s", application.id, error)
                continue
            logger.warning("the machine of the manager of application %d is gone", application.id)
            caller = _owner(application)
            operation = self._director.declared("application", "replace_manager")
            try:
                self._director.jobs.submit(
                    "application", operation, {"application": application.id}, caller
                )
            except ConPaaSError as error:
                logger.warning("it is not replaced now: %s", error)


def _try(do: Callable[[], None]) -> None:
    """Do something that must not keep the others from being looked after."""
    try:
        do()
    except ConPaaSError as error:
        logger.warning("it failed, and is tried at the next round: %s", error)


def _owner(application: Application) -> Caller:
    user = User.get_by_id(application.user_id)
    return Caller(user.id, user.username)
