"""The file systems of this machine, with real block devices."""

import os
import subprocess

import pytest

from conpaas.agent.mounts import DirectoryMounts, SystemMounts
from conpaas.clouds.local.loop import loop_device
from conpaas.errors import AgentError, CloudError


@pytest.fixture
def device(tmp_path):
    """An empty block device."""
    if os.geteuid() != 0:
        pytest.skip("only root has block devices")
    file = tmp_path / "disk.img"
    with file.open("wb") as image:
        image.truncate(16 << 20)
    try:
        with loop_device(file) as path:
            yield path
    except CloudError as error:
        pytest.skip(str(error))


@pytest.fixture
def mounts(tmp_path):
    """The real ones; what is mounted below the test's directory is unmounted at its end."""
    yield SystemMounts()
    for path in sorted(tmp_path.glob("mnt*")):
        while SystemMounts().is_mounted(path):
            subprocess.run(["umount", path], check=True)


def test_a_device_is_formatted_mounted_and_unmounted_with_what_is_on_it(mounts, device, tmp_path):
    path = tmp_path / "mnt a"
    assert mounts.find(device) == device
    assert not mounts.has_data(device)
    mounts.format(device)
    assert mounts.has_data(device)
    mounts.mount(device, path)
    assert mounts.is_mounted(path)
    (path / "file").write_text("precious")
    mounts.sync(path)
    mounts.unmount(path)
    assert not mounts.is_mounted(path)
    assert not (path / "file").exists()
    mounts.mount(device, path)
    assert (path / "file").read_text() == "precious"


@pytest.mark.parametrize("make", [["mkswap"], ["mkfs.ext4", "-q", "-L", "theirs"]])
def test_whatever_is_on_a_device_counts_as_data(mounts, device, make):
    subprocess.run([*make, device], check=True, capture_output=True)
    assert mounts.has_data(device)


def test_partitions_count_as_data(mounts, device):
    # An MBR with one partition, of type Linux.
    entry = bytes([0, 0, 2, 0, 0x83, 0, 3, 0]) + (1).to_bytes(4, "little") + b"\x00\x10\0\0"
    with open(device, "r+b") as disk:
        disk.seek(446)
        disk.write(entry + bytes(48) + b"\x55\xaa")
    assert mounts.has_data(device)


def test_a_directory_that_is_mounted_is_shown_at_another_path_too(mounts, device, tmp_path):
    theirs, ours = tmp_path / "mnt-theirs", tmp_path / "mnt-ours"
    assert mounts.find(str(theirs)) is None
    mounts.format(device)
    mounts.mount(device, theirs)
    assert mounts.find(str(theirs)) == str(theirs)
    assert mounts.has_data(str(theirs))
    mounts.mount(str(theirs), ours)
    (ours / "file").write_text("precious")
    assert (theirs / "file").read_text() == "precious"
    mounts.unmount(ours)
    assert not mounts.is_mounted(ours)
    assert mounts.is_mounted(theirs)


def test_who_uses_a_mount_is_told_and_it_stays(mounts, device, tmp_path):
    path = tmp_path / "mnt"
    mounts.format(device)
    mounts.mount(device, path)
    user = subprocess.Popen(["sleep", "60"], cwd=path)
    try:
        with pytest.raises(AgentError, match="busy"):
            mounts.unmount(path)
        assert mounts.users(path) == [f"sleep ({user.pid})"]
        assert mounts.is_mounted(path)
    finally:
        user.kill()
        user.wait()
    assert mounts.users(path) == []
    mounts.unmount(path)


def test_what_cannot_be_mounted_is_told(mounts, device, tmp_path):
    with pytest.raises(AgentError, match="mount"):
        mounts.mount(device, tmp_path / "mnt")


def test_the_mounts_of_a_machine_that_is_an_object_are_lost_when_it_boots(tmp_path):
    mounts, path = DirectoryMounts(tmp_path / "disks"), tmp_path / "media/data"
    mounts.format("/dev/sdb")
    mounts.mount("/dev/sdb", path)
    (path / "file").write_text("precious")
    mounts.reboot()
    assert not mounts.is_mounted(path)
    assert not path.exists()
    mounts.mount("/dev/sdb", path)
    assert (path / "file").read_text() == "precious"
