"""A manager that is killed while it sets a variable: afterwards it is set, or as it was."""

import pytest

from conpaas.errors import AgentError, ConPaaSError


def test_a_variable_that_a_killed_manager_was_setting_is_set(app, dying, writes):
    app.run(app.service.set_env(name="OLD", value="1"))
    for number in writes():
        try:
            died = dying(app, lambda: app.run(app.service.set_env(name="NEW", value="2")), number)
        except ConPaaSError as error:
            pytest.fail(f"killed at write {number}, it was not taken up again: {error}")
        app.idle()
        told, rows = app.told(), {name for name, _, _ in app.rows()}
        assert told.keys() == rows, f"killed at write {number}"
        assert "OLD" in rows
        if not died:
            break
        if "NEW" in rows:
            app.run(app.service.unset_env(name="NEW"))
    assert number > 5
    assert "NEW" in rows


def test_a_variable_that_cannot_be_set_is_not_whenever_the_manager_dies(app, dying, writes):
    app.run(app.service.set_env(name="OLD", value="1"))
    outcomes = []

    def attempt():
        try:
            app.run(app.service.set_env(name="BREAK", value="it", secret=True))
            outcomes.append("set")
        except AgentError:
            outcomes.append("failed")

    for number in writes():
        outcomes.clear()
        died = dying(app, attempt, number)
        app.idle()
        assert outcomes in (["failed"], []), f"killed at write {number}"
        assert app.told() == {"OLD": "1"}
        assert [name for name, _, _ in app.rows()] == ["OLD"]
        if not died:
            break
    assert number > 5
    assert outcomes == ["failed"]
