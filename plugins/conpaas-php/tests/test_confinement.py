"""Where the code runs, nothing of the machine is there but what it needs.

The settings are those of a new service, and the code may call every function.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil
import pytest

from conpaas.errors import AgentError
from conpaas_php.settings import PhpConfig
from conpaas_php.testing import FILES, Node, Site, eventually

SETTINGS = PhpConfig(disable_functions="").to_php()
RUN = "<?php eval(file_get_contents('php://input')); echo ' ran';"
KEY = "-- the private key of the machine --"
#: With the key's file for FILE, and its directory for PLACE.
ATTACKS = {
    "read": "echo file_get_contents('FILE');",
    "include": "include 'FILE';",
    "scandir": "print_r(scandir('PLACE'));",
    "glob": "print_r(glob('PLACE/*'));",
    "glob wrapper": "foreach (new DirectoryIterator('glob://PLACE/*') as $f) echo $f;",
    "program": "echo shell_exec('cat FILE; ls PLACE; find / -name machine.key');",
    "link": "symlink('FILE', __DIR__ . '/link'); readfile(__DIR__ . '/link');",
    "link to the root": "chdir(__DIR__); symlink('/', 'r'); readfile('rFILE');",
    "hard link": "link('FILE', __DIR__ . '/hard'); readfile(__DIR__ . '/hard');",
    "root of the first process": "echo shell_exec('cat /proc/1/rootFILE');",
    "roots of all processes": "echo shell_exec('cat /proc/[0-9]*/rootFILE /proc/[0-9]*/cwdFILE');",
    "own descriptors": "echo shell_exec('for f in /proc/self/fd/*; do cat $f/..FILE; done');",
    "a namespace of its own": "echo shell_exec('unshare -Urmpf --mount-proc sh -c "
    '"umount -l /tmp; umount -a; cat FILE; find /proc -name environ | xargs cat; ls PLACE"\');',
    "chroot": "echo shell_exec('unshare -Ur chroot . sh -c \"cd ../../../../..; cat .FILE\"');",
}


@pytest.fixture(scope="module")
def node(site: Site) -> Node:
    """A machine that does everything, with a secret that only its permissions do not protect."""
    node = site.whole({**FILES, "run.php": RUN})
    node.agent.run_backend(site.backend_part(node, settings=SETTINGS))
    key = secret(node)
    key.parent.mkdir(parents=True)
    key.write_text(KEY)
    return node


def secret(node: Node) -> Path:
    return node.root / "etc/agent/machine.key"


def run(node: Node, code: str) -> str:
    answer = node.ask("/run.php", "POST", f"try {{ {code} }} catch (Throwable $e) {{ echo $e; }}")
    assert answer.text.endswith(" ran")
    return answer.text


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_the_applications_is_not_there(node: Node, attack: str) -> None:
    key = secret(node)
    code = ATTACKS[attack].replace("FILE", str(key)).replace("PLACE", str(key.parent))
    told = run(node, code).replace(str(key), "")
    assert KEY not in told
    assert key.name not in told.replace("machine.key)", "")


def test_a_script_that_leads_out_is_not_run(node: Node) -> None:
    run(node, f"symlink('{secret(node)}', __DIR__ . '/lead.php');")
    answer = node.ask("/lead.php")
    assert (answer.status // 100, KEY in answer.text) == (4, False)


def test_the_code_sees_no_processes_but_its_own(node: Node) -> None:
    told = run(node, "echo shell_exec('cat /proc/[0-9]*/comm');").split()
    assert {"php-fpm8.2"} <= set(told) <= {"php-fpm8.2", "sh", "cat", "ran"}


def test_the_code_cannot_enter_the_files_of_a_process_of_the_same_user(node: Node) -> None:
    worker = next(
        pid
        for pid in node.processes("nginx-web")
        if psutil.Process(pid).uids().real != 0 or os.geteuid() != 0
    )
    look = f"cat /proc/{worker}/root{secret(node)}"
    assert KEY not in run(node, f"echo shell_exec('{look}');")
    assert "bool(false)" in run(node, f"var_dump(posix_kill({worker}, 0));")


def test_what_is_root_only_stays_so_for_programs_with_its_bit(node: Node) -> None:
    told = run(node, "echo shell_exec('cat /etc/shadow; grep NoNewPrivs /proc/self/status; id');")
    assert "root:" not in told
    assert "NoNewPrivs:\t1" in told
    if os.geteuid() == 0:
        assert "uid=33(www-data)" in told


def test_the_machines_programs_and_settings_are_there_to_read_only(node: Node) -> None:
    told = run(node, "readfile('/etc/passwd'); echo shell_exec('php8.2 -v; ls /etc/ssl/certs');")
    for word in ("root:x:0:0", "PHP 8.2", "ca-certificates.crt"):
        assert word in told
    for place in ("/usr/local/mine", "/etc/mine", "/opt/mine", "/mine", "/run/mine"):
        assert "bool(false)" in run(node, f"var_dump(@file_put_contents('{place}', 'x'));")


def test_temporary_files_are_the_services_own_and_stay(site: Site, node: Node) -> None:
    name = f"conpaas-note-{os.getpid()}"
    run(node, f"file_put_contents('/tmp/{name}', 'kept');")
    assert not Path("/tmp", name).exists()
    part = site.backend_part(node, settings=SETTINGS, environment={"NEW": "generation"})
    node.agent.run_backend(part)
    assert run(node, f"readfile('/var/tmp/{name}');") == "kept ran"
    assert "/srv/tmp" in run(node, "echo sys_get_temp_dir();")


def test_an_uploaded_file_is_moved_without_being_copied(node: Node) -> None:
    code = "$f = tempnam(sys_get_temp_dir(), 'up'); $i = fileinode($f);"
    code += "rename($f, __DIR__ . '/moved'); echo $i === fileinode(__DIR__ . '/moved');"
    assert run(node, code) == "1 ran"


def test_a_version_that_comes_later_is_there(site: Site) -> None:
    node = site.whole(FILES)
    processes = node.processes("php-fpm")
    node.upload({"index.php": "<?php echo 'later';"}, "code-later")
    node.agent.run_proxy(site.proxy_part([node], [node], version="code-later"))
    assert node.ask("/").text == "later"
    node.agent.run_proxy(site.proxy_part([node], [node]))
    assert node.processes("php-fpm")[:3] == processes[:3]


def test_what_the_code_starts_ends_with_php(site: Site) -> None:
    node = site.whole({"run.php": RUN})
    marker = f"{1000 + os.getpid()}.25"
    run(node, f"exec('setsid sleep {marker} >/dev/null 2>&1 &');")
    eventually(lambda: _runs("sleep", marker))
    node.leave("backend")
    eventually(lambda: not _runs("sleep", marker))


def test_nothing_is_run_where_it_cannot_be_confined(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = site.node()
    bwrap, real = tmp_path / "bwrap", shutil.which("bwrap")
    refused = f'exec setpriv --inh-caps=-sys_admin --bounding-set=-sys_admin {real} "$@"'
    if os.geteuid() != 0:
        refused = "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1"
    bwrap.write_text(f"#!/bin/sh\n{refused}\n")
    bwrap.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(AgentError, match=r"cannot be confined, so it is not run.*bwrap: "):
            node.agent.run_backend(site.backend_part(node))
        patch.setenv("PATH", str(tmp_path / "empty"))
        with pytest.raises(AgentError, match="bwrap is not installed: build the image anew"):
            node.agent.run_backend(site.backend_part(node))
    assert "php-fpm" not in node.supervisor.names()


def _runs(*command: str) -> bool:
    return any(list(command) == p.info["cmdline"] for p in psutil.process_iter(["cmdline"]))
