"""The repository itself, and the ids of what is pushed to it."""

from __future__ import annotations

import io
import subprocess

import pytest

from conpaas.errors import TooLargeError
from conpaas.features.code.versions import CodeBook, CodeVersion
from conpaas.features.git.repository import GitError, Repository
from conpaas.features.git.sshd import Server


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "home", 1 << 20)
    assert made.prepare({"pre-receive": "#!/bin/sh\n"})
    return made


def commit(repository, tmp_path, **files):
    """Push a commit with these files in directory 1, past all hooks; return it."""
    work = tmp_path / "work"

    def git(*arguments):
        ran = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=work, capture_output=True, check=True,
        )  # fmt: skip
        return ran.stdout.decode().strip()

    if not work.exists():
        (work / "1").mkdir(parents=True)
        git("init", "-q", "-b", "master")
    for name, content in files.items():
        (work / "1" / name).write_text(content)
    git("add", ".")
    git("commit", "-qm", "More")
    git("push", "-q", str(repository.path), "master")
    return git("rev-parse", "HEAD"), git("rev-parse", "HEAD:1")


def packed(repository, made, word="service 1"):
    with repository.archive(*made, word, 1 << 20) as file:
        return file.read()


def test_preparing_again_changes_nothing(repository, tmp_path):
    tips = commit(repository, tmp_path, page="a")
    assert not repository.prepare({"pre-receive": "#!/bin/sh\n"})
    assert repository.tips() == {"refs/heads/master": tips[0]}


def test_an_archive_is_the_same_whenever_it_is_made(repository, tmp_path):
    made = commit(repository, tmp_path, page="a")
    first = packed(repository, made)
    assert packed(repository, made) == first
    assert packed(repository, made, "service 2") != first
    size = repository.size()
    packed(repository, made, "service 3")
    assert repository.size() == size


def test_an_archive_over_its_limit_is_an_error(repository, tmp_path):
    made = commit(repository, tmp_path, page="a" * 1000)
    with (
        pytest.raises(TooLargeError, match="more than"),
        repository.archive(*made, "service 1", 10),
    ):
        pass


def test_a_bundle_makes_the_repository_again(repository, tmp_path):
    tips = commit(repository, tmp_path, page="a")
    bundle = io.BytesIO()
    repository.bundle(bundle, 1 << 20)
    (tmp_path / "bundle").write_bytes(bundle.getvalue())
    again = Repository(tmp_path / "elsewhere", 1 << 20)
    again.prepare({}, tmp_path / "bundle")
    assert again.tips() == {"refs/heads/master": tips[0]}
    assert packed(again, tips) == packed(repository, tips)


def test_a_bundle_that_is_damaged_leaves_no_half_of_a_repository(tmp_path):
    (tmp_path / "bundle").write_bytes(b"# v2 git bundle\ndamaged")
    made = Repository(tmp_path / "home", 1 << 20)
    with pytest.raises(GitError, match="damaged"):
        made.prepare({}, tmp_path / "bundle")
    assert not made.exists
    assert made.prepare({})


def test_tidying_keeps_what_branches_have(repository, tmp_path):
    commit(repository, tmp_path, page="a")
    tips = commit(repository, tmp_path, page="b")
    repository.tidy(now=True)
    assert repository.tips() == {"refs/heads/master": tips[0]}
    assert packed(repository, tips)


def test_a_short_hash_that_is_taken_becomes_longer():
    book = CodeBook({}, "default.tar")
    book.add(CodeVersion("git-1234567", "x", "", tree="aaaa"))
    assert book.id_of_push("1234567" + "8" * 33, "bbbb") == "git-12345678"
    assert book.id_of_push("1234567" + "8" * 33, "aaaa") == "git-1234567"


def test_configuring_sshd_again_changes_nothing(tmp_path):
    server = Server(tmp_path / "ssh", tmp_path, tmp_path / "git.sock")
    settings = tmp_path / "gitconfig"
    assert server.configure("a key", settings, 1 << 30, 60)
    assert not server.configure("a key", settings, 1 << 30, 60)
    assert server.configure("another key", settings, 1 << 30, 60)
    assert (tmp_path / "ssh/host_key").stat().st_mode & 0o777 == 0o600
    assert f"GIT_CONFIG_GLOBAL={settings}" in (tmp_path / "ssh/config").read_text()
