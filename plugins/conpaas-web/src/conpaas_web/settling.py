"""How a web service gets from whatever is there to where it belongs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from conpaas.errors import AgentError, ConPaaSError, UnreachableError
from conpaas.features.environment.manager import EnvironmentManager
from conpaas.manager.base import Node
from conpaas.manager.place import ManagerPlace
from conpaas.rpc import Job, Progress, patiently, scaled
from conpaas_web.agent import PartName, WebAgent
from conpaas_web.gating import refusal
from conpaas_web.goal import BackendTask, Goal, RequestLimits
from conpaas_web.keeping import COPIED, PLACED, KeepingManager
from conpaas_web.parts import FilesPart, ProxyPart, WebPart
from conpaas_web.round import Round
from conpaas_web.sessions import Sessions
from conpaas_web.topology import (
    PROXY,
    RUNNING,
    WEB,
    Topology,
    addresses,
    moves,
    named,
    placed,
)
from conpaas_web.web_settings import WebSettings

A = TypeVar("A", bound=WebAgent)
#: Keys of the store: what the nodes were told, and whether something is left to do.
_TOLD, _UNSETTLED = "told", "unsettled"
#: Seconds by which a proxy is more patient than the backend, so that the backend's word is heard.
_PROXY_PATIENCE = 5


class SettlingManager(KeepingManager[A], EnvironmentManager[A], abc.ABC):
    """Directs proxies, web nodes and backends: one way leads from any state to the right one.

    Must define:
        ``language_settings``: what is set for the language, by name.  ``run_backend(agent,
        task)``: have one node run code.  ``request_limits(goal)``: what a request may take.

    Given to you:
        ``settle(goal)`` (idempotent; every handler calls it), ``goal``, ``topology``.
    """

    def __init__(self, place: ManagerPlace) -> None:
        super().__init__(place)
        self.sessions = Sessions(place)

    # -- must define --------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def language_settings(self) -> Mapping[str, str]:
        """What is set for the language, by the names that the language gives."""

    @abc.abstractmethod
    def run_backend(self, agent: A, task: BackendTask) -> bool:
        """Have a node run code, and return whether that is news to it."""

    @abc.abstractmethod
    def request_limits(self, goal: Goal) -> RequestLimits:
        """Return what a request may take."""

    # -- given --------------------------------------------------------------------------------

    @property
    def goal(self) -> Goal:
        """Where the service belongs, as everything is set."""
        return Goal(
            version=self.active_code,
            web=WebSettings.kept_in(self.store),
            settings=self.language_settings,
            environment=self.environment,
        )

    def is_outdated(self) -> bool:
        """Whether the nodes were told what is not true any more, or not all of it."""
        if super().is_outdated() or self.store.get(_UNSETTLED, False):
            return True
        return self.store.get(_TOLD) != self.sessions.address or not self.sessions.is_running()

    def on_outdated(self) -> Job[None]:
        """Bring all nodes to where they belong now; who fails keeps no other from it."""
        if failures := (yield from self.settle(strict=False)):
            raise AgentError("; ".join(failures))

    def put_environment(self) -> Job[None]:
        """Tell the backends."""
        yield from self.settle()

    def settle(
        self, goal: Goal | None = None, without: Sequence[Node] = (), *, strict: bool = True
    ) -> Job[list[str]]:
        """Bring all nodes to where they belong; repeated, or after a crash, it does what is left.

        Proxies learn of nodes that can serve only, and nodes stop a part only when no proxy knows
        them for it any more.

        Args:
            goal: Where to; default: as everything is set.
            without: Nodes that are there and shall carry nothing.
            strict: The first failure ends it; else the rest is done all the same.

        Returns:
            What failed and was passed over; it is tried again before long.

        Raises:
            AgentError: Something failed: what, and on which node.
        """
        gone = {node.id for node in without}
        now = Topology.of([node for node in self.nodes if node.id not in gone])
        this = Round(goal or self.goal, now, self.store.get(PLACED, {}), strict)
        self.store[_UNSETTLED] = True
        for sentence in moves(this.before, now) if this.before else ():
            self.log.info("%s", sentence)
            yield Progress(0, sentence)
        if not strict:
            deaf = self._deaf(now.nodes)
            this.deaf = frozenset(node.id for node in deaf)
            this.failures += [f"{named([node])} does not answer" for node in deaf]
        yield from self._try(this, self._sessions(), 0, 5)
        yield from self._try(this, self._code(this), 5, 30)
        yield from self._try(this, self.bring_kept(this), 30, 40)
        yield from self._try(this, self._backends(this), 40, 50)
        yield from self._try(this, self._files(this), 50, 55)
        yield from self._try(this, self._web(this), 55, 60)
        if this.goal.version.id != self.active_code.id:
            yield from scaled(self._gate(this), 60, 75)
        passed_over = len(this.failures)
        yield from self._try(this, self._proxies(this), 75, 85)
        if len(this.failures) > passed_over or this.deaf & {node.id for node in now.proxies}:
            # Some proxy may still send requests to where they went before.
            return this.failures
        yield from self._leave(this)
        if this.are_copied or not self.can_bring_kept(this):
            self.store[PLACED] = placed(now)
            self.store[COPIED] = []
        if not this.failures and not without:
            self.store[_TOLD] = self.sessions.address
            self.note_environment(dict(this.goal.environment))
            self.store[_UNSETTLED] = False
        return this.failures

    def settle_anyhow(self, without: Sequence[Node] = ()) -> Job[None]:
        """Settle as far as it goes: what fails is told, and tried again before long."""
        try:
            yield from self.settle(without=without, strict=False)
        except ConPaaSError as error:
            self.log.warning("the nodes are not settled yet: %s", error)
            yield Progress(100, f"going on, although: {error}")

    def drain(self, nodes: Sequence[Node]) -> Job[None]:
        """Have nodes finish what they are at, proxies first; no failure keeps others from it."""
        parts = []
        for node, its in self.ask_each(lambda agent: agent.list_parts(), nodes):
            if isinstance(its, ConPaaSError):
                self.log.warning("%s cannot be drained: %s", node.id, its)
            else:
                parts += [(node, part) for part in its]
        yield from self._leave_parts(parts)

    def forget_places(self) -> None:
        """Forget who carried what: all machines are going."""
        self.store[PLACED] = {}
        self.store[COPIED] = []

    # -- the steps ----------------------------------------------------------------------------

    def _sessions(self) -> Job[None]:
        if not self.sessions.is_running():
            yield Progress(0, "starting the store of the sessions")
        self.sessions.start()

    def _code(self, this: Round) -> Job[None]:
        nodes = this.hearing(this.now.carriers)
        # One by one where a failure is passed over: it must not keep the code from the others.
        for some in [nodes] if this.strict else [[node] for node in nodes]:
            yield from self.send_code(this.goal.version, some)

    def _backends(self, this: Round) -> Job[None]:
        nodes = this.hearing(this.now.backends)
        ours = {
            "CONPAAS_APPLICATION": str(self.place.application),
            "CONPAAS_SERVICE": str(self.number),
        }
        task = BackendTask(
            proxies=self._proxy_addresses(this),
            settings=this.goal.settings,
            environment={**ours, **this.goal.environment},
            sessions=self.sessions.store,
            seconds=self.request_limits(this.goal).seconds,
        )
        yield from self._tell(
            lambda agent: self.run_backend(agent, task), nodes, "told to run the code"
        )

    def _files(self, this: Round) -> Job[None]:
        if not this.goal.web.ask_backends:
            return
        # The web part of the first proxy is used until proxies know of another one.
        askers = [*this.now.web, *this.now.proxies, *self._leaving(PROXY, WEB)]
        part = FilesPart(addresses(askers), this.goal.web.private_directories)
        yield from self._tell(
            lambda agent: agent.run_files(part=part),
            this.hearing(this.now.asked),
            "told to give web nodes the files that they lack",
        )

    def _web(self, this: Round) -> Job[None]:
        nodes = this.hearing(this.now.web)
        web, asked = this.goal.web, this.now.asked if this.goal.web.ask_backends else ()
        part = WebPart(
            proxies=self._proxy_addresses(this),
            permalinks=web.permalinks,
            asked=addresses(asked),
            kept=web.kept_directories if asked else (),
        )
        yield from self._tell(
            lambda agent: agent.run_web(part=part), nodes, "told to serve the files"
        )

    def _gate(self, this: Round) -> Job[None]:
        goal, web = this.goal, this.goal.web
        yield Progress(0, f"requesting {web.health_path} of {goal.version.id} on each backend")
        answers = self.ask_each(
            lambda agent: agent.check_code(
                version=goal.version.id, path=web.health_path, permalinks=web.permalinks
            ),
            this.now.backends,
        )
        failed = [(node, told) for node, answer in answers if (told := refusal(web, answer))]
        if failed:
            told = "\n".join(f"on {named([node])} {why}" for node, why in failed)
            raise AgentError(
                f"{goal.version.id} is not enabled, {self.active_code.id} stays: "
                f"{self.without_secrets(told)}",
                detail=[node.id for node, _ in failed],
            )

    def _proxies(self, this: Round) -> Job[None]:
        limits = self.request_limits(this.goal)
        part = ProxyPart(
            version=this.goal.version.id,
            web=addresses(this.now.web),
            backends=addresses(this.now.backends),
            permalinks=this.goal.web.permalinks,
            body_limit=limits.body,
            timeout=limits.seconds + _PROXY_PATIENCE,
            private=this.goal.web.private_directories,
        )
        # Those that leave still get requests: they must not send them to who leaves too.
        leaving = self._leaving(PROXY)
        for node, answer in self.ask_each(lambda agent: agent.run_proxy(part=part), leaving):
            if isinstance(answer, ConPaaSError):
                self.log.warning("%s, which leaves, is not told: %s", node.id, answer)
        yield from self._tell(
            lambda agent: agent.run_proxy(part=part),
            this.hearing(this.now.proxies),
            "told where to send requests",
        )

    def _leave(self, this: Round) -> Job[None]:
        """Stop what does not belong where it runs; by now no proxy sends requests there."""
        surplus = []
        for node, parts in self.ask_each(
            lambda agent: agent.list_parts(), this.hearing(this.now.nodes)
        ):
            if isinstance(parts, ConPaaSError):
                this.failures.append(str(parts))
                continue
            belongs = this.now.runs(node, this.goal.web.ask_backends)
            surplus += [(node, part) for part in parts if part not in belongs]
        this.failures += yield from scaled(self._leave_parts(surplus), 85, 95)
        yield from self._try(this, self.bring_kept_again(this), 95, 100)

    # -- how it is done -----------------------------------------------------------------------

    def _tell(self, tell: Callable[[A], bool], nodes: Sequence[Node], message: str) -> Job[None]:
        """Tell nodes something, and say so where it was news."""
        answers = self.ask_all(tell, nodes)
        if news := [node for node, is_news in zip(nodes, answers, strict=True) if is_news]:
            yield Progress(100, f"{message}: {named(news)}")

    def _try(self, this: Round, step: Job[None], low: int, high: int) -> Job[None]:
        try:
            yield from scaled(step, low, high)
        except ConPaaSError as error:
            if this.strict:
                raise
            this.failures.append(str(error))
            self.log.warning("going on, although: %s", error)
            yield Progress(high, f"going on, although: {error}")

    def _leave_parts(self, parts: Sequence[tuple[Node, str]]) -> Job[list[str]]:
        """Stop parts where they run; return what failed, which keeps nothing else from it."""
        failures = []
        for index, part in enumerate(RUNNING):
            nodes = [node for node, its in parts if its == part]
            if not nodes:
                continue
            told = Progress(25 * index, f"draining {part} on {named(nodes)}")
            yield told
            try:
                for _ in self.run_all(_leaving(part), nodes):
                    yield told
            except ConPaaSError as error:
                failures.append(str(error))
                self.log.warning("%s does not leave: %s", part, error)
        return failures

    def _deaf(self, nodes: Sequence[Node]) -> list[Node]:
        answers = self.ask_each(lambda agent: agent.list_parts(), nodes)
        deaf = [node for node, answer in answers if isinstance(answer, UnreachableError)]
        if deaf:
            self.log.warning("these do not answer and are left alone: %s", named(deaf))
        return deaf

    def _proxy_addresses(self, this: Round) -> tuple[str, ...]:
        # Those that leave are served until they have: they may be in the middle of a request.
        return addresses([*this.now.proxies, *self._leaving(PROXY)])

    def _leaving(self, *roles: str) -> list[Node]:
        return [node for node in self.place.nodes.leaving() if node.role in roles]


def _leaving(part: PartName) -> Callable[[WebAgent], Job[None]]:
    # After a crash the agent may still be at it.
    return lambda agent: patiently(lambda: agent.leave_part(part=part))
