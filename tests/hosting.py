"""The PHP service on nodes that only note what they are told, for tests of its pages."""

import dataclasses

from conpaas import hookimpl
from conpaas.plugins import Plugins
from conpaas_php import plugin
from conpaas_php.manager import PhpManager
from conpaas_web.rehearsal import RehearsalAgent, RehearsedSessions, Stage


class RehearsedPhp(PhpManager):
    """Directs PHP nodes, and keeps no sessions."""

    def __init__(self, place):
        super().__init__(place)
        self.sessions = RehearsedSessions(place)


class _Php:
    #: Its templates and pictures are found beside it.
    __file__ = plugin.__file__
    conpaas_panels = staticmethod(plugin.conpaas_panels)

    @hookimpl
    def conpaas_service(self):
        """Return the PHP service type, with nodes that need nothing."""
        agent = type("Rehearsing", (RehearsalAgent,), {"stage": Stage()})
        return dataclasses.replace(plugin.conpaas_service(), manager=RehearsedPhp, agent=agent)


def hosting_plugins():
    """Return what is installed, the PHP service on nodes that need nothing."""
    others = {k: v for k, v in Plugins.installed().modules.items() if k != "php"}
    return Plugins(**others, php=_Php())
