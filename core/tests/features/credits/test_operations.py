"""What users and administrators ask about credit, and what they are told beside the answers."""

from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from conpaas.api import Applications
from conpaas.director.models import User
from conpaas.director.users import new_token
from conpaas.errors import DeniedError, InvalidError, NotFoundError
from conpaas.features.credits import conpaas_user_created
from conpaas.features.credits.api import Credits
from conpaas.features.credits.director import notices
from conpaas.testing.cluster import DIRECTOR_URL
from conpaas.testing.network import NetworkPeers


@pytest.fixture
def mine(cluster):
    """The user's operations."""
    return cluster.api(Credits)


@pytest.fixture
def admins(cluster):
    """An administrator's operations."""
    user = User.create(username="boss", password="!", admin=True)
    conpaas_user_created(cluster.config, user, None)
    return cluster.api(Credits, new_token(user.id, "test"))


def test_a_user_sees_his_own_credit_and_use(cluster, mine, charge):
    cluster.application()
    assert mine.get_credit() == 9
    assert mine.get_credit(user="test") == 9
    (charged, granted) = mine.credit_history()
    assert (charged.kind, charged.amount, charged.balance) == ("charge", -1, 9)
    assert (charged.application, charged.sid, charged.reason) == ("app", 0, "hour 1")
    assert (granted.kind, granted.amount, granted.balance) == ("grant", 10, 10)
    (used,) = mine.get_usage()
    assert (used.application, used.credits) == ("app", 1)


def test_a_user_neither_sees_the_credit_of_others_nor_changes_any(mine, admins):
    for call in (mine.get_credit, mine.credit_history, mine.get_usage):
        with pytest.raises(DeniedError, match="only administrators"):
            call(user="boss")
    with pytest.raises(DeniedError, match="only administrators"):
        mine.add_credit(user="test", credit=5)
    with pytest.raises(DeniedError, match="only administrators"):
        mine.set_unlimited(user="test", unlimited=True)
    assert mine.get_credit() == 10


def test_an_administrator_gives_and_takes_and_the_history_says_why(mine, admins):
    assert admins.add_credit(user="test", credit=5, reason="for the course").credit == 15
    assert admins.add_credit(user=1, credit=-3).credit == 12
    (taken, given, _) = mine.credit_history()
    assert (given.amount, given.reason, given.by) == (5, "for the course", "boss")
    assert (taken.amount, taken.balance) == (-3, 12)
    with pytest.raises(InvalidError, match="13 cannot be taken away"):
        admins.add_credit(user="test", credit=-13)
    with pytest.raises(NotFoundError, match="there is no user 'tset'"):
        admins.add_credit(user="tset", credit=1)
    with pytest.raises(InvalidError):
        admins.add_credit(user="test", credit=10**12)


def test_an_administrator_is_not_charged_and_others_need_not_be(mine, admins):
    assert admins.get_credit() == "unlimited"
    assert admins.set_unlimited(user="test", unlimited=True).credit == "unlimited"
    assert mine.get_credit() == "unlimited"
    assert admins.set_unlimited(user="test", unlimited=False).credit == 10


# -- notices ---------------------------------------------------------------------------------


@pytest.fixture
def call(cluster):
    """Call an operation and return the answer's status and its notice."""

    def call(path, token=None, body=b"{}"):
        answer = NetworkPeers(cluster.network).request(
            DIRECTOR_URL, "POST", f"/api/v1/{path}", body=body,
            headers={"Content-Type": "application/json",
                     "Authorization": f"Bearer {token or cluster.token}"},
        )  # fmt: skip
        found = {name.lower(): value for name, value in answer.headers.items()}
        return SimpleNamespace(
            status=answer.status, notice=unquote(found.get("x-conpaas-notice", ""))
        )

    return call


def test_who_changes_something_with_little_credit_is_told(cluster, call, top_up):
    cluster.api(Applications).create(name="app")
    answer = call("application/rename", body=b'{"application": 1, "new_name": "b"}')
    assert answer.notice == "You have 10 credits left."
    assert call("application/list").notice == ""
    top_up(1)
    assert call("application/create", body=b'{"name": "c"}').notice == ""


def test_who_begins_a_job_with_little_credit_is_told(cluster, call, idle):
    aid = cluster.application()
    service = cluster.service("simple", aid)
    answer = call(f"applications/{aid}/services/1/start")
    assert answer.status == 202
    # Before or after its machine was charged.
    assert answer.notice.startswith(("You have 9 credits left", "You have 8 credits left"))
    cluster.wait(lambda: service.get_history()[-1].state == "RUNNING")
    answer = call("application/stop", body=b'{"application": 1}')
    assert answer.status == 202
    assert answer.notice.startswith("You have 8 credits left")
    idle()


def test_notices_that_cannot_be_had_do_not_fail_what_was_done(cluster, call, monkeypatch):
    def broken(director, user):
        raise RuntimeError("a bug")

    monkeypatch.setattr(notices, "notices", broken)
    answer = call("application/create", body=b'{"name": "c"}')
    assert (answer.status, answer.notice) == (200, "")


def test_who_is_not_charged_is_told_nothing(cluster, call, ledger):
    ledger.set_unlimited(1, True)
    assert call("application/create", body=b'{"name": "c"}').notice == ""
