"""What is wrong with a local cloud is told before a machine fails to start."""

import dataclasses
import subprocess
import sys

import pytest

from conpaas.clouds.local import LocalCloud, LocalSettings

FIREWALL = """
import subprocess, sys
from conpaas.clouds.local import problems
subprocess.run(["nft", "-f", "-"], input=sys.argv[1], text=True, check=True)
print(*problems._firewall("cpbridge0"), sep="\\n")
"""
DROP = """table ip filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
        %s
    }
}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bridge": "a-bridge-with-a-long-name"}, "at most 15"),
        ({"bridge": "two words"}, "bridge's name"),
        ({"prefix": "far-too-long-"}, "1 to 7"),
        ({"prefix": "Cp-"}, "small letters"),
        ({"directory": "var/lib/x"}, "absolute path"),
        ({"directory": "/var/lib/a:b"}, "without blanks"),
        ({"size": "smal"}, "did you mean 'small'?"),
    ],
)
def test_wrong_settings_are_explained(change, words):
    settings = dataclasses.replace(LocalSettings(), **change)
    assert words in " ".join(LocalCloud("local", settings, "test").problems())


def test_a_directory_without_images_says_how_to_build_one(cloud, tmp_path):
    empty = dataclasses.replace(cloud.settings, images=str(tmp_path), image="")
    problems = LocalCloud("local", empty, "test").problems()
    assert [p for p in problems if "run images/build.py" in p]


def test_a_file_system_that_cannot_hold_overlays_is_told_about(cloud, tmp_path):
    # An overlay's upper directory cannot lie in another overlay.
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    merged = f"{tmp_path}/merged"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, merged], check=True)
    try:
        inside = dataclasses.replace(cloud.settings, directory=f"{merged}/cloud")
        problems = LocalCloud("local", inside, "test").problems()
    finally:
        subprocess.run(["umount", merged], check=True)
    assert [p for p in problems if "cannot hold overlays" in p]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (DROP % "", True),
        (DROP % 'iifname "cpbridge0" accept', False),
        (DROP.replace("drop", "accept") % "", False),
    ],
)
def test_a_firewall_that_drops_what_machines_send_is_told_about(cloud, rules, found):
    # In a network of its own: the rules are never this machine's.
    command = ["unshare", "--net", sys.executable, "-c", FIREWALL, rules]
    told = subprocess.check_output(command, text=True).strip()
    assert ("nft insert rule ip filter FORWARD iifname cpbridge0 accept" in told) is found
    assert bool(told) is found


def test_a_subnet_that_is_somebody_elses_is_refused(cloud, settings):
    cloud.up()
    taken = dataclasses.replace(
        settings, subnet=cloud.subnet, directory=f"{settings.directory}c", bridge="cptest-taken"
    )
    other = LocalCloud("local", taken, "test")
    try:
        with pytest.raises(Exception, match=f"overlaps .*{settings.bridge}"):
            other.up()
    finally:
        other.down()
