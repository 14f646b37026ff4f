"""Databases and balancers come and go, and nobody's query fails for it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from conpaas.errors import AgentError, InvalidError, WrongStateError
from conpaas.rpc import operations
from conpaas.state import State
from conpaas_mysql.agent import MysqlAgent
from conpaas_mysql.rehearsal import RehearsalAgent
from conpaas_mysql.theatre import Theatre, tried


def test_the_first_start_creates_one_database_and_says_where_it_is(theatre: Theatre) -> None:
    theatre.start()
    assert theatre.primary() == ["mysql-1"]
    (node,) = theatre.user.list_nodes()
    address = theatre.user.get_address()
    assert (address.host, address.port, address.user) == (node.ip, 3306, "mysqldb")
    assert address.command == f"mysql -h {node.ip} -P 3306 -u mysqldb -p"
    assert theatre.told[-1] == f"the databases are at {node.ip}, port 3306"
    assert theatre.volumes() == ["mysql-1-1"]
    assert theatre.write()


def test_databases_and_balancers_come_and_go_without_a_failed_query(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(glb=1)
    failed = []
    stage.before = lambda number: failed.append(number) if not theatre.write() else None
    for more in ({"mysql": 2}, {"glb": 1, "mysql": 1}):
        theatre.add(**more)
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3", "mysql-4"]
    for fewer in ({"mysql": 2}, {"glb": 1, "mysql": 1}):
        theatre.remove(**fewer)
    stage.before = lambda number: None
    assert failed == []
    assert theatre.primary() == ["mysql-1"]
    assert theatre.volumes() == ["mysql-1-1"]
    assert theatre.write()


def test_what_is_rehearsed_is_what_agents_offer() -> None:
    real = operations(MysqlAgent)
    for name, operation in operations(RehearsalAgent).items():
        assert [p.name for p in operation.parameters] == [p.name for p in real[name].parameters]
        assert operation.is_job == real[name].is_job
        assert operation.preempts == real[name].preempts
        assert operation.result == real[name].result


def test_at_least_one_database_stays(theatre: Theatre) -> None:
    theatre.start(glb=1)
    for counts in ({"mysql": 1}, {"count": 1}, {"mysql": 1, "glb": 1}):
        with pytest.raises(InvalidError, match="Not enough 'mysql' nodes will be left"):
            theatre.user.remove_nodes(nodes=counts)
    theatre.remove(glb=1)
    assert sorted(theatre.roles().values()) == ["mysql"]


def test_the_address_is_the_balancers_and_goes_back_to_the_first_database(
    theatre: Theatre,
) -> None:
    theatre.start(mysql=2)
    published = theatre.manager.book.published
    first = theatre.address("mysql-1")
    assert published()[1] == {
        "MYSQL_HOST": first, "MYSQL_PORT": "3306", "MYSQL_USER": "mysqldb",
    }  # fmt: skip
    assert theatre.user.get_address().others == (theatre.address("mysql-2"),)
    assert theatre.user.plan_nodes(more={"glb": 1}) == [
        "The service gets another address, that of the balancer."
    ]
    theatre.add(glb=1)
    (balancer,) = [node.ip for node in theatre.user.list_nodes() if node.role == "glb"]
    assert published()[1]["MYSQL_HOST"] == balancer == theatre.user.get_address().host
    theatre.remove(glb=1)
    assert published()[1]["MYSQL_HOST"] == first
    theatre.run(theatre.user.stop())
    assert published()[1] == {}
    with pytest.raises(WrongStateError, match="start it"):
        theatre.user.get_address()


def test_a_stop_keeps_the_data_and_a_start_brings_everything_back(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.write()
    before = theatre.seen()
    stage.events.clear()
    theatre.run(theatre.user.stop())
    told = [what for _, what, _ in stage.events if what in ("leave_balancer", "stop_database")]
    assert told == ["leave_balancer", "stop_database", "stop_database", "stop_database"]
    assert theatre.volumes() == ["mysql-1-1", "mysql-1-2", "mysql-1-3"]
    assert len(theatre.cluster.provider.machines) == 1
    theatre.run(theatre.user.start())
    assert theatre.seen() == before
    assert theatre.world.clusters == 1
    assert theatre.write()
    assert not [line for line in theatre.history() if "mysql-" in line]


def test_a_removed_databases_volume_goes_and_comes_back_empty(theatre: Theatre) -> None:
    theatre.start(mysql=3)
    theatre.write()
    theatre.remove(mysql=2)
    assert theatre.volumes() == ["mysql-1-1"]
    theatre.add(mysql=1)
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_a_database_that_cannot_join_is_given_back_with_its_volume(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2, glb=1)
    before = theatre.seen()
    stage.failing["198.18.0.6", "join_database"] = "no route to the donor"
    with pytest.raises(AgentError, match="no route to the donor"):
        theatre.add(mysql=1)
    theatre.idle()
    assert theatre.seen() == before
    assert theatre.state is State.RUNNING
    assert theatre.write()


def test_a_removal_goes_on_when_the_database_does_not_answer(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.cluster.cut(theatre.machine("node-4"))
    theatre.remove(mysql=1)
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.volumes() == ["mysql-1-1", "mysql-1-2"]
    assert theatre.write()


@pytest.mark.parametrize("fails", ["the agent", "the settings"])
def test_a_volume_that_was_made_for_a_database_that_never_came_goes(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    theatre.start(mysql=2)
    before, there = theatre.seen(), []

    def failing(*given: Any) -> Any:
        there.append(theatre.volumes())
        raise AgentError("it does not answer")
        yield

    if fails == "the agent":
        monkeypatch.setattr(theatre.host.machines, "_wait", failing)
    else:
        monkeypatch.setattr(theatre.host.manager, "configure", failing)
    with pytest.raises(AgentError, match="does not answer"):
        theatre.add(mysql=1)
    assert there[0] == ["mysql-1-1", "mysql-1-2", "mysql-1-3"]
    monkeypatch.undo()
    theatre.settle()
    assert theatre.seen() == before


def test_data_volumes_stay_with_their_databases_and_others_may_come(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    for change in (theatre.user.delete_volume, theatre.user.detach_volume):
        with pytest.raises(WrongStateError, match="has the data of mysql-2: remove that node"):
            change(vol_name="mysql-1-2")
    theatre.run(theatre.user.create_volume(vol_name="more", vol_size=10, agent_id="node-2"))
    theatre.run(theatre.user.delete_volume(vol_name="more"))


def test_it_starts_with_its_first_nodes_only_when_there_is_one_database(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.run(theatre.user.stop())
    with pytest.raises(InvalidError, match="each of its databases comes back to its data"):
        theatre.user.start(first=True)
    theatre.start()
    theatre.add(glb=1)
    theatre.remove(mysql=1)
    theatre.run(theatre.user.stop())
    theatre.run(theatre.user.start(first=True))
    assert sorted(theatre.roles().values()) == ["mysql"]
    assert theatre.write()


def test_a_stopped_service_does_without_a_copy_but_not_without_the_last(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.run(theatre.user.stop())
    theatre.run(theatre.user.delete_volume(vol_name="mysql-1-2"))
    with pytest.raises(WrongStateError, match="the only copy"):
        theatre.user.delete_volume(vol_name="mysql-1-1")
    theatre.run(theatre.user.start())
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_what_a_database_had_at_an_earlier_stop_does_not_give_up_what_it_wrote_since(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.run(theatre.user.stop())
    theatre.run(theatre.user.start())
    theatre.write()
    stage.failing[theatre.address("mysql-1"), "stop_database"] = "it hangs"
    theatre.run(theatre.user.stop())
    # Nobody knows how far it went on alone.
    with pytest.raises(WrongStateError, match="the only copy"):
        theatre.user.delete_volume(vol_name="mysql-1-1")


def test_a_stop_while_a_copy_is_made_leaves_an_empty_volume_that_may_go(theatre: Theatre) -> None:
    theatre.start()
    theatre.write()
    theatre.world.copies_last = True
    theatre.user.add_nodes(nodes={"mysql": 1})
    theatre.cluster.wait(lambda: len(theatre.world.servers) == 2)
    theatre.run(theatre.user.stop())
    assert theatre.volumes() == ["mysql-1-1", "mysql-1-2"]
    theatre.run(theatre.user.delete_volume(vol_name="mysql-1-2"))
    theatre.world.finish_copies()
    theatre.run(theatre.user.start())
    assert theatre.write()


def test_a_database_is_lost_while_the_other_is_removed(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=2)
    removed = theatre.address("mysql-2")

    def lose(number: int) -> None:
        who, what, _ = stage.events[-1]
        if (who, what) == (removed, "recover_position"):
            theatre.write()  # which only the one that stays has
            theatre.break_machines("mysql-1")

    stage.before = lose
    tried(lambda: theatre.remove(mysql=1))
    stage.before = lambda number: None
    theatre.idle()
    theatre.settle()
    assert theatre.primary() == ["mysql-1"]
    assert theatre.write()
    assert theatre.volumes() == ["mysql-1-1"]


def test_the_manager_dies_at_any_step_of_growing_and_shrinking(theatre: Theatre) -> None:
    theatre.start(mysql=2, glb=1)
    small = theatre.seen()
    large = None
    for step in itertools.count(1, 3):
        grown = theatre.is_killed(lambda: theatre.user.add_nodes(nodes={"mysql": 1}), step)
        theatre.idle()
        large = large or theatre.seen()
        assert theatre.seen() == large
        assert theatre.write()
        shrunk = theatre.is_killed(lambda: theatre.user.remove_nodes(nodes={"mysql": 1}), step)
        assert theatre.seen() == small
        assert theatre.write()
        if not grown and not shrunk:
            return


def test_the_manager_dies_at_any_step_of_stopping_and_starting(theatre: Theatre) -> None:
    theatre.start(mysql=2, glb=1)
    before = theatre.seen()
    for step in itertools.count(1, 3):
        stopped = theatre.is_killed(theatre.user.stop, step)
        assert theatre.state is State.STOPPED
        assert len(theatre.cluster.provider.machines) == 1
        started = theatre.is_killed(theatre.user.start, step)
        assert theatre.seen() == before
        assert theatre.write()
        if not stopped and not started:
            break
    assert theatre.world.clusters == 1


def test_the_manager_dies_at_any_step_of_the_very_first_start(
    stage: Any, theatre: Theatre
) -> None:
    for step in range(1, 5):
        service = theatre.another()
        theatre.is_killed(service.start, step)
        assert service.get_address().port == 3306
    assert theatre.world.clusters == 4
