"""Rate limits: guessing gets slow, and nobody keeps the owner out of his account."""

import threading

import pytest

from conpaas.director.attempts import ACCOUNT, ADDRESS, PAIR, REGISTRATION, Attempts, network
from conpaas.director.models import Attempt
from conpaas.errors import TooManyError

HERE, THERE = "203.0.113.1", "198.51.100.2"


@pytest.fixture
def attempts(cluster):
    """What counts."""
    return Attempts(cluster.clock)


def guess_in_vain(attempts, times, username="test", address=HERE):
    for _ in range(times):
        attempts.guess(username, address)


def test_the_first_wrong_passwords_cost_nothing_and_then_each_costs_more(cluster, attempts):
    guess_in_vain(attempts, PAIR.free)
    waits = []
    for _ in range(12):
        with pytest.raises(TooManyError) as told:
            attempts.guess("test", HERE)
        waits.append(told.value.detail["retry_after"])
        cluster.clock.advance(seconds=waits[-1])
        attempts.guess("test", HERE)
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert waits[-1] == PAIR.longest


def test_trying_while_one_has_to_wait_does_not_make_it_longer(cluster, attempts):
    guess_in_vain(attempts, PAIR.free + 0)
    for _ in range(5):
        with pytest.raises(TooManyError):
            attempts.guess("test", HERE)
    cluster.clock.advance(seconds=1)
    attempts.guess("test", HERE)


def test_the_right_password_clears_the_account(cluster, attempts):
    for _ in range(3):
        guess_in_vain(attempts, PAIR.free - 1)
        attempts.guess("test", HERE)
        attempts.guessed("test", HERE)


def test_the_right_password_of_one_account_does_not_clear_the_address(cluster, attempts):
    for number in range(ADDRESS.free):
        attempts.guess("mine", HERE)
        attempts.guessed("mine", HERE)
        attempts.guess(f"user{number}", HERE)
    with pytest.raises(TooManyError):
        attempts.guess("another", HERE)
    attempts.guess("another", THERE)


def test_somebody_elses_guesses_do_not_keep_the_owner_out(cluster, attempts):
    attempts.guess("test", HERE)
    attempts.guessed("test", HERE)
    for number in range(3 * ACCOUNT.free):
        # From everywhere, for hours, as fast as it goes.
        try:
            attempts.guess("test", f"198.51.{number // 250}.{number % 250}")
        except TooManyError:
            cluster.clock.advance(seconds=30)
    with pytest.raises(TooManyError) as told:
        attempts.guess("test", "192.0.2.77")
    assert told.value.detail["retry_after"] <= ACCOUNT.longest
    attempts.guess("test", HERE)


def test_what_was_long_ago_is_forgotten(cluster, attempts):
    guess_in_vain(attempts, PAIR.free)
    cluster.clock.advance(hours=1)
    guess_in_vain(attempts, PAIR.free)
    cluster.clock.advance(hours=2)
    attempts.guess("other", THERE)
    assert {row.name.split()[-1] for row in Attempt.select()} == {THERE, "other"}


def test_many_guesses_at_once_are_many_guesses(cluster, attempts):
    passed = []

    def guess():
        with cluster.database.connection_context():
            try:
                attempts.guess("test", HERE)
                passed.append(1)
            except TooManyError:
                pass

    threads = [threading.Thread(target=guess) for _ in range(3 * PAIR.free)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == PAIR.free


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_whoever_has_one_address_of_a_network_has_all(address, place):
    assert network(address) == place


def test_a_name_that_no_user_can_have_is_not_kept(cluster, attempts):
    attempts.guess("my secret password", HERE)
    assert "secret" not in str([row.name for row in Attempt.select()])


# -- at the door ----------------------------------------------------------------------------------


def test_too_many_wrong_passwords_are_answered_429_with_when_to_come_back(cluster, call_as):
    caller = call_as(address=HERE)
    for _ in range(PAIR.free):
        assert caller.log_in("test", "wrong horse").status == 401
    got = caller.log_in("test", "correct horse")
    assert (got.status, got.code) == (429, "too-many")
    assert got.message == "too many wrong passwords: try again in 1 second"
    assert got.headers["retry-after"] == "1"
    assert call_as(address=THERE).log_in("test", "correct horse").status == 200
    cluster.clock.advance(seconds=1)
    assert caller.log_in("test", "correct horse").status == 200


def test_an_unknown_user_is_limited_in_the_same_way(cluster, call_as):
    caller = call_as(address=HERE)
    answers = [caller.log_in("nobody", "wrong horse").status for _ in range(PAIR.free + 1)]
    assert answers == [401] * PAIR.free + [429]


def test_another_worker_counts_the_same(cluster, call_as):
    for _ in range(PAIR.free):
        call_as(address=HERE).log_in("test", "wrong horse")
    cluster.start_director()
    assert call_as(address=HERE).log_in("test", "correct horse").status == 429


def test_the_present_password_is_not_guessed_by_changing_it(cluster, owner):
    words = {"current_password": "wrong horse", "new_password": "battery staple"}
    answers = [owner.post("user/passwd", words).status for _ in range(PAIR.free + 1)]
    assert answers == [400] * PAIR.free + [429]


def test_registrations_from_one_address_get_slow(cluster, call_as, set_accounts):
    set_accounts(registration="open")
    caller = call_as(address=HERE)
    # Refused for its password: that costs nobody an hour, and counts all the same.
    person = {"username": "new", "email": "a@b.org", "password": "short"}
    for _ in range(REGISTRATION.free):
        assert caller.post("user/register", person).status == 400
    got = caller.post("user/register", person)
    assert (got.status, got.headers["retry-after"]) == (429, "60")
    good = person | {"password": "battery staple"}
    assert call_as(address=THERE).post("user/register", good).status == 200


def test_those_who_are_invited_do_not_wait_for_each_other(cluster, call_as, admin):
    caller = call_as(address=HERE)
    for number in range(REGISTRATION.free + 2):
        code = admin.post("user/create_invitation").result["value"]
        person = {"username": f"user{number}", "email": f"{number}@b.org", "invitation": code}
        got = caller.post("user/register", {**person, "password": "battery staple"})
        assert got.status == 200
