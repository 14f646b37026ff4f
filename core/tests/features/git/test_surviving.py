"""Nothing that was pushed is lost, whatever is killed."""

from __future__ import annotations

import io
import subprocess
import threading

import pytest

from conpaas.api import Applications
from conpaas.errors import ConPaaSError, InvalidError, NotFoundError, UnreachableError
from conpaas.rpc import Upload


@pytest.fixture
def key(tmp_path):
    """A line of a public key."""
    return new_key(tmp_path / "key")


def new_key(path, comment="anna@home"):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        check=True,
    )
    return path.with_name(f"{path.name}.pub").read_text()


def upload(service, text):
    return service.upload_key(filename=Upload(io.BytesIO(text.encode()), "key.pub")).added


def trusted(app, line):
    """Whether sshd would let the owner of a key in."""
    kind, key, *_ = line.split()
    return list(app.server.keys([kind, key]))


def test_a_key_counts_at_once_and_for_all_services(app, key):
    assert trusted(app, key) == []
    assert upload(app.first, f"# mine\n\n{key}") == 1
    assert upload(app.second, key) == 0
    (row,) = app.second.list_keys()
    assert (row.id, row.type, row.comment) == (1, "ssh-ed25519", "anna@home")
    (line,) = trusted(app, key)
    assert line == f"restrict {' '.join(key.split()[:2])}"
    app.second.remove_key(key=1)
    assert trusted(app, key) == []
    with pytest.raises(NotFoundError, match="no key 1"):
        app.first.remove_key(key=1)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "empty"),
        ("hello world", "no public SSH key"),
        ("ssh-dss AAAA", "DSA"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "PRIVATE KEY"),
        ('command="id" ssh-ed25519 AAAA', "begins with options"),
        ("ssh-ed25519 AAAA", "damaged"),
    ],
)
def test_what_is_no_key_is_refused(app, text, because):
    with pytest.raises(InvalidError, match=because):
        upload(app.first, text)
    assert app.first.list_keys() == []


def test_a_file_with_one_bad_key_adds_none(app, key):
    with pytest.raises(InvalidError, match="key 2 of 2"):
        upload(app.first, f"{key}ssh-rsa AAAA\n")
    assert app.first.list_keys() == []


def test_keys_of_the_owners_account_count_while_the_director_answers(app, key, tmp_path):
    from conpaas.api.accounts import Users

    other = new_key(tmp_path / "other")
    upload(app.first, other)
    users = app.cluster.api(Users)
    added = users.add_key(filename=Upload(io.BytesIO(key.encode()), "key.pub"))
    assert trusted(app, key)
    app.cluster.network.silence("https://director:5555")
    assert trusted(app, key) == []
    assert trusted(app, other)
    app.cluster.network.silence("https://director:5555", False)
    assert trusted(app, key)
    users.remove_key(key=added.id)
    assert trusted(app, key) == []


def test_a_manager_that_is_killed_finds_its_repository(app, clone):
    commit = clone.write(**{"1__page": "a"}).commit()
    clone.push()
    before = app.first.get_repository()
    app.server.close()
    app.cluster.restart(app.machine)
    app.serve()
    assert app.server.repository.tips() == {"refs/heads/master": commit}
    assert app.first.get_repository() == before
    assert before.clone == f"git clone git@{app.manager.address}:code"
    assert (before.directory, before.host_key[:7]) == ("1", "SHA256:")


def test_a_repository_outlives_the_stop_of_its_application(app, clone, key):
    upload(app.first, key)
    commit = clone.write(**{"1__page": "a"}).commit()
    clone.push("origin", "master", "master:other")
    clone.git("tag", "v1")
    clone.push("origin", "v1")
    before = app.first.get_repository().host_key
    codes = app.codes()
    app.server.close()
    applications = app.cluster.api(Applications)
    app.cluster.run(applications.stop(application=app.aid))
    app.cluster.run(applications.start(application=app.aid))
    app.serve()
    assert app.server.repository.tips() == {
        "refs/heads/master": commit, "refs/heads/other": commit, "refs/tags/v1": commit,
    }  # fmt: skip
    assert app.first.get_repository().host_key == before
    assert app.codes() == codes
    assert trusted(app, key)
    again = app.clone("again")
    again.git("pull", "-q", "origin", "master")
    again.write(**{"1__page": "b"}).commit()
    assert "service 1: new code version" in again.push()


def test_only_the_newest_copy_is_kept(app, clone):
    for text in "abc":
        clone.write(page=text).commit()
        clone.push()
    assert app.blobs() == {app.manager.shared("git")["kept"]["blob"]}


def test_an_unreachable_director_delays_versions_and_loses_none(app, clone):
    commit = clone.write(**{"1__page": "a"}).commit()
    app.cluster.network.silence("https://director:5555")
    pushed = clone.push()
    app.cluster.network.silence("https://director:5555", False)
    assert pushed.code == 0
    assert "the manager tries again by itself" in pushed, pushed
    assert app.codes() == ["code-default"]
    app.server.pushes.catch_up()
    assert app.codes() == [f"git-{commit[:7]}", "code-default"]
    app.server.pushes.catch_up()
    assert len(app.codes()) == 2


@pytest.mark.parametrize("step", range(6))
def test_a_push_whose_manager_dies_at_any_step_is_dealt_with_later(app, clone, monkeypatch, step):
    desk, calls = app.manager.desk, []

    def dying(name):
        real = getattr(desk, name)

        def call(**arguments):
            calls.append(name)
            if len(calls) > step:
                raise UnreachableError("killed")
            return real(**arguments)

        return call

    for name in ("list_services", "put_blob", "hand_over", "delete_blob"):
        monkeypatch.setattr(desk, name, dying(name))
    commit = clone.write(**{"1__page": "a", "2__page": "b"}).commit()
    clone.push()
    monkeypatch.undo()
    app.server.close()
    app.cluster.restart(app.machine)
    app.serve().pushes.catch_up()
    version = f"git-{commit[:7]}"
    assert app.codes() == app.codes(app.second) == [version, "code-default"]
    kept = app.manager.shared("git")["kept"]
    assert kept["old"] == []
    assert kept["blob"] in app.blobs()


def test_without_a_manager_nothing_is_taken(app, clone):
    clone.write(**{"1__page": "a"}).commit()
    app.server.close()
    pushed = clone.push()
    assert pushed.code != 0
    assert "the manager does not answer: nothing was changed" in pushed, pushed
    assert app.server.repository.tips() == {}


def test_a_lost_copy_is_an_error_and_no_empty_repository(app, clone):
    clone.write(**{"1__page": "a"}).commit()
    clone.push()
    app.server.close()
    applications = app.cluster.api(Applications)
    app.cluster.run(applications.stop(application=app.aid))
    for blob in app.blobs():
        (app.cluster.config.data / f"applications/{app.aid}/blobs" / blob).unlink()
    app.cluster.run(applications.start(application=app.aid))
    with pytest.raises(ConPaaSError, match="there is no file"):
        app.serve()
    assert not app.server.repository.exists


def test_several_may_ask_at_once(app, key):
    upload(app.first, key)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(trusted(app, key))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[f"restrict {' '.join(key.split()[:2])}"]] * 8
