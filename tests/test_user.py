"""A new user does everything at the command line: one story on real machines, in its order."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from e2e import CommandLine, Nutshell, wait_for
from person import Person

USERNAME, PASSWORD, NEW_PASSWORD = "carl", "correct horse", "battery staple"


@pytest.fixture(scope="module")
def carl(nutshell: Nutshell, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line of somebody who has nothing but the director's address and authority."""
    home = tmp_path_factory.mktemp("carl")
    (home / ".conpaas").mkdir(mode=0o700)
    shutil.copy(nutshell.ca, home / ".conpaas" / "ca_cert.pem")
    (home / ".conpaas" / "cps-tools.conf").write_text(
        f"[cps-tools]\ndirector_url = https://{nutshell.address}\nusername = {USERNAME}\n"
    )
    return CommandLine(home, nutshell.links)


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """The same, as who works with git."""
    return Person(tmp_path_factory.mktemp("carl-git"))


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What later steps must know of earlier ones."""
    return {}


def credit(carl: CommandLine) -> int:
    """Return the credit that is left."""
    return int(carl.ok("cps-user get_credit"))


def test_somebody_registers_and_gets_a_certificate(carl: CommandLine) -> None:
    carl.refused("cps-user get_config")
    carl.refused(f"cps-user register {USERNAME} nowhere --password '{PASSWORD}'", "mail")
    out = carl.ok(f"cps-user register {USERNAME} carl@example.org --password '{PASSWORD}'")
    assert re.fullmatch(r"User 'carl' registered with id \d+\.\n", out)
    carl.refused("cps-user get_certificate --password wrong", "password is wrong")
    carl.ok(f"cps-user get_certificate --password '{PASSWORD}'")
    assert credit(carl) == 50
    carl.refused("cps-user list", "only administrators")
    carl.refused("cps-user add_credit carl 1000", "only administrators")


def test_an_application_costs_credit(carl: CommandLine) -> None:
    carl.ok("cps-application create wares")
    carl.ok("cps-application start wares")
    carl.ok("cps-generic add wares")
    carl.ok("cps-generic start wares 1")
    assert credit(carl) == 48
    lines = carl.rows("cps-user credit_history")
    assert [(line["kind"], line["amount"]) for line in lines] == [
        ("charge", -1), ("charge", -1), ("grant", 50)
    ]  # fmt: skip
    assert lines[0]["balance"] == sum(line["amount"] for line in lines)


def test_code_is_uploaded_and_pushed(
    carl: CommandLine, git: Person, tmp_path: Path, seen: dict[str, Any]
) -> None:
    script = tmp_path / "run.sh"
    script.write_text('echo "uploaded, with $1"\n')
    with tarfile.open(tmp_path / "code.tar.gz", "w:gz") as tar:
        tar.add(script, "run.sh")
    carl.ok(f"cps-generic upload_code wares 1 {tmp_path}/code.tar.gz")
    version = carl.rows("cps-generic list_codes wares 1")[0]["codeVersionId"]
    carl.ok(f"cps-generic enable_code wares 1 {version}")

    carl.ok(f"cps-user add_key {git.key}.pub")
    url = carl.rows("cps-generic get_repository wares 1")["url"]
    wait_for("git", lambda: git.run(f"git clone {url}", git.directory).returncode == 0)
    (git.code / "1").mkdir()
    (git.code / "1" / "run.sh").write_text('while sleep 1; do echo "pushed, with $1"; done\n')
    git.ok("git add 1")
    git.ok("git commit -m pushed")
    told = git.ok("git push origin master")
    command = re.search(r"cps-generic enable_code \S+ \S+ git-\w+", told)
    assert command, told
    carl.ok(command[0])
    (active,) = (row for row in carl.rows("cps-generic list_codes wares 1") if row["current"])
    assert active["description"] == "pushed"


def test_it_runs_on_three_nodes_and_on_one(carl: CommandLine, seen: dict[str, Any]) -> None:
    carl.ok("cps-generic add_nodes wares 1 --count 2")
    carl.ok("cps-generic run wares 1 -p 'two words'")
    rows = carl.rows("cps-generic get_script_status wares 1")
    assert [row["run"] for row in rows] == ["RUNNING"] * 3
    node = seen["node"] = next(row["agent_id"] for row in rows if row["role"] == "master")
    following = carl.begin(f"cps-generic get_agent_log wares 1 {node} -f agent.out --follow")
    try:
        assert following.stdout is not None
        for _ in range(3):
            assert following.stdout.readline() == "pushed, with two\n"
    finally:
        following.kill()
        following.communicate()
    carl.ok("cps-generic interrupt wares 1")
    wait_for(
        "the end of run.sh",
        lambda: (
            "RUNNING"
            not in [row["run"] for row in carl.rows("cps-generic get_script_status wares 1")]
        ),
    )
    carl.ok("cps-generic remove_nodes wares 1 --count 2")
    assert len(carl.rows("cps-generic list_nodes wares 1")) == 1
    assert credit(carl) == 46


def test_a_volume_is_made_as_the_manual_says(carl: CommandLine, seen: dict[str, Any]) -> None:
    carl.ok(f"cps-generic create_volume wares store 64 {seen['node']}")
    (volume,) = carl.rows("cps-generic list_volumes wares 1")
    assert (volume["vol_name"], volume["agent_id"]) == ("store", seen["node"])


def test_tokens_do_what_they_may_and_end_with_the_password(carl: CommandLine) -> None:
    def with_token(name: str, scope: str) -> CommandLine:
        secret = carl.rows(f"cps-user create_token --name {name} --scope {scope}")["value"]
        home = carl.home.parent / name
        (home / ".conpaas").mkdir(parents=True)
        shutil.copy(carl.home / ".conpaas" / "ca_cert.pem", home / ".conpaas")
        text = (carl.home / ".conpaas" / "cps-tools.conf").read_text()
        (home / ".conpaas" / "cps-tools.conf").write_text(f"{text}token = {secret}\n")
        return CommandLine(home, path)

    path = Path(carl.ok(["sh", "-c", "dirname $(command -v cps-tools)"]).strip())
    reader = with_token("reader", "read")
    assert [row["name"] for row in reader.rows("cps-application list")] == ["wares"]
    reader.refused("cps-application stop wares --yes", "read")
    carl.ok(f"cps-user passwd --current-password '{PASSWORD}' --new-password '{NEW_PASSWORD}'")
    reader.refused("cps-application list", "token")
    carl.refused("cps-application list", "revoked")
    carl.ok(f"cps-user get_certificate --password '{NEW_PASSWORD}'")


def test_what_was_done_is_on_record(carl: CommandLine, cps: CommandLine) -> None:
    done = [row["action"] for row in carl.rows("cps-audit list")]
    assert {"user passwd", "generic run", "application create"} <= set(done)
    refused = cps.rows(f"cps-audit list -u {USERNAME} --outcome failed")
    assert "user add_credit" in [row["action"] for row in refused]
    assert PASSWORD not in cps.ok("cps-audit list --count 1000 -f json")


def test_everything_is_deleted(carl: CommandLine, cps: CommandLine, nutshell: Nutshell) -> None:
    aid = carl.rows("cps-application get_info wares")["aid"]
    carl.ok(f"cps-user delete {USERNAME} --yes")
    assert USERNAME not in [row["username"] for row in cps.rows("cps-user list")]
    assert [name for name in nutshell.machines() if f"-a{aid}-" in name] == []
    assert [v.name for v in nutshell.cloud.list_volumes() if "store" in v.name] == []
    carl.refused("cps-application list")
