"""Users who go: shut out first, then what they own is stopped or deleted, then they are."""

import pytest

from conpaas.api import Applications
from conpaas.certificates import Identity, Role
from conpaas.director.models import Application, Job, Machine, SshKey, Token, User
from conpaas.errors import CloudError, DeniedError


@pytest.fixture
def running(cluster, sid):
    """An application with a service that runs, and one that never ran."""
    cluster.application("second", start=False)
    return sid


def states():
    return {row.name: row.state for row in Application.select()}


def test_a_disabled_user_is_shut_out_and_his_applications_stop(
    cluster, running, admin, owner, run_job
):
    session = owner.post("user/open_session").result["value"]
    report = run_job(admin, admin.post("user/disable", {"user": "test"}))
    assert (report["state"], report["result"]["state"]) == ("done", "disabled")
    assert states() == {"app": "STOPPED", "second": "INIT"}
    assert cluster.provider.machines == {}
    assert owner.post("application/list").code == "denied"
    assert Token.select().where(Token.kind == "session").count() == 0 and session
    stop = Job.get(Job.operation == "stop")
    assert (stop.username, stop.target) == ("admin", "application 1")


def test_an_enabled_user_is_let_in_again_and_starts_what_he_had(
    cluster, running, admin, owner, run_job
):
    run_job(admin, admin.post("user/disable", {"user": "test"}))
    got = admin.post("application/start", {"application": 1})
    assert (got.status, got.code) == (403, "denied")
    assert admin.post("user/enable", {"user": "test"}).result["state"] == "active"
    cluster.run(cluster.api(Applications).start(application=1))
    assert owner.post("service/list").result[0]["status"] == "STOPPED"


def test_who_is_deleted_leaves_nothing_behind(cluster, running, admin, owner, run_job, books):
    files = cluster.director.files(1)
    report = run_job(admin, admin.post("user/delete", {"user": "test"}))
    assert (report["state"], report["result"]["username"]) == ("done", "test")
    assert [user.username for user in User.select()] == ["admin"]
    assert Application.select().count() == Machine.select().count() == 0
    assert Token.select().count() == 1 and SshKey.select().count() == 0
    assert cluster.provider.machines == {} and books.right
    assert list(files.snapshot().pieces) == []
    assert owner.post("application/list").status == 401


def test_who_deletes_himself_sees_how_far_it_is_until_he_is_gone(cluster, running, owner):
    got = owner.post("user/delete", {"user": "test"})
    assert got.status == 202
    seen = []

    def gone():
        answer = owner.get(f"jobs/{got.json['job']}")
        seen.append(answer.status)
        return answer.status == 401

    cluster.wait(gone, 20)
    assert set(seen) <= {200, 401}
    assert User.select().count() == 0 and cluster.provider.machines == {}


def test_nobody_deletes_another_and_no_administrator_himself(admin, owner, stranger):
    assert owner.post("user/delete", {"user": "stranger"}).code == "denied"
    admin.post("user/set_admin", {"user": "stranger", "admin": True})
    for operation in ("delete", "disable"):
        got = admin.post(f"user/{operation}", {"user": "admin"})
        assert (got.status, got.code) == (400, "invalid"), operation
    assert User.select().where(~User.disabled).count() == 3


def test_a_cloud_that_fails_leaves_the_user_shut_out_and_the_next_try_goes_on(
    cluster, running, admin, run_job, monkeypatch
):
    room = cluster.director.room
    destroy = room.destroy

    def fail(machines):
        if machines:
            raise CloudError("the cloud is closed today")

    monkeypatch.setattr(room, "destroy", fail)
    report = run_job(admin, admin.post("user/delete", {"user": "test"}))
    assert (report["state"], report["error"]["code"]) == ("failed", "wrong-state")
    assert "application 1: the cloud is closed today" in report["message"]
    assert User.get(User.username == "test").disabled
    # What could be done has been done.
    assert states() == {"app": "ERROR"}
    monkeypatch.setattr(room, "destroy", destroy)
    assert run_job(admin, admin.post("user/delete", {"user": "test"}))["state"] == "done"
    assert cluster.provider.machines == {}


@pytest.mark.parametrize("operation", ["disable", "delete"])
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_finishes(
    cluster, running, admin, operation, monkeypatch
):
    """The job is cut off after each of its steps, by turns, until it has ended."""
    number = _submit(cluster, admin, operation)
    for step in range(40):
        if Job.get_by_id(number).active is None:
            break
        _run_so_far(cluster, number, step % 5)
    job = Job.get_by_id(number)
    assert job.state == "done", (job.state, job.error)
    assert cluster.provider.machines == {}
    left = User.get_or_none(User.username == "test")
    assert left is None if operation == "delete" else left.disabled


def _submit(cluster, admin, operation):
    """Record the job, and let workers run all but this one."""

    def run(number):
        with cluster.database.connection_context():
            if Job.get_by_id(number).object != "user":
                cluster.director.jobs.run(number)

    cluster._queue.run = run
    return admin.post(f"user/{operation}", {"user": "test"}).json["job"]


def _run_so_far(cluster, number, steps):
    """Run a job for so many of its steps, then as a worker that is dead."""
    jobs = cluster.director.jobs
    Job.update(heartbeat=0).where(Job.id == number).execute()
    note, left = jobs._note, [steps]

    def cut(job, step):
        note(job, step)
        left[0] -= 1
        if left[0] < 0 and job.id == number:
            raise SystemExit

    jobs._note = cut
    try:
        jobs.run(number)
    except SystemExit:
        pass
    finally:
        del jobs._note


def test_what_is_created_while_its_owner_is_deleted_is_refused(cluster, owner, admin):
    User.update(disabled=True).where(User.id == 1).execute()
    applications = cluster.director.object("application", _caller(cluster))
    with pytest.raises(DeniedError, match="disabled"):
        applications.create("late")
    assert Application.select().count() == 0


def _caller(cluster):
    from conpaas.director.users import Caller

    return Caller(1, "test")


def test_a_user_who_is_being_deleted_is_not_let_in(cluster, running, admin):
    number = _submit(cluster, admin, "delete")
    got = admin.post("user/enable", {"user": "test"})
    assert (got.status, got.code) == (409, "busy")
    assert f"being deleted (job {number})" in got.message


def test_the_managers_of_a_disabled_user_give_machines_back_and_get_none(
    cluster, running, call_as
):
    User.update(disabled=True).where(User.id == 1).execute()
    manager = call_as(identity=Identity(Role.MANAGER, owner=1, application=1, machine=1))
    wanted = {"service": 1, "roles": ["node"], "key": "more"}
    assert manager.post("manager/create_machines", wanted).code == "denied"
    assert manager.post("manager/remove_machines", {"machines": [2]}).status == 202


def test_a_disabled_users_manager_is_not_replaced(cluster, running):
    from conpaas.director.sweep import Sweep

    User.update(disabled=True).where(User.id == 1).execute()
    manager = Machine.get(Machine.service == 0)
    del cluster.provider.machines[manager.cloud_id]
    Sweep(cluster.director).round()
    assert Job.select().where(Job.operation == "replace_manager").count() == 0
