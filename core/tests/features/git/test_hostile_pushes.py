"""Pushes that mean harm, or look like it: clear words, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import threading
import zlib

import pytest


def refused_version(app, pushed, *words):
    """A push was stored, made no version of service 1, and said why."""
    assert pushed.code == 0, pushed
    assert "service 1 (site 'New site service'): no new code version:" in pushed, pushed
    for word in words:
        assert word in pushed, pushed
    assert app.codes() == ["code-default"]


def test_empty_files_and_strange_names_are_code_like_any(app, clone):
    clone.write(**{"1__empty": ""})
    (clone.path / "1" / os.fsdecode(b"caf\xe9 \xff\n")).write_text("x")
    clone.commit()
    assert "service 1: new code version" in clone.push()
    version = app.codes()[0]
    app.cluster.run(app.first.enable_code(code_version=version))
    (agent_code,) = [app.first.download_code(version=version)]
    assert b"".join(agent_code.pieces)


@pytest.mark.parametrize("target", ["../../etc/passwd", "/etc/passwd"])
def test_a_link_out_of_the_directory_makes_no_version(app, clone, target):
    clone.write(**{"1__page": "a"})
    (clone.path / "1/link").symlink_to(target)
    clone.commit()
    refused_version(app, clone.push(), "link is a link that leaves the archive")
    assert app.blobs() - {app.manager.shared("git")["kept"]["blob"]} == set()


def test_a_link_to_another_services_directory_makes_no_version(app, clone):
    clone.write(**{"1__page": "a", "2__secret": "b"})
    (clone.path / "1/link").symlink_to("../2/secret")
    clone.commit()
    pushed = clone.push()
    assert "link is a link that leaves the archive" in pushed
    assert "service 2: new code version" in pushed


def test_a_submodule_makes_no_version(app, clone):
    clone.write(**{"1__page": "a"})
    clone.git("add", ".")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},1/library")
    clone.git("commit", "-qm", "A submodule")
    refused_version(app, clone.push(), "1/'library' is a submodule", "add the files themselves")


def test_a_file_or_a_link_in_place_of_the_directory_makes_no_version(app, clone):
    (clone.path / "1").symlink_to("/etc")
    clone.commit()
    refused_version(app, clone.push(), "'1' is no directory")


def test_a_correction_after_a_refusal_makes_a_version(app, clone):
    (clone.path / "1").mkdir()
    (clone.path / "1/link").symlink_to("/etc/passwd")
    clone.commit()
    refused_version(app, clone.push())
    (clone.path / "1/link").unlink()
    clone.write(**{"1__page": "a"}).commit()
    assert "service 1: new code version" in clone.push()


def test_too_many_files_make_no_version(app, clone):
    clone.write(**{f"1__{number}": str(number) for number in range(2001)}).commit()
    refused_version(app, clone.push(), "more than 2000")


def test_a_tree_that_unfolds_without_end_makes_no_version(app, clone):
    tree = clone.git("hash-object", "-w", "--stdin").stdout.decode().strip()
    line = f"100644 blob {tree}\tx"
    for _ in range(12):
        made = subprocess.run(
            ["git", "mktree"], cwd=clone.path, capture_output=True, check=True,
            input="".join(line.replace("\tx", f"\t{n}") + "\n" for n in range(12)).encode(),
        )  # fmt: skip
        line = f"040000 tree {made.stdout.decode().strip()}\tx"
    root = subprocess.run(
        ["git", "mktree"], cwd=clone.path, capture_output=True, check=True,
        input=line.replace("\tx", "\t1").encode(),
    ).stdout.decode().strip()  # fmt: skip
    commit = clone.git("commit-tree", root, "-m", "bomb").stdout.decode().strip()
    clone.git("update-ref", "refs/heads/master", commit)
    refused_version(app, clone.push(), "more than")


def test_a_pack_that_is_too_large_changes_nothing(app, clone):
    clone.write(**{"1__big": os.urandom(4 << 20)}).commit()
    pushed = clone.push()
    assert pushed.code != 0
    assert "maximum allowed size" in pushed, pushed
    assert app.server.repository.tips() == {}
    assert app.server.repository.size() < 1 << 20


def test_a_full_repository_takes_no_more_and_says_what_to_do(app, clone):
    clone.write(**{"1__big": os.urandom(2 << 20)}).commit()
    assert clone.push().code == 0
    clone.write(**{"1__more": os.urandom(2 << 20)}).commit()
    pushed = clone.push()
    assert pushed.code != 0
    assert "of the 3.0 MB that it may have" in pushed, pushed
    assert "--force" in pushed
    assert len(app.codes()) == 2
    assert app.server.repository.size() < 3 << 20


def test_code_that_unpacks_to_too_much_makes_no_version(app, clone):
    clone.write(**{"1__zeros": bytes(9 << 20)}).commit()
    refused_version(app, clone.push())


def test_only_branches_and_tags_are_taken(app, clone):
    clone.write(**{"1__page": "a"}).commit()
    pushed = clone.push("origin", "master:refs/replace/" + "1" * 40)
    assert pushed.code != 0
    assert "push branches and tags only" in pushed
    assert app.server.repository.tips() == {}


def test_a_damaged_object_is_refused(app, clone):
    # A tree with an entry called "..", which git itself would not write.
    blob = clone.git("hash-object", "-w", "--stdin").stdout.decode().strip()
    body = b"100644 ..\0" + bytes.fromhex(blob)
    made = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        cwd=clone.path, input=body, capture_output=True, check=True,
    )  # fmt: skip
    tree = made.stdout.decode().strip()
    commit = clone.git("commit-tree", tree, "-m", "evil").stdout.decode().strip()
    clone.git("update-ref", "refs/heads/master", commit)
    pushed = clone.push()
    assert pushed.code != 0
    assert "hasDotdot" in pushed, pushed
    assert zlib.crc32(body)


def test_settings_and_hooks_in_the_tree_have_no_effect(app, clone, tmp_path):
    trap = tmp_path / "trapped"
    clone.write(**{
        "hooks__post-receive": f"#!/bin/sh\ntouch {trap}\n",
        "config": f"[core]\n\tfsmonitor = touch {trap}\n",
        "1__.gitattributes": "page export-subst filter=evil\n",
        "1__page": "$Format:%H$",
    })  # fmt: skip
    clone.commit()
    assert "service 1: new code version" in clone.push()
    assert not trap.exists()
    app.cluster.run(app.first.enable_code(code_version=app.codes()[0]))
    app.cluster.run(app.first.start())
    assert app.first.pages() == ["$Format:%H$"]


def test_ten_pushes_at_once_are_each_dealt_with(app):
    clones = [app.clone(f"clone-{number}") for number in range(10)]
    commits = [
        clone.write(**{"1__page": str(number)}).commit() for number, clone in enumerate(clones)
    ]
    results = [None] * 10

    def push(number):
        branch = "master" if number % 2 else "main"
        results[number] = clones[number].push("--force", "origin", f"master:{branch}")

    threads = [threading.Thread(target=push, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of those that want the same branch, some find that another was faster, and may push again.
    won = {commits[number][:7] for number in range(10) if results[number].code == 0}
    assert len(won) >= 2
    assert {code.removeprefix("git-") for code in app.codes()[:-1]} == won
    app.server.pushes.catch_up()
    assert len(app.codes()) == len(won) + 1


def test_a_service_that_is_removed_while_its_code_is_pushed_leaves_nothing(
    app, clone, monkeypatch
):
    from conpaas.api import Services

    first = app.manager.host(1).manager
    take = first.take_push

    def too_late(*arguments):
        app.cluster.run(app.cluster.api(Services).remove(application=app.aid, service=1))
        return take(*arguments)

    monkeypatch.setattr(first, "take_push", too_late)
    clone.write(**{"1__page": "a", "2__page": "b"}).commit()
    pushed = clone.push()
    assert "service 1 has been removed meanwhile" in pushed, pushed
    assert "service 2: new code version" in pushed
    rows = app.manager.book.records.execute("SELECT * FROM store WHERE scope = 'service 1'")
    assert rows == []
    kept = app.manager.shared("git")["kept"]["blob"]
    assert len(app.blobs() - {kept}) == 1
