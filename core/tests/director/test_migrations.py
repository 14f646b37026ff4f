"""Databases of former versions are brought up to date, and what is in them stays."""

import shutil

import pytest

from conpaas.director import database, models


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A database as the first version left it."""
    first = tmp_path / "migrations"
    first.mkdir()
    shutil.copy(database.MIGRATIONS / "001_initial.py", first)
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", first)
        opened = database.open_database("", tmp_path)
        assert database.migrate(opened) == ["001_initial"]
    yield opened
    opened.close()


def test_accounts_are_added_to_what_is_there(old):
    people = [("ann", "Ann@b.org"), ("bob", "ann@B.org"), ("cid", "")]
    with old.connection_context():
        for name, email in people:
            old.execute_sql(
                "INSERT INTO user_account (username, email, password, admin, created) "
                "VALUES (?, ?, 'x', 0, 1.0)", (name, email)
            )  # fmt: skip
        old.execute_sql(
            "INSERT INTO token (user_id, name, digest, created) VALUES (1, 't', 'd', 1)"
        )
        old.execute_sql(
            "INSERT INTO application (user_id, name, state, services_made, created) "
            "VALUES (1, 'app', 'INIT', 0, 1.0)"
        )
    assert "002_accounts" in database.migrate(old)
    with old.connection_context():
        users = list(models.User.select().order_by(models.User.id))
        assert [(user.username, user.email) for user in users] == people
        # Of two with one address, the first keeps others from taking it.
        assert [user.email_key for user in users] == ["ann@b.org", None, None]
        token = models.Token.get()
        assert (token.kind, token.scope, token.expires, token.user.username) == (
            "token", "all", None, "ann"
        )  # fmt: skip
        assert models.Application.get().name == "app"


def test_the_tables_are_those_of_the_models(old):
    database.migrate(old)
    with old.connection_context():
        for model in models.MODELS:
            columns = {column.name for column in old.get_columns(model._meta.table_name)}
            assert columns == {field.column_name for field in model._meta.sorted_fields}
