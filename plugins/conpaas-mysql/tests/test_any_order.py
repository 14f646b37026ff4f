"""Whatever happens in whatever order: one cluster, every acknowledged write, and in the end all
databases take queries."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conpaas import features
from conpaas.plugins import Plugins
from conpaas.state import State
from conpaas.testing import Cluster
from conpaas_mysql.rehearsal import RehearsalPlugin, Stage
from conpaas_mysql.theatre import Theatre, tried

which = st.integers(0, 3)


class Fate(RuleBasedStateMachine):
    """A service of up to four databases, and what may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.stack = ExitStack()
        plugins = Plugins(rehearsal=RehearsalPlugin(self.stage), **features.modules())
        self.theatre = Theatre(self.stack.enter_context(Cluster(plugins)), self.stage)

    def names(self) -> list[str]:
        """Return the names of the databases whose machines are there."""
        parts = [agent.database_part for agent in self.theatre.agents()]
        return sorted(part.name for part in parts if part)

    def chosen(self, number: int) -> str | None:
        """Return one of the databases."""
        names = self.names()
        return names[number % len(names)] if names else None

    @initialize(count=st.integers(1, 3), balancers=st.integers(0, 1))
    def begin(self, count: int, balancers: int) -> None:
        self.theatre.start(mysql=count, glb=balancers)

    @rule()
    def writes(self) -> None:
        self.theatre.write()

    @rule()
    def grows(self) -> None:
        if len(self.names()) < 4:
            tried(lambda: self.theatre.add(mysql=1))

    @rule()
    def shrinks(self) -> None:
        tried(lambda: self.theatre.remove(mysql=1))

    @rule(number=which, comes_back=st.booleans())
    def is_killed(self, number: int, comes_back: bool) -> None:
        if name := self.chosen(number):
            self.theatre.kill(name, comes_back=comes_back)

    @rule(number=which)
    def loses_its_machine(self, number: int) -> None:
        if name := self.chosen(number):
            self.theatre.break_machines(name)

    @rule(number=which)
    def is_cut_off(self, number: int) -> None:
        if name := self.chosen(number):
            addresses = [agent.place.address for agent in self.theatre.agents()]
            self.theatre.world.cut([self.theatre.address(name)], addresses)

    @rule()
    def hear_each_other_again(self) -> None:
        self.theatre.world.heal()

    @rule()
    def the_manager_looks(self) -> None:
        self.theatre.look()

    @rule()
    def the_manager_is_killed(self) -> None:
        self.theatre.cluster.restart(self.theatre.managers_machine)
        self.theatre.idle()

    @rule(step=st.integers(1, 12))
    def the_manager_is_killed_at_work(self, step: int) -> None:
        self.theatre.is_killed(self.theatre.look, step)

    @rule()
    def stops_and_starts(self) -> None:
        self.theatre.idle()
        if self.theatre.state is State.RUNNING:
            self.theatre.run(self.theatre.user.stop())
            self.theatre.world.heal()
            tried(lambda: self.theatre.run(self.theatre.user.start()))

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert self.stage.world.wrong == []
        assert self.stage.world.clusters <= 1

    def teardown(self) -> None:
        try:
            self.stage.before = lambda number: None
            self.theatre.world.heal()
            self.theatre.idle()
            self.theatre.settle(rounds=12)
            if self.theatre.state is State.ERROR:
                self.theatre.run(self.theatre.user.repair())
            assert self.theatre.state is State.RUNNING
            assert self.theatre.primary() == self.names() != []
            assert self.theatre.write()
            self.nothing_is_wrong()
        finally:
            self.stack.close()


# To find the shortest way to a failure takes minutes: the first one has to do.
common = {
    "deadline": None,
    "phases": [phase for phase in Phase if phase is not Phase.shrink],
    "suppress_health_check": list(HealthCheck),
}


class TestAnyOrder(Fate.TestCase):
    settings = settings(max_examples=3, stateful_step_count=8, derandomize=True, **common)
