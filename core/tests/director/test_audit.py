"""The record of changing calls: each leaves one row that says how it ended, and no secret."""

import pytest

from conpaas.director.models import AuditRow, Job, User, database

SECRETS = ("correct horse", "battery staple", "wrong horse", "cps_", "inv_")


@pytest.fixture
def listed(admin):
    """Return the entries that somebody sees, newest first, as (user, action, target, outcome)."""

    def listed(caller=admin, **filters):
        found = caller.post("audit/list", filters).result
        return [(one["user"], one["action"], one["target"], one["outcome"]) for one in found]

    return listed


def test_a_changing_call_is_one_entry_and_a_question_none(owner, listed):
    owner.post("application/create", {"name": "x"})
    owner.post("application/list")
    owner.get("application/get_info?application=1")
    assert listed() == [("test", "application create", "application 1", "ok")]


def test_what_is_refused_or_fails_is_recorded_with_why(owner, stranger, admin, listed, cluster):
    cluster.application("x", start=False)
    stranger.post("application/delete", {"application": 1})
    owner.post("user/create", {"username": "y", "password": "battery staple"})
    owner.post("application/rename", {"application": 1, "new_name": "1"})
    owner.get("application/delete?application=1")
    owner.post("manager/remove_machines", {"machines": [1]})
    assert listed(outcome="failed") == [
        ("test", "manager remove_machines", "", "denied"),
        ("test", "application delete", "", "invalid"),
        ("test", "application rename", "", "invalid"),
        ("test", "user create", "", "denied"),
        ("stranger", "application delete", "application 1", "not-found"),
    ]
    newest = admin.post("audit/list", {"action": "user create"}).result[0]
    assert newest["detail"] == "only administrators may call create"


def test_logins_are_recorded_the_good_and_the_bad(call_as, admin, listed):
    caller = call_as(address="203.0.113.5")
    caller.open_session("test", "wrong horse")
    caller.open_session("test", "correct horse")
    caller.open_session("my password", "wrong horse")
    caller.log_in("test", "wrong horse")
    assert listed() == [
        ("test", "user get_config", "user test", "unauthenticated"),
        ("", "user open_session", "an unknown user", "unauthenticated"),
        ("test", "user open_session", "user test", "ok"),
        ("test", "user open_session", "user test", "unauthenticated"),
    ]
    assert {row.address for row in AuditRow.select()} == {"203.0.113.5"}
    assert "my password" not in str(list(AuditRow.select().dicts()))


def test_registrations_are_recorded(call_as, admin, listed):
    code = admin.post("user/create_invitation").result["value"]
    person = {"username": "new", "email": "a@b.org", "password": "battery staple"}
    call_as().post("user/register", {**person, "invitation": "inv_wrong"})
    call_as().post("user/register", {**person, "invitation": code})
    assert listed()[:2] == [
        ("", "user register", "user new", "ok"),
        ("", "user register", "user new", "denied"),
    ]


def test_no_secret_is_ever_written(cluster, call_as, admin, owner):
    code = admin.post("user/create_invitation").result["value"]
    person = {"username": "new", "email": "a@b.org", "password": "battery staple"}
    call_as().post("user/register", {**person, "invitation": code})
    words = {"current_password": "correct horse", "new_password": "battery staple"}
    owner.post("user/passwd", words)
    owner.post("user/passwd", {"current_password": 1, "battery staple": 2})
    owner.post("user/create_token", {"name": "x"})
    admin.post("user/reset_password", {"user": "test", "new_password": "short"})
    call_as().log_in("test", "wrong horse")
    written = str([(row.target, row.detail, row.username) for row in AuditRow.select()])
    # (The name of an argument that there is not is told back: it is no value.)
    for secret in SECRETS:
        assert secret not in written.replace("unknown argument 'battery staple'", "")


def test_the_entry_of_a_job_ends_with_the_job(cluster, aid, owner, admin, run_job, listed):
    entry = admin.post("audit/list", {"action": "application start"}).result[0]
    assert (entry["outcome"], entry["detail"]) == ("ok", "job 1")
    cluster._queue.run = lambda number: None
    got = owner.post("application/stop", {"application": aid})
    (entry,) = admin.post("audit/list", {"action": "stop"}).result
    assert entry["outcome"] == f"job {got.json['job']}"
    Job.update(cancel=True).execute()
    cluster.director.jobs.run(got.json["job"])
    (entry,) = admin.post("audit/list", {"action": "stop"}).result
    assert entry["outcome"] == "cancelled"


def test_a_job_that_fails_says_so(cluster, owner, admin, run_job):
    cluster.application("x", start=False)

    def refuse(*anything):
        raise RuntimeError("no")

    cluster.provider.on_create = refuse
    run_job(owner, owner.post("application/start", {"application": 1}))
    (entry,) = admin.post("audit/list", {"action": "application start"}).result
    assert entry["outcome"] not in ("ok", "unknown") and "job 1: " in entry["detail"]


def test_operations_of_services_are_recorded_with_their_type(cluster, sid, owner, listed, admin):
    owner.post("applications/app/services/1/set_word", {"word": "battery staple"})
    owner.post("applications/1/services/1/set_word", {})
    owner.get("applications/1/services/1/list_nodes")
    got = owner.post("applications/1/services/1/stop", {})
    target = "service 1 of application 1"
    # The manager's own jobs, which the calls led to, stand there too.
    called = [row for row in listed() if row[1].startswith("simple")]
    assert called[0][:3] == ("test", "simple stop", target)
    assert called[1:3] == [
        ("test", "simple set_word", target, "invalid"),
        ("test", "simple set_word", target, "ok"),
    ]
    cluster.wait(lambda: owner.get(got.json["watch"][8:]).result["state"] == "done")
    assert listed(action="simple stop") == [("test", "simple stop", target, "ok")]


def test_a_crash_in_a_call_leaves_unknown(cluster, owner, listed, monkeypatch):
    from conpaas.director.applications import ApplicationsObject

    def die(*anything, **more):
        AuditRow.update = None  # what comes after a crash does not come
        raise SystemExit

    update = AuditRow.update
    monkeypatch.setattr(ApplicationsObject, "create", die)
    try:
        owner.post("application/create", {"name": "x"})
    finally:
        del AuditRow.update
    assert AuditRow.update == update
    assert listed() == [("test", "application create", "", "unknown")]
    assert listed(outcome="failed") == listed(outcome="ok") == []


def test_users_see_their_own_calls_and_what_was_done_to_their_things(
    cluster, owner, stranger, call_as, listed
):
    cluster.application("mine", start=False)
    stranger.post("application/create", {"name": "theirs"})
    User.update(admin=True).where(User.username == "stranger").execute()
    boss = call_as(token=stranger.token, address="203.0.113.5")
    boss.post("application/rename", {"application": 1, "new_name": "ours"})
    told = owner.post("audit/list").result
    assert [(one["user"], one["action"]) for one in told] == [
        ("stranger", "application rename"),
        ("test", "application create"),
    ]
    # From where somebody else called is not for them.
    assert told[0]["address"] == ""


def test_filters_and_pages(cluster, owner, admin, listed):
    for name in ("a", "b", "c"):
        cluster.clock.advance(seconds=10)
        cluster.application(name, start=False)
    assert len(listed(action="create")) == len(listed(action="application create")) == 3
    assert listed(action="service create") == listed(user="nobody") == []
    assert [row[2] for row in listed(count=2)] == ["application 3", "application 2"]
    newest = admin.post("audit/list", {"count": 1}).result[0]
    assert [row[2] for row in listed(before=newest["id"])] == ["application 2", "application 1"]
    assert [row[2] for row in listed(target="application 2")] == ["application 2"]
    assert len(listed(since=newest["time"])) == 1
    assert len(listed(since="2020-01-01")) == 3
    got = admin.post("audit/list", {"since": "yesterday"})
    assert (got.status, got.code) == (400, "invalid")


def test_lists_of_a_hundred_thousand_entries_read_no_more_than_they_show(cluster, owner, admin):
    with database.atomic():
        database.execute_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
            "INSERT INTO audit (time, user, username, owner, address, object, operation, target, "
            "outcome, detail) SELECT i, 1 + i % 50, 'user' || (i % 50), i % 7, '', 'application', "
            "'op' || (i % 20), 'application ' || (i % 500), 'ok', '' FROM n"
        )
    asked = []
    original = cluster.database.execute_sql

    def note(sql, *values):
        asked.append((sql, *values))
        return original(sql, *values)

    book = cluster.director.audit
    for visible in (None, 1, 49, 1000):
        for filters in ({}, {"user": "user7"}, {"action": "op3"}, {"target": "application 9"}):
            cluster.database.execute_sql = note
            book.rows(visible, **filters)
            cluster.database.execute_sql = original
    assert len(asked) == 4 * 7
    for sql, values in asked:
        plan = str(database.execute_sql(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
        # In the order of an index, from the newest on, until there are enough.
        assert "TEMP B-TREE" not in plan, (sql, plan)
        assert "USING INDEX" in plan or "WHERE" not in sql, (sql, plan)
