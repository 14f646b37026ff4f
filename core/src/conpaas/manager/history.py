"""What a service has to tell of its past: its states, its log, and the logs of its nodes."""

from __future__ import annotations

from typing import Annotated, TypeVar

from conpaas.agent.base import LogEntry, ServiceAgent
from conpaas.api import Change
from conpaas.logs import After, Lines, follow, tail
from conpaas.manager.tools import ManagerTools
from conpaas.rpc import Piece, expose
from conpaas.schema import Option

A = TypeVar("A", bound=ServiceAgent)

AgentId = Annotated[str, "Id of a node, as list_nodes shows it", Option(metavar="agent_id")]
LogName = Annotated[str, "Which log", Option(short="-f")]


class HistoryManager(ManagerTools[A]):
    """Shows users what happened to a service."""

    @expose(reads=True)
    def get_history(self) -> list[Change]:
        """Show every change of the service's state, with its reason, oldest first."""
        return self.place.history()

    @expose(reads=True, follow="read_log")
    def get_log(self, lines: Lines = 1000) -> str:
        """Show the end of the service's log on the manager."""
        return tail(self.place.log_path, lines)

    @expose(reads=True, hidden=True)
    def read_log(self, lines: Lines = 1000, after: After = None) -> Piece:
        """Return what the service's log has grown by."""
        return follow(self.place.log_path, lines, after)

    @expose(reads=True)
    def list_agent_logs(self, agent_id: AgentId) -> list[LogEntry]:
        """List the logs that a node offers."""
        return self.agent(self.node(agent_id)).list_logs()

    @expose(reads=True, follow="read_agent_log")
    def get_agent_log(
        self, agent_id: AgentId, filename: LogName = "agent.log", lines: Lines = 1000
    ) -> str:
        """Show the end of a node's log."""
        return self.agent(self.node(agent_id)).get_log(filename=filename, lines=lines)

    @expose(reads=True, hidden=True)
    def read_agent_log(
        self,
        agent_id: AgentId,
        filename: LogName = "agent.log",
        lines: Lines = 1000,
        after: After = None,
    ) -> Piece:
        """Return what a node's log has grown by."""
        agent = self.agent(self.node(agent_id))
        return agent.read_log(filename=filename, lines=lines, after=after)
