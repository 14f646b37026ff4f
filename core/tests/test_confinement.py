"""Programs that run users' code see what they are given: real processes, by bubblewrap."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from conpaas.confinement import Confinement, not_installed, refusal

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")


@pytest.fixture
def machine():
    """A directory that other users may enter, with a place, what is beside it, and a /tmp."""
    with tempfile.TemporaryDirectory(prefix="conpaas-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        for directory in ("place", "beside", "tmp"):
            (path / directory).mkdir()
            (path / directory).chmod(0o1777)
        (path / "beside/secret").write_text("not for you")
        (path / "place/given").write_text("for you")
        yield path


def command(machine, *capabilities):
    return Confinement((machine / "place",), machine / "tmp", capabilities).command()


def run(machine, text, *before):
    ended = subprocess.run(
        [*before, *command(machine), "--", "sh", "-c", text],
        capture_output=True, text=True, cwd="/",
    )  # fmt: skip
    return ended.stdout + ended.stderr


def test_what_is_given_is_there_and_nothing_else(machine):
    assert run(machine, f"cat {machine}/place/given") == "for you"
    assert "No such file" in run(machine, f"cat {machine}/beside/secret")
    assert run(machine, f"ls {machine}").split() == ["place"]
    seen = set(run(machine, "ls /").split())
    assert {"usr", "etc", "tmp", "proc"} <= seen
    assert not {"root", "home", "srv", "sys", "boot", "media"} & seen


def test_what_is_written_to_a_place_or_to_tmp_is_written(machine):
    assert run(machine, f"echo a > {machine}/place/a; echo b > /tmp/b; echo c > /var/tmp/c") == ""
    assert (machine / "place/a").read_text() == "a\n"
    assert (machine / "tmp/b").read_text() == "b\n"
    assert (machine / "tmp/c").read_text() == "c\n"


def test_settings_and_programs_cannot_be_written(machine):
    for path in ("/etc/x", "/usr/x", "/bin/x", "/proc/sys/kernel/hostname"):
        assert "Read-only file system" in run(machine, f"echo > {path}")


def test_other_processes_are_not_there(machine):
    numbers = run(machine, "echo /proc/[0-9]*").split()
    assert "/proc/1" in numbers
    assert len(numbers) <= 2
    assert "No such process" in run(machine, f"kill -0 {os.getpid()}")


@as_root
def test_what_is_roots_business_is_empty_even_to_root(machine):
    ours = Path("/etc/conpaas-test")
    ours.mkdir()
    try:
        (ours / "key.pem").write_text("secret")
        assert run(machine, f"ls {ours}; umount {ours} 2>/dev/null; ls -A {ours}") == ""
    finally:
        shutil.rmtree(ours)


@as_root
def test_root_may_do_what_was_said_and_no_more(machine):
    look = ("grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status")
    told = subprocess.run(
        [*command(machine, "CAP_KILL"), "--", *look], capture_output=True, text=True
    )
    assert told.stdout.split() == ["CapEff:", f"{1 << 5:016x}", "NoNewPrivs:", "1"]


@as_root
def test_whoever_is_not_root_is_confined_as_well(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 33)
    user = ("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups")
    told = run(machine, f"cat {machine}/place/given {machine}/beside/secret; id -un", *user)
    assert told.startswith("for you")
    assert "No such file" in told
    assert "www-data" in told


@as_root
def test_a_machine_that_may_not_confine_says_what_is_missing(machine):
    less = ("setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin")
    error = refusal(run(machine, "echo ran", *less))
    assert error is not None
    assert "cannot be confined, so it is not run: bwrap: " in error.message
    assert "CAP_SYS_ADMIN" in error.message


def test_a_program_that_is_missing_is_told_by_its_name(machine):
    ended = subprocess.run(
        [*command(machine), "--", "no-such-program"], capture_output=True, text=True
    )
    error = refusal(ended.stderr)
    assert error is not None
    assert error.message == "no-such-program: No such file or directory: build the image anew"
    assert refusal("php: it is a matter of taste") is None
    assert "bwrap is not installed" in not_installed().message


def test_all_of_it_ends_with_whoever_began_it(machine):
    marker = f"{2000 + os.getpid()}.5"
    keeper = subprocess.Popen(
        ["python3", "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])",
         *command(machine), "--", "sh", "-c", f"setsid sleep {marker} & exec sleep {marker}"],
    )  # fmt: skip
    _await(lambda: len(_sleeping(marker)) == 2)
    keeper.kill()
    keeper.wait()
    _await(lambda: not _sleeping(marker))


@as_root
def test_what_is_mounted_in_a_place_later_is_there_too(machine):
    later = f"""
        mount --make-rshared /
        mkfifo {machine}/place/fifo
        "$@" -- sh -c 'read x < {machine}/place/fifo; cat {machine}/place/volume/file' &
        echo data > {machine}/beside/file
        mkdir {machine}/place/volume
        mount --bind {machine}/beside {machine}/place/volume
        echo now > {machine}/place/fifo
        wait
    """
    # In files of its own: this machine's stay as they are.
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", later, "-",
         *command(machine)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.stdout == "data\n", ended.stderr


@as_root
def test_names_are_asked_for_where_the_machine_keeps_that_outside_of_its_settings(machine):
    program = f"""if True:
        import os
        from pathlib import Path
        from conpaas.confinement import Confinement
        place = Path("{machine}")
        confined = Confinement((place / "place",), place / "tmp", ("CAP_SETUID", "CAP_SETGID"))
        user = "setpriv --reuid=33 --regid=33 --clear-groups"
        words = [*confined.command(), "--", *user.split(), "cat", "/etc/resolv.conf"]
        os.execvp(words[0], words)
    """
    # In files of its own: this machine's stay as they are.
    settings = f"""
        set -e
        mount -t tmpfs none /run
        mkdir -p /run/systemd/resolve {machine}/etc
        echo nameserver 192.0.2.1 > /run/systemd/resolve/stub-resolv.conf
        ln -s ../run/systemd/resolve/stub-resolv.conf {machine}/etc/resolv.conf
        mount --bind {machine}/etc /etc
        exec "$@"
    """
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", settings, "-",
         sys.executable, "-c", program],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.stdout == "nameserver 192.0.2.1\n", ended.stderr


def _sleeping(marker):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline() == ["sleep", marker]:
                found.append(process)
    return found


def _await(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
