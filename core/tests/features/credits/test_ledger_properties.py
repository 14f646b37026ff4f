"""Whatever happens, in whatever order, cut off anywhere: the ledger is that of a simple model."""

import threading
from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from conpaas.director.models import Application, Job, Machine, User
from conpaas.errors import ConPaaSError, NoCreditError
from conpaas.features import credits
from conpaas.features.credits.director.ledger import Ledger
from conpaas.features.credits.director.rounds import charge_round
from conpaas.features.credits.director.tables import CreditEntry, CreditStop
from conpaas.plugins import Plugins
from conpaas.testing.cluster import Cluster

LIVING = ("wanted", "booting", "running")


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill."""


class Dying:
    """Kills whoever writes to the database at a chosen write."""

    def __init__(self, database):
        self.left = None
        self._thread = threading.current_thread()  # not the machines that boot meanwhile
        self._execute = database.execute_sql
        database.execute_sql = self.execute_sql

    def execute_sql(self, sql, *values, **named):
        """Count the writes."""
        writes = sql.startswith(("INSERT", "UPDATE", "DELETE"))
        if self.left is not None and writes and threading.current_thread() is self._thread:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed
        return self._execute(sql, *values, **named)


class World(RuleBasedStateMachine):
    """Two users and what they do; time stands still unless it is put forward.

    The model knows machines by their hours only: ``begun`` when it was asked for, ``charged`` how
    many hours are paid.  What nobody can know from outside, which applications a round stops, is
    read from the world; what that must have cost is not.
    """

    applications = Bundle("applications")

    def __init__(self):
        super().__init__()
        self.cluster = Cluster(Plugins(credits=credits), credit=6)
        self.director = self.cluster.director
        self.cluster.database.execute_sql("PRAGMA synchronous = off")
        self.now = 1_800_000_000.0
        self.director.clock = self.director.room._clock = lambda: self.now
        self.dying = Dying(self.cluster.database)
        # Jobs run where they are submitted, at once: nothing goes on behind the model's back.
        self.queued = []
        self.director.jobs._queue.put = lambda number, for_manager=False: self.queued.append(
            number
        )
        self.ledger = Ledger(self.cluster.config)
        other = User.create(username="other", password="!")
        credits.conpaas_user_created(self.cluster.config, other, 3)
        self.given = Counter({1: 6, other.id: 3})
        self.requests = 0

    def teardown(self):
        """Stop everything."""
        self.dying.left = None
        self.cluster.close()

    # -- what happens -------------------------------------------------------------------------

    def do(self, step, kill):
        """Do something that is killed at a write; then do it again, as whoever takes it up."""
        self.dying.left = kill
        try:
            step()
        except Killed:
            self.dying.left = None
            if self.cluster.database.in_transaction():
                raise AssertionError("a transaction was left open") from None
            step()
        finally:
            self.dying.left = None

    kills = st.none() | st.integers(0, 12)

    @initialize(target=applications)
    def first(self):
        """Begin with an application."""
        return self.make(1)

    @rule(target=applications, user=st.sampled_from([1, 2]))
    def make(self, user):
        """Make an application that runs."""
        name = f"app {Application.select().count()}"
        return Application.create(user=user, name=name, state="RUNNING").id

    @rule(application=applications, count=st.integers(1, 4), kill=kills, manager=st.booleans())
    def want(self, application, count, kill, manager):
        """Ask for machines; all are there and paid, or none and nothing."""
        row = Application.get_by_id(application)
        self.requests += 1
        before = self.ledger.balance(row.user_id)
        refused = []

        def step():
            try:
                self.director.room.want(
                    row,
                    0 if manager else 1,
                    "simple",
                    ["node"] * count,
                    f"request {self.requests}",
                    "memory",
                )
            except NoCreditError:
                refused.append(True)

        self.do(step, kill)
        made = Machine.select().where(Machine.request == f"request {self.requests}").count()
        assert made == (0 if refused else count)
        if refused:
            assert before < count
        assert self.ledger.balance(row.user_id) == before - made

    @precondition(lambda self: self.machines("wanted"))
    @rule(data=st.data())
    def join(self, data):
        """Have a machine join."""
        row = data.draw(st.sampled_from(self.machines("wanted")))
        Machine.update(state="running", public_key="key").where(Machine.id == row.id).execute()

    @precondition(lambda self: self.machines(*LIVING))
    @rule(data=st.data(), kill=kills, twice=st.booleans())
    def destroy(self, data, kill, twice):
        """Give a machine back, or give it up before it has joined."""
        row = data.draw(st.sampled_from(self.machines(*LIVING)))
        self.do(lambda: self.director.room.destroy([row]), kill)
        if twice:
            self.director.room.destroy([row])

    @rule(minutes=st.sampled_from([1, 29, 60, 61, 60 * 5]))
    def wait(self, minutes):
        """Let time pass."""
        self.now += 60.0 * minutes

    @rule(kill=kills)
    def charge(self, kill):
        """Do a round and the jobs that it submits."""
        self.do(lambda: charge_round(self.director), kill)
        self.do(self.work, kill)
        # From here on every hour that has begun is paid, or its application is on its way down.
        leaving = {row.application_id for row in CreditStop.select()}
        for one in self.ledger.due(self.now):
            assert one.application in leaving

    def work(self):
        """Run what was submitted, and what a worker died at."""
        self.director.jobs.take_up(own=True)
        while self.queued:
            self.director.jobs.run(self.queued.pop())
        assert not Job.select().where(Job.active.is_null(False)).exists()

    @rule(user=st.sampled_from([1, 2]), amount=st.integers(-3, 8).filter(bool))
    def give(self, user, amount):
        """Give or take; what is not there cannot be taken."""
        before = self.ledger.balance(user)
        try:
            self.ledger.add(User.get_by_id(user), amount, "", "admin", self.now)
        except ConPaaSError:
            assert before + amount < 0
        else:
            self.given[user] += amount

    def machines(self, *states):
        """Return the machines in these states."""
        return list(Machine.select().where(Machine.state.in_(states)).order_by(Machine.id))

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def nobody_owes(self):
        """Charging takes nobody below zero."""
        assert all(self.ledger.balance(user) >= 0 for user in self.given)

    @invariant()
    def balances_are_what_was_given_less_the_hours_lived(self):
        """Each charged hour counts once, those of machines that never joined not at all."""
        spent = Counter()
        for row in Machine.select():
            hours = self.hours(row)
            assert hours == list(range(len(hours)))
            begun = int((self.now - row.created) // 3600) + 1
            assert 1 <= len(hours) <= begun
            if row.state != "gone" or row.public_key is not None:
                spent[row.application.user_id] += len(hours)
        for user, given in self.given.items():
            assert self.ledger.balance(user) == given - spent[user]

    @staticmethod
    def hours(row):
        """Return the hours of a machine that are charged."""
        rows = CreditEntry.select().where(
            CreditEntry.machine == row.id, CreditEntry.kind == "charge"
        )
        return sorted(entry.hour for entry in rows)

    @invariant()
    def what_never_lived_is_given_back_once(self):
        """A refund for each charge of a machine that is gone and never joined; no other."""
        back = Counter(
            (entry.machine, entry.hour)
            for entry in CreditEntry.select().where(CreditEntry.kind == "refund")
        )
        never = Machine.select().where(Machine.state == "gone", Machine.public_key.is_null())
        assert back == Counter((row.id, hour) for row in never for hour in self.hours(row))


TestLedger = World.TestCase
TestLedger.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    # To find the shortest way to a failure takes minutes: the first one has to do.
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
