"""Databases die, are cut off and come back; two clusters never arise, and no write is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conpaas.director.sweep import Sweep
from conpaas.errors import AgentError, WrongStateError
from conpaas.state import State
from conpaas_mysql.faults import Picture
from conpaas_mysql.parts import DatabaseStatus
from conpaas_mysql.theatre import Theatre, tried


def test_a_killed_database_rejoins_by_itself_and_the_history_says_so(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.look()
    theatre.kill("mysql-2")
    assert theatre.write()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    assert f"mysql-2 ({theatre.address('mysql-2')}) had stopped: it has rejoined" in (
        theatre.history()
    )
    assert theatre.roles() == {
        "node-2": "mysql", "node-3": "mysql", "node-4": "mysql", "node-5": "glb",
    }  # fmt: skip
    assert not theatre.host.manager.is_outdated()


def test_each_restart_is_told_once_however_soon_it_follows(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.look()
    told = f"mysql-2 ({theatre.address('mysql-2')}) had stopped: it has rejoined"
    for number in (1, 2, 3):
        theatre.kill("mysql-2")
        theatre.settle()
        assert theatre.history().count(told) == number


def test_while_nothing_happens_nothing_is_done(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=2, glb=1)
    before, stage.events = theatre.history(), []
    for _ in range(3):
        theatre.look()
    assert theatre.history() == before
    assert stage.events == []


def test_one_of_two_whose_server_is_killed_comes_back_to_the_other(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.kill("mysql-2")
    assert theatre.primary() == []
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]


def test_one_of_two_whose_machine_is_gone_is_replaced_and_the_other_goes_on_at_once(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    address = theatre.address("mysql-2")
    theatre.break_machines("mysql-2")
    assert not theatre.write()
    stage.events.clear()
    theatre.settle()
    told = [what for _, what, _ in stage.events]
    assert told.index("promote_database") < told.index("join_database")
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.address("mysql-2") == address
    assert theatre.volumes() == ["mysql-1-1", "mysql-1-2"]
    history = theatre.history()
    assert f"mysql-2 ({address}) is lost: it is replaced" in history
    assert f"mysql-1 ({theatre.address('mysql-1')}) had lost mysql-2: it takes queries again" in (
        history
    )
    assert f"mysql-2 ({address}) is back, on node-4" in history
    assert theatre.write()


def test_a_machine_that_only_the_manager_cannot_reach_is_destroyed_before_others_go_on(
    theatre: Theatre,
) -> None:
    theatre.start(mysql=2)
    address = theatre.address("mysql-2")
    theatre.world.cut([address], [theatre.address("mysql-1")])
    theatre.cluster.cut(theatre.machine("node-3"))
    machines = set(theatre.cluster.provider.machines)
    theatre.settle()
    theatre.world.heal()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert len(machines - set(theatre.cluster.provider.machines)) == 1
    assert theatre.write()


def test_one_of_two_that_does_not_come_back_is_stopped_before_the_other_goes_on(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.kill("mysql-1", comes_back=False)
    stage.events.clear()
    theatre.settle()
    told = [what for _, what, _ in stage.events]
    assert told.index("stop_database") < told.index("promote_database")
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_who_notices_late_that_it_has_lost_the_other_goes_on_all_the_same(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.look()
    theatre.world.cut([theatre.address("mysql-1")], [theatre.address("mysql-2")])
    stage.late[theatre.address("mysql-1")] = 5  # some rounds, and some looks of the manager
    for _ in range(4):
        theatre.look()
    assert theatre.primary() == ["mysql-1"]
    theatre.world.heal()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_a_machine_is_lost_before_the_other_has_noticed(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=2)
    theatre.write()
    stage.late[theatre.address("mysql-1")] = 4
    theatre.break_machines("mysql-2")
    stage.events.clear()
    theatre.settle()
    told = [what for _, what, _ in stage.events]
    assert told.index("promote_database") < told.index("join_database")
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_all_killed_at_once_come_back_by_themselves(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=3)
    theatre.write()
    stage.events.clear()
    theatre.kill("mysql-1", "mysql-2", "mysql-3")
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    told = {what for _, what, _ in stage.events}
    assert not told & {"bootstrap_database", "promote_database", "stop_database"}


def test_all_killed_who_do_not_know_each_other_any_more_follow_the_one_with_the_most(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3)
    theatre.write()
    theatre.kill("mysql-1", comes_back=False)
    theatre.write()
    theatre.kill("mysql-2", "mysql-3", comes_back=False)
    stage.events.clear()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    bootstrapped = [who for who, what, _ in stage.events if what == "bootstrap_database"]
    assert bootstrapped in ([theatre.address("mysql-2")], [theatre.address("mysql-3")])
    assert any("no database took queries any more: mysql-" in line for line in theatre.history())
    assert theatre.write()


def test_all_killed_whose_views_are_lost_wait_and_then_follow_the_one_with_the_most(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    servers = list(theatre.world.servers.values())
    theatre.kill("mysql-1", "mysql-2")
    for server in servers:
        server.disk.write(replace(server.data, view=()))
    stage.events.clear()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    told = [what for _, what, _ in stage.events]
    assert told.index("stop_database") < told.index("bootstrap_database")
    assert theatre.write()


def test_who_was_cut_off_first_does_not_go_on_without_the_data_of_the_others(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3, glb=1)
    addresses = {name: theatre.address(name) for name in ("mysql-1", "mysql-2", "mysql-3")}
    theatre.world.cut([addresses["mysql-1"]], [addresses["mysql-2"], addresses["mysql-3"]])
    assert theatre.write()  # to the two others, which are the more
    theatre.break_machines("mysql-2", "mysql-3")
    theatre.world.heal()
    stage.events.clear()
    theatre.settle()
    # The data of the two others came to their replacements, and had the write.
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    assert addresses["mysql-1"] not in [
        who for who, what, _ in stage.events if what in ("promote_database", "bootstrap_database")
    ]


def test_who_was_started_again_and_found_nobody_does_not_go_on_alone(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    address = theatre.address("mysql-1")
    theatre.world.leave(address)  # its machine boots
    theatre.world.write(theatre.address("mysql-2"), "while it boots")
    theatre.world.cut([address], [theatre.address("mysql-2")])
    theatre.host.manager.agent(theatre.host.manager.databases[0])
    for agent in theatre.agents():
        agent.get_database_status()
        agent.get_database_status()
    assert address in theatre.world.servers
    theatre.break_machines("mysql-2")
    theatre.world.heal()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert all("while it boots" in s.data.writes for s in theatre.world.servers.values())


def test_a_minority_waits_and_is_back_when_it_hears_the_others(theatre: Theatre) -> None:
    theatre.start(mysql=3, glb=1)
    theatre.look()
    addresses = {name: theatre.address(name) for name in ("mysql-1", "mysql-2", "mysql-3")}
    theatre.world.cut([addresses["mysql-3"]], [addresses["mysql-1"], addresses["mysql-2"]])
    assert theatre.write()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.state is State.RUNNING
    told = f"mysql-3 ({addresses['mysql-3']})"
    assert f"{told} takes no queries: it is cut off from the others" in theatre.history()
    quiet = theatre.history()
    theatre.look()
    assert theatre.history() == quiet
    theatre.world.heal()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]
    assert f"{told} takes queries again" in theatre.history()


def test_three_who_do_not_hear_each_other_are_one_cluster_afterwards(theatre: Theatre) -> None:
    theatre.start(mysql=3)
    theatre.write()
    one, two, three = (theatre.address(f"mysql-{n}") for n in (1, 2, 3))
    theatre.world.cut([one], [two, three])
    theatre.world.cut([two], [three])
    theatre.look()
    theatre.look()
    assert len(theatre.primary()) == 1
    assert theatre.write()
    theatre.world.heal()
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2", "mysql-3"]


def test_a_donor_that_dies_during_a_transfer_costs_the_new_one_only(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    seen = theatre.seen()

    def die(number: int) -> None:
        if stage.events[-1][1] == "join_database":
            theatre.kill("mysql-2")
            stage.failing[stage.events[-1][0], "join_database"] = "the donor is gone"

    stage.before = die
    with pytest.raises(AgentError, match="the donor is gone"):
        theatre.add(mysql=1)
    stage.before = lambda number: None
    theatre.idle()
    theatre.settle()
    assert theatre.seen() == seen
    assert theatre.write()


def test_a_lost_balancer_is_replaced_at_its_address(theatre: Theatre) -> None:
    theatre.start(mysql=2, glb=1)
    before = theatre.user.get_address()
    node = next(n for n in theatre.user.list_nodes() if n.role == "glb")
    theatre.cluster.cut(theatre.machine(node.agent_id))
    theatre.settle()
    assert theatre.user.get_address() == before
    assert f"glb-1 ({node.ip}) is lost: it is replaced" in theatre.history()
    assert theatre.write()


def test_all_machines_vanish_and_the_data_is_still_there(theatre: Theatre) -> None:
    theatre.start(mysql=2, glb=1)
    theatre.write()
    theatre.break_machines("mysql-1", "mysql-2")
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_a_volume_that_is_nearly_full_is_told_once_and_when_it_has_room_again(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    theatre.look()
    stage.full.add(theatre.address("mysql-2"))
    for _ in range(3):
        theatre.look()
    told = [line for line in theatre.history() if "the volume" in line]
    name = f"mysql-2 ({theatre.address('mysql-2')})"
    assert told == [f"the volume mysql-1-2 of {name} has 1 MB left: grow it, or delete data"]
    stage.full.clear()
    theatre.settle()
    assert f"the volume of {name} has room again" in theatre.history()
    assert theatre.state is State.RUNNING


def test_a_server_that_hangs_is_told_and_the_service_goes_on(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=3)
    theatre.look()
    stage.hanging.add(theatre.address("mysql-3"))
    theatre.settle()
    name = f"mysql-3 ({theatre.address('mysql-3')})"
    assert f"{name} takes no queries: the server does not answer" in theatre.history()
    assert theatre.state is State.RUNNING
    stage.hanging.clear()
    theatre.settle()
    assert f"{name} takes queries again" in theatre.history()


def test_the_managers_machine_is_lost_and_the_next_one_knows_the_cluster(
    theatre: Theatre,
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.manager.handover.now()
    lost = theatre.managers_machine
    machines = theatre.cluster.machines
    theatre.cluster.provider.vanish(next(i for i, m in machines.items() if m is lost))
    with theatre.cluster.database.connection_context():
        Sweep(theatre.cluster.director).round()
    theatre.idle()
    assert theatre.managers_machine.number != lost.number
    theatre.kill("mysql-1", "mysql-2", comes_back=False)
    theatre.settle()
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_a_replacement_that_failed_half_way_is_taken_up_and_not_made_twice(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre.start(mysql=2)
    theatre.write()
    machines, release = theatre.host.machines, theatre.host.machines.release
    failed: list[Any] = []

    def fail_once(nodes: Any) -> Any:
        if nodes and not failed:
            failed.extend(nodes)
            raise AgentError("the director does not answer")
        return release(nodes)

    monkeypatch.setattr(machines, "release", fail_once)
    theatre.break_machines("mysql-2")
    theatre.settle()
    assert [node.role for node in failed] == ["mysql"]
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert sorted(theatre.roles().values()) == ["mysql", "mysql"]
    assert len(theatre.cluster.provider.machines) == 3
    assert theatre.write()


def test_data_that_is_gone_is_never_made_anew(theatre: Theatre, stage: Any) -> None:
    theatre.start()
    theatre.write()
    theatre.run(theatre.user.stop())
    for path in (theatre.cluster.directory / "disks").rglob("data.json"):
        path.unlink()
    with pytest.raises(AgentError, match="is on no volume of this service"):
        theatre.run(theatre.user.start())
    theatre.idle()
    assert theatre.state is State.ERROR
    assert theatre.world.clusters == 1


def test_a_start_that_failed_is_repaired(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=2)
    theatre.write()
    theatre.run(theatre.user.stop())
    stage.refused.add("utf8mb4")
    assert "is refused" in tried(lambda: theatre.run(theatre.user.start()))
    theatre.idle()
    assert theatre.state is State.ERROR
    stage.refused.clear()
    theatre.run(theatre.user.repair())
    assert theatre.primary() == ["mysql-1", "mysql-2"]
    assert theatre.write()


def test_two_clusters_are_told_and_nothing_is_done_to_either() -> None:
    def status(name: str) -> DatabaseStatus:
        return DatabaseStatus(True, True, True, 4, True, (name,), "uuid", 7, False, 0)

    picture = Picture({}, {"mysql-1": status("mysql-1"), "mysql-2": status("mysql-2")}, {})
    with pytest.raises(AgentError, match="do not know each other"):
        picture.check_one_cluster()


def test_nodes_are_not_removed_while_none_that_would_stay_takes_queries(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.kill("mysql-1", "mysql-2", comes_back=False)
    with pytest.raises(WrongStateError, match="takes no queries now"):
        theatre.user.remove_nodes(nodes={"mysql": 1})
