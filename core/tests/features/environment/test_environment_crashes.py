"""A manager that is killed while it sets a variable: afterwards it is set, or as it was."""

import pytest

from conpaas.errors import AgentError, ConPaaSError

WRITES = range(16)


@pytest.mark.parametrize("number", WRITES)
def test_a_variable_that_a_killed_manager_was_setting_is_set(app, dying, number):
    app.run(app.service.set_env(name="OLD", value="1"))
    try:
        dying(app, lambda: app.run(app.service.set_env(name="NEW", value="2")), number)
    except ConPaaSError as error:
        pytest.fail(f"it was not taken up again: {error}")
    app.idle()
    told, rows = app.told(), {name for name, _, _ in app.rows()}
    assert told.keys() == rows
    assert "OLD" in rows


@pytest.mark.parametrize("number", WRITES)
def test_a_variable_that_cannot_be_set_is_not_whenever_the_manager_dies(app, dying, number):
    app.run(app.service.set_env(name="OLD", value="1"))
    outcomes = []

    def attempt():
        try:
            app.run(app.service.set_env(name="BREAK", value="it", secret=True))
            outcomes.append("set")
        except AgentError:
            outcomes.append("failed")

    dying(app, attempt, number)
    app.idle()
    assert outcomes in (["failed"], [])
    assert app.told() == {"OLD": "1"}
    assert [name for name, _, _ in app.rows()] == ["OLD"]


def test_the_last_of_these_writes_is_after_the_end(app, dying):
    died = dying(app, lambda: app.run(app.service.set_env(name="NEW", value="2")), WRITES[-1])
    assert not died, "there are more writes than the tests above know: raise their number"
