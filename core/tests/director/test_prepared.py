"""A question whose SQL is written once has the same answer as one that is written each time."""

import pytest

from conpaas.director.database import migrate, open_database
from conpaas.director.models import User
from conpaas.director.prepared import Prepared


@pytest.fixture
def fresh(tmp_path):
    """Make a database with some users, and bind the tables to it."""
    made = []

    def make(*names):
        opened = open_database("", tmp_path / str(len(made)))
        migrate(opened)
        made.append(opened)
        for name in names:
            User.create(username=name, password="")

    yield make
    for opened in made:
        opened.close()


def test_each_value_has_its_own_answer(fresh):
    fresh("ann", "bob")
    by_name = Prepared(lambda name: User.select(User.id).where(User.username == name))
    assert [by_name.rows(name) for name in ("bob", "ann", "eve")] == [[(2,)], [(1,)], []]


def test_the_other_values_of_the_query_stay(fresh):
    fresh("ann", "bob", "cid")
    query = Prepared(
        lambda least: User.select(User.username).where(
            User.username != "bob", User.id >= least, User.username != "cid"
        )
    )
    assert query.rows(1) == [("ann",)]


def test_text_is_a_value_and_never_sql(fresh):
    fresh("ann")
    by_name = Prepared(lambda name: User.select(User.id).where(User.username == name))
    assert by_name.rows("' OR 1=1 --") == []


def test_a_row_is_what_it_is_without(fresh):
    fresh("ann", "bob")
    User.update(admin=True, email_key="bob@example.org").where(User.id == 2).execute()
    by_name = Prepared(lambda name: User.select().where(User.username == name))
    found, expected = by_name.first(User, "bob"), User.get(User.username == "bob")
    assert found.__data__ == expected.__data__
    assert found.admin is True
    assert by_name.first(User, "eve") is None
    found.fname = "Bob"
    found.save()
    assert User.get(User.id == 2).fname == "Bob"


def test_another_database_is_asked_when_the_tables_move_there(fresh):
    by_name = Prepared(lambda name: User.select(User.id).where(User.username == name))
    fresh("ann", "bob")
    assert by_name.rows("bob") == [(2,)]
    fresh("bob")
    assert by_name.rows("bob") == [(1,)]
