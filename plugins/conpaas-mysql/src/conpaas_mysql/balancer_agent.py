"""The part of an agent that balances connections."""

from __future__ import annotations

from typing import Annotated

from conpaas.agent.base import ServiceAgent
from conpaas.rpc import Job, expose
from conpaas_mysql.parts import BalancerPart


class BalancerAgent(ServiceAgent):
    """Runs haproxy; every operation may be repeated."""

    @expose()
    def run_balancer(self, part: Annotated[BalancerPart, "What it does"]) -> bool:
        """Balance connections, cutting none that stays possible; return whether it is news."""
        raise NotImplementedError

    @expose(resumes=True)
    def drain_server(
        self, name: Annotated[str, "Name of a database"], seconds: Annotated[int, "At most"] = 60
    ) -> Job[int]:
        """Send no new connections to a database, and wait until those it has have ended.

        Returns:
            How many were still there at the end, and were cut.
        """
        raise NotImplementedError

    @expose()
    def leave_balancer(self) -> None:
        """Stop balancing; one that does not is fine."""
        raise NotImplementedError
