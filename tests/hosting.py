"""PHP and MySQL services on nodes that only note what they are told, for tests of their pages."""

import dataclasses

from conpaas import hookimpl
from conpaas.plugins import Plugins
from conpaas_mysql import plugin as mysql
from conpaas_mysql import rehearsal as clusters
from conpaas_php import plugin as php
from conpaas_php.manager import PhpManager
from conpaas_web.rehearsal import RehearsalAgent, RehearsedSessions, Stage


class RehearsedPhp(PhpManager):
    """Directs PHP nodes, and keeps no sessions."""

    def __init__(self, place):
        super().__init__(place)
        self.sessions = RehearsedSessions(place)


class _Php:
    #: Its templates and pictures are found beside it.
    __file__ = php.__file__
    conpaas_panels = staticmethod(php.conpaas_panels)

    @hookimpl
    def conpaas_service(self):
        """Return the PHP service type, with nodes that need nothing."""
        agent = type("Rehearsing", (RehearsalAgent,), {"stage": Stage()})
        return dataclasses.replace(php.conpaas_service(), manager=RehearsedPhp, agent=agent)


class _Mysql:
    __file__ = mysql.__file__
    conpaas_panels = staticmethod(mysql.conpaas_panels)

    def __init__(self, stage):
        self._agent = type("Acting", (clusters.RehearsalAgent,), {"stage": stage})

    @hookimpl
    def conpaas_service(self):
        """Return the MySQL service type, with nodes that need nothing."""
        return dataclasses.replace(
            mysql.conpaas_service(), manager=clusters.RehearsalManager, agent=self._agent
        )


def hosting_plugins(stage=None):
    """Return what is installed, PHP and MySQL on nodes that need nothing.

    Args:
        stage: Of the databases.
    """
    rehearsed = {"php": _Php(), "mysql": _Mysql(stage or clusters.Stage())}
    return Plugins(**{**Plugins.installed().modules, **rehearsed})
