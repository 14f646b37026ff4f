"""Code by git push, on real machines: one story, told by tests in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psutil
import pytest
from e2e import CommandLine, Nutshell, wait_for
from person import Person

SCRIPTS = ("init", "notify", "run", "interrupt", "cleanup")


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person(tmp_path_factory.mktemp("anna"))


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person(tmp_path_factory.mktemp("ben"))


@pytest.fixture(scope="module")
def aid(running: int, nutshell: Nutshell) -> Iterator[int]:
    """The application, with a service that takes code."""
    nutshell.cps.ok(f"cps-service add generic {running}")
    yield running


@pytest.fixture
def url(cps: CommandLine, aid: int) -> str:
    """Where the repository is now."""
    return str(cps.rows(f"cps-generic get_repository {aid} 1")["url"])


def served(person: Person, url: str) -> None:
    """Wait until a manager that has just begun lets a person in."""
    wait_for("git", lambda: person.run(f"git ls-remote {url}", person.directory).returncode == 0)


def test_nobody_gets_in_without_a_key_and_whoever_has_one_does(
    cps: CommandLine, aid: int, anna: Person, url: str
) -> None:
    anna.refused(f"git clone {url}", "Permission denied (publickey)", anna.directory)
    out = cps.ok(f"cps-generic upload_key {aid} 1 {anna.key}.pub")
    assert out == "1 keys added to authorized_keys.\n"
    (key,) = cps.rows(f"cps-generic list_keys {aid} 1")
    shown = anna.ok(f"ssh-keygen -l -f {anna.key}.pub", anna.directory)
    assert shown.split()[1] == key["fingerprint"]
    anna.ok(f"git clone {url}", anna.directory)
    known = anna.ok("ssh-keygen -l -f known_hosts", anna.directory)
    info = cps.rows(f"cps-generic get_repository {aid} 1")
    assert known.split()[1] == info["host_key"]
    assert info["clone"] == f"git clone {url}"


def test_a_push_as_the_manual_prints_it_makes_a_version_that_runs(
    cps: CommandLine, aid: int, anna: Person
) -> None:
    (anna.code / "1").mkdir()
    for name in SCRIPTS:
        script = anna.code / "1" / f"{name}.sh"
        script.write_text(f"#!/bin/bash\necho {name} by git\n")
        script.chmod(0o755)
    anna.ok("git add " + " ".join(f"1/{name}.sh" for name in SCRIPTS))
    anna.ok('git commit -m "New code version"')
    said = anna.ok("git push origin master")
    commit = anna.ok("git rev-parse HEAD").strip()
    version = f"git-{commit[:7]}"
    assert f"service 1: new code version {version}." in said
    command = re.search(r"to enable it: (.*\S)", said)
    assert command and command[1] == f"cps-generic enable_code {aid} 1 {version}"

    newest = cps.rows(f"cps-generic list_codes {aid} 1")[0]
    assert (newest["codeVersionId"], newest["description"]) == (version, "New code version")
    cps.ok(command[1])
    cps.ok(f"cps-generic start {aid} 1")
    (node,) = cps.rows(f"cps-generic list_nodes {aid} 1")
    log = f"cps-generic get_agent_log {aid} 1 {node['agent_id']} -f agent.out"
    wait_for("the output of init.sh", lambda: cps.ok(log) == "init by git\n")


def test_there_is_nothing_but_the_repository(anna: Person, url: str) -> None:
    host = url.partition(":")[0]
    where = anna.directory
    anna.refused(f"{anna.ssh} {host}", "there is no shell here", where)
    anna.refused(f"{anna.ssh} {host} id", "unrecognized command 'id'", where)
    anna.refused(f"{anna.ssh} -s {host} sftp", "failed", where)
    for path in ("../..", "/etc", "/root", "code/../../../opt", "git-shell-commands"):
        anna.refused(
            f"git clone {host}:{path} elsewhere", "does not appear to be a git repository", where
        )
    anna.refused(
        f"{anna.ssh} -o ExitOnForwardFailure=yes -R 0:127.0.0.1:1 -N {host}",
        "remote port forwarding failed",
        where,
    )
    anna.refused(f"{anna.ssh} -W 127.0.0.1:443 {host}", "administratively prohibited", where)


def test_keys_of_the_account_count_too_and_removed_ones_no_more(
    cps: CommandLine, aid: int, anna: Person, ben: Person, url: str
) -> None:
    ben.refused(f"git clone {url}", "Permission denied", ben.directory)
    added = cps.rows(f"cps-user add_key {ben.key}.pub")
    ben.ok(f"git clone {url}", ben.directory)
    assert (ben.code / "1" / "run.sh").exists()
    cps.ok(f"cps-user remove_key {added['id']}")
    ben.refused("git fetch", "Permission denied")
    (key,) = cps.rows(f"cps-generic list_keys {aid} 1")
    cps.ok(f"cps-generic remove_key {aid} 1 {key['id']}")
    anna.refused("git fetch", "Permission denied")
    cps.ok(f"cps-generic upload_key {aid} 1 {anna.key}.pub")
    anna.ok("git fetch")


def test_a_killed_manager_and_a_killed_sshd_come_back(
    nutshell: Nutshell, aid: int, anna: Person, url: str
) -> None:
    machine = nutshell.machine(aid)
    init = nutshell.cloud.driver.instances.init(machine.id)
    assert init is not None
    for process in psutil.Process(init.pid).children(recursive=True):
        if process.name() == "sshd":
            process.kill()
    nutshell.kill_server(machine)
    served(anna, url)
    (anna.code / "1" / "more").write_text("")
    anna.ok("git add .")
    anna.ok('git commit -m "An empty file"')
    assert "service 1: new code version" in anna.ok("git push origin master")


def test_repository_keys_and_host_key_outlive_the_machine(
    cps: CommandLine, aid: int, anna: Person
) -> None:
    codes = cps.rows(f"cps-generic list_codes {aid} 1")
    before = cps.rows(f"cps-generic get_repository {aid} 1")
    cps.ok(f"cps-application stop {aid}")
    cps.ok(f"cps-application start {aid}")
    after = cps.rows(f"cps-generic get_repository {aid} 1")
    assert after["host_key"] == before["host_key"]
    served(anna, after["url"])
    anna.ok(f"git remote set-url origin {after['url']}")
    assert "Everything up-to-date" in anna.ok("git push origin master")
    assert cps.rows(f"cps-generic list_codes {aid} 1") == codes
    again = anna.directory / "again"
    anna.ok(f"git clone {after['url']} {again}", anna.directory)
    assert anna.ok("git log --format=%s", again) == "An empty file\nNew code version\n"
