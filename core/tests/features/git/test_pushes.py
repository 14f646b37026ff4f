"""What pushes come to, told by real git through real hooks."""

from __future__ import annotations

import io
import re
import tarfile

from conpaas.features.code.packing import packed
from conpaas.rpc import Upload
from conpaas.state import State


def test_a_push_makes_a_version_and_says_how_to_enable_it(app, clone):
    commit = clone.write(**{"1__page": "hello"}).commit("The first page")
    pushed = clone.push()
    assert pushed.code == 0
    version = f"git-{commit[:7]}"
    assert f"service 1: new code version {version}." in pushed
    assert f"cps-site list_codes {app.aid} 1" in pushed
    assert f"cps-site enable_code {app.aid} 1 {version}" in pushed

    newest, default = app.first.list_codes()
    assert (newest.codeVersionId, newest.filename) == (version, f"{commit[:7]}.tar.gz")
    assert (newest.description, newest.current) == ("The first page", "")
    assert default.codeVersionId == "code-default"
    assert app.codes(app.second) == ["code-default"]


def test_a_pushed_version_is_enabled_downloaded_and_deleted_like_an_upload(app, clone):
    version = f"git-{clone.write(**{'1__page': 'hello'}).commit()[:7]}"
    clone.push()
    app.cluster.run(app.first.enable_code(code_version=version))
    app.cluster.run(app.first.start())
    assert app.first.pages() == ["hello"]
    download = app.first.download_code()
    with tarfile.open(fileobj=io.BytesIO(b"".join(download.pieces))) as tar:
        assert tar.getnames() == ["page"]

    second = f"git-{clone.write(**{'1__page': 'hello again'}).commit()[:7]}"
    clone.push()
    app.cluster.run(app.first.enable_code(code_version=second))
    assert app.first.pages() == ["hello again"]
    before = app.blobs()
    app.first.delete_code(code_version=version)
    assert app.codes() == [second, "code-default"]
    assert len(app.blobs()) == len(before) - 1


def test_only_services_whose_directory_changed_get_a_version(app, clone):
    one = clone.write(**{"1__page": "a", "2__page": "b"}).commit()
    assert clone.push().said.count("new code version") == 2
    two = clone.write(**{"2__page": "c"}).commit()
    pushed = clone.push()
    assert f"service 1: unchanged since git-{one[:7]}" in pushed
    assert f"service 2: new code version git-{two[:7]}" in pushed
    assert len(app.codes()) == 2
    assert len(app.codes(app.second)) == 3


def test_equal_directories_of_two_services_are_two_archives(app, clone):
    version = f"git-{clone.write(**{'1__page': 'a', '2__page': 'a'}).commit()[:7]}"
    clone.push()
    app.second.delete_code(code_version=version)
    assert b"".join(app.first.download_code(version=version).pieces)


def test_content_that_comes_back_is_a_new_version(app, clone):
    commits = []
    for text in ("a", "b", "a"):
        commits.append(clone.write(**{"1__page": text}).commit())
        clone.push()
    assert app.codes()[:3] == [f"git-{commit[:7]}" for commit in reversed(commits)]


def test_a_push_without_a_directory_says_how_to_make_one(app, clone):
    clone.write(page="lost").commit()
    pushed = clone.push()
    assert pushed.code == 0
    assert "there is no directory 1 for service 1 (site 'New site service')" in pushed
    assert "there is no directory 2 for service 2" in pushed
    assert "mkdir 1" in pushed
    assert app.codes() == ["code-default"]


def test_a_directory_of_no_service_is_told(app, clone):
    clone.write(**{"1__page": "a", "7__page": "b"}).commit()
    assert "directory 7: application" in clone.push()


def test_main_is_as_good_as_master_and_other_branches_are_only_stored(app, clone):
    commit = clone.write(**{"1__page": "a"}).commit()
    assert f"new code version git-{commit[:7]}" in clone.push("origin", "master:main")
    assert "main" in clone.git("ls-remote", "--symref", "origin", "HEAD").stdout.decode()
    clone.write(**{"1__page": "b"}).commit()
    pushed = clone.push("origin", "master:refs/heads/feature")
    assert "'feature' is stored. No code version is made of it" in pushed
    assert len(app.codes()) == 2
    assert set(app.server.repository.tips()) == {"refs/heads/main", "refs/heads/feature"}


def test_a_forced_push_replaces_the_branch_and_no_version(app, clone):
    first = clone.write(**{"1__page": "a"}).commit()
    clone.push()
    clone.git("commit", "-q", "--amend", "-m", "Better words")
    (clone.path / "1/page").write_text("b")
    clone.git("commit", "-qa", "--amend", "--no-edit")
    assert clone.push().code != 0
    forced = clone.push("--force", "origin", "master")
    assert "service 1: new code version" in forced
    assert f"git-{first[:7]}" in app.codes()
    assert len(app.codes()) == 3


def test_going_back_by_force_finds_the_version_that_is_there(app, clone):
    first = clone.write(**{"1__page": "a"}).commit()
    clone.push()
    clone.write(**{"1__page": "b"}).commit()
    clone.push()
    clone.git("reset", "-q", "--hard", first)
    forced = clone.push("--force", "origin", "master")
    assert f"code version git-{first[:7]} is there already" in forced
    assert len(app.codes()) == 3


def test_a_deleted_branch_leaves_its_versions(app, clone):
    clone.write(**{"1__page": "a"}).commit()
    clone.push("origin", "master", "master:main", "master:other")
    assert "'other' is deleted" in clone.push("origin", "--delete", "other")
    assert "'main' is deleted" in clone.push("origin", "--delete", "main")
    refused = clone.push("origin", "--delete", "master")
    assert refused.code != 0
    assert "deletion of the current branch prohibited" in refused
    assert len(app.codes()) == 2


def test_the_subject_is_fit_to_be_shown(app, clone):
    clone.write(**{"1__page": "a"})
    clone.git("add", ".")
    message = "caf\u00e9 \x1b[31mred " + "x" * 300
    clone.git("commit", "-q", "-m", message)
    clone.push()
    description = app.first.list_codes()[0].description
    assert description.startswith("caf\u00e9 [31mred xxx")
    assert len(description) == 200


def test_a_push_between_upload_and_enabling_disturbs_neither(app, clone):
    clone.write(**{"1__page": "a"}).commit()
    clone.push()
    upload = Upload(io.BytesIO(packed({"page": "c"})), "code.tar")
    uploaded = app.first.upload_code(filename=upload)
    newer = clone.write(**{"1__page": "b"}).commit()
    app.cluster.run(app.first.start())
    # It is under way from here on; whether anybody looks at it before it ends is chance.
    job = app.first.enable_code(code_version=uploaded.codeVersionId)
    assert f"git-{newer[:7]}" in clone.push()
    app.cluster.run(job)
    assert app.cluster.state(app.aid, 1) is State.RUNNING
    assert len(app.codes()) == 4
    assert re.match(r"git-", app.codes()[0])
