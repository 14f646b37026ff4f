"""Variables: set, removed, listed; published ones; and secrets, which are never shown again."""

import pytest

from conpaas.director.models import AuditRow, Job
from conpaas.errors import AgentError, InvalidError, NotFoundError
from conpaas.state import State

CANARY = "hunter2-4f3a"


def test_a_variable_reaches_all_nodes_and_those_to_come(app):
    app.run(app.service.set_env(name="COLOUR", value="blue\nand red"))
    assert app.told() == {"COLOUR": "blue\nand red"}
    assert app.rows() == [("COLOUR", "blue\nand red", "yours")]
    app.run(app.service.add_nodes(nodes={"node": 1}))
    assert app.told() == {"COLOUR": "blue\nand red"}
    assert app.host.state() is State.RUNNING


def test_a_removed_variable_is_gone_from_all_nodes(app):
    app.run(app.service.set_env(name="ONE", value="1"))
    app.run(app.service.set_env(name="TWO", value=""))
    app.run(app.service.unset_env(name="ONE"))
    assert app.told() == {"TWO": ""}
    assert app.rows() == [("TWO", "", "yours")]


def test_variables_of_a_service_that_does_not_run_are_kept_for_its_start(app):
    app.run(app.other.set_env(name="ONE", value="1"))
    app.run(app.other.set_env(name="TWO", value="2"))
    app.run(app.other.unset_env(name="ONE"))
    assert app.manager.host(2).state() is State.INIT
    assert app.manager.host(2).store.get("puts") is None
    app.run(app.other.start())
    assert [a.agent.store["values"] for a in app.cluster.agents(app.aid, 2)] == [{"TWO": "2"}]


def test_variables_outlast_the_manager_and_a_stop_of_the_application(app):
    app.run(app.service.set_env(name="ONE", value="1"))
    app.restart()
    assert app.rows() == [("ONE", "1", "yours")]
    app.stop_and_start()
    app.run(app.service.start())
    assert app.told() == {"ONE": "1"}


def test_what_the_nodes_cannot_take_is_not_set_and_the_job_says_why(app):
    app.run(app.service.set_env(name="ONE", value="1"))
    with pytest.raises(AgentError, match="line 3: BREAK='it' cannot be parsed"):
        app.run(app.service.set_env(name="BREAK", value="it"))
    assert app.told() == {"ONE": "1"}
    assert app.rows() == [("ONE", "1", "yours")]
    assert app.host.state() is State.RUNNING
    app.cluster.look()
    app.idle()
    assert app.host.store["puts"] == 3, "there, there in vain, and back: nothing is outdated"


def test_a_changed_variable_that_fails_keeps_its_old_value(app):
    app.run(app.service.set_env(name="ONE", value="1"))
    (first, _) = app.cluster.agents(app.aid, 1)
    app.cluster.cut(app.cluster.machine(int(first.agent.place.node.partition("-")[2])))
    with pytest.raises(AgentError, match=first.agent.place.node):
        app.run(app.service.set_env(name="ONE", value="2"))
    assert app.rows() == [("ONE", "1", "yours")]
    app.cluster.cut(app.cluster.machine(int(first.agent.place.node.partition("-")[2])), False)
    app.cluster.wait(lambda: (app.cluster.look(), app.told() == {"ONE": "1"})[1])


NO_VARIABLES = [
    ("1ST", "x", "cannot name a variable"),
    ("", "x", "cannot name a variable"),
    ("Ä", "x", "cannot name a variable"),
    ("X" * 129, "x", "up to 128"),
    ("NAME=VALUE", "x", "no '='"),
    ("PATH", "x", "which programs and libraries"),
    ("LD_PRELOAD", "x", "which programs and libraries"),
    ("HTTP_PROXY", "x", "what the visitor sends"),
    ("SCRIPT_FILENAME", "x", "what the visitor sends"),
    ("RADIO", "x", "is our own"),
    ("CONPAAS_X", "x", "ConPaaS's own"),
    ("ONE", "a\0b", "zero byte"),
    ("ONE", "x" * (32 * 1024 + 1), "32769 bytes"),
    ("ONE", None, "value is missing"),
]


def test_what_cannot_be_a_variable_is_refused_at_once(app):
    for name, value, why in NO_VARIABLES:
        with pytest.raises(InvalidError, match=why):
            app.service.set_env(name=name, value=value)
        assert app.rows() == []
        assert app.host.state() is State.RUNNING
        assert app.host.store.get("puts") is None


def test_there_is_an_end_to_how_many_variables_there_are_and_how_large_all_are(app):
    for number in range(4):
        app.run(app.other.set_env(name=f"LONG_{number}", value="x" * (31 << 10)))
    with pytest.raises(InvalidError, match="at most 131072 may be"):
        app.run(app.other.set_env(name="LONG_4", value="x" * (31 << 10)))
    app.run(app.other.set_env(name="LONG_0", value="y" * (31 << 10)))  # in the place of one
    own = {f"V{number}": {"value": "", "secret": False} for number in range(500)}
    app.manager.host(2).store["environment"] = {"own": own, "change": None}
    with pytest.raises(InvalidError, match="501 variables"):
        app.run(app.other.set_env(name="V500", value=""))
    app.run(app.other.set_env(name="V499", value="x"))


def test_only_what_was_set_can_be_removed(app):
    app.run(app.other.set_env(name="COLOUR", value="blue"))
    with pytest.raises(NotFoundError, match="did you mean 'COLOUR'"):
        app.other.unset_env(name="COLOR")
    app.service.announce(values={"HOST": "x"})
    with pytest.raises(NotFoundError, match="another service publishes it"):
        app.other.unset_env(name="HOST")


def test_a_users_own_value_wins_over_what_a_service_publishes(app):
    app.other.announce(values={"HOST": "theirs", "PORT": "1"})
    app.run(app.service.set_env(name="HOST", value="mine"))
    assert app.told() == {"HOST": "mine", "PORT": "1"}
    assert app.rows() == [
        ("HOST", "mine", "yours"),
        ("PORT", "1", "service 2 (New listening service)"),
    ]
    app.run(app.service.unset_env(name="HOST"))
    assert app.told() == {"HOST": "theirs", "PORT": "1"}
    assert app.rows()[0] == ("HOST", "theirs", "service 2 (New listening service)")


def test_nodes_are_told_what_is_published_while_they_run(app):
    app.other.announce(values={"HOST": "theirs"})
    app.cluster.wait(lambda: (app.cluster.look(), app.told() == {"HOST": "theirs"})[1])
    app.idle()
    app.cluster.look()
    app.idle()
    assert app.host.store["puts"] == 1


def test_what_the_type_refuses_is_not_taken_from_other_services_either(app):
    app.other.announce(values={"RADIO": "1", "HOST": "2"})
    app.cluster.wait(lambda: (app.cluster.look(), app.told() == {"HOST": "2"})[1])
    assert [name for name, _, _ in app.rows()] == ["HOST"]


def everything_kept(app):
    """Return all that is recorded or logged, but for the store, which hands the value on."""
    hits = []
    for machine in app.cluster.machines.values():
        rows = machine.records.execute("SELECT * FROM job")
        hits += [dict(row) for row in rows]
    hits += [*AuditRow.select().dicts(), *Job.select().dicts()]
    logs = [path for path in app.cluster.directory.rglob("*.log") if path.is_file()]
    hits += [path.read_text() for path in logs]
    return str(hits)


def test_a_secret_is_used_and_nowhere_to_be_read(app, caplog):
    caplog.set_level("INFO")
    app.run(app.service.set_env(name="KEY", value=CANARY, secret=True))
    assert app.told() == {"KEY": CANARY}
    assert app.rows() == [("KEY", "(secret)", "yours")]
    with pytest.raises(AgentError) as failed:
        app.run(app.service.set_env(name="BREAK", value=f"{CANARY}-too", secret=True))
    assert "BREAK='(secret)'" in failed.value.message
    assert CANARY not in str(failed.value.to_json())
    assert CANARY not in str(app.cluster.steps)
    assert CANARY not in str(app.service.get_history()) + app.service.get_log()
    kept = everything_kept(app)
    assert "set_env" in kept
    assert CANARY not in kept
    assert CANARY not in caplog.text


def test_no_refusal_repeats_a_value(app):
    for name, value in ((f"KEY={CANARY}", ""), ("KEY", f"{CANARY}\0"), ("KEY", CANARY * 4000)):
        with pytest.raises(InvalidError) as refused:
            app.service.set_env(name=name, value=value, secret=True)
        assert CANARY not in str(refused.value.to_json())
