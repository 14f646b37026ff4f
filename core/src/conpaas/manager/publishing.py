"""What services of an application tell each other, and how their nodes keep up with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from conpaas import variables
from conpaas.agent.base import ServiceAgent
from conpaas.manager.handlers import Handled, handled
from conpaas.manager.tools import ManagerTools
from conpaas.rpc import Job, Progress, expose
from conpaas.state import State

A = TypeVar("A", bound=ServiceAgent)


class PublishingManager(ManagerTools[A]):
    """Publishes values for the other services, and brings the nodes up to date with theirs."""

    def publish(self, values: Mapping[str, str]) -> None:
        """Tell the application's other services these values, in the place of those before.

        They are named like environment variables (``MYSQL_HOST``).  They outlast a stop of the
        service, if it does not take them back, and go when it is removed.  They are no secrets
        to whoever may use the application.

        Raises:
            InvalidError: A name or a value cannot be one of an environment variable, or they are
                too many; what was published before stays.
        """
        variables.check_all(values)
        self.place.publish(dict(values))

    def published(self) -> dict[str, str]:
        """Return what the other services publish; of two that say the same, the later one wins."""
        of_all = self.place.published()
        return {name: value for number in sorted(of_all) for name, value in of_all[number].items()}

    def is_outdated(self) -> bool:
        """Whether something that the nodes were told is not true any more.

        Asked now and then while the service is RUNNING, and when another service has published
        something.  It compares what is noted: it is quick and asks no node.
        """
        return False

    def on_outdated(self) -> Handled:
        """Tell the nodes what is true now: :meth:`is_outdated` has returned True."""
        return None

    @expose(
        states=(State.RUNNING,),
        meanwhile=State.ADAPTING,
        then=State.RUNNING,
        otherwise=State.RUNNING,
        resumes=True,
        hidden=True,
    )
    def bring_up_to_date(self) -> Job[None]:
        """Tell the nodes what has changed elsewhere."""
        yield Progress(0, "telling the nodes what has changed")
        yield from handled(self.on_outdated(), 0, 98)
