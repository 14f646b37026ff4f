"""The agent's part of volumes, on its own."""

import logging

import pytest

from conpaas.agent.base import AgentPlace
from conpaas.agent.mounts import DirectoryMounts
from conpaas.errors import AgentError
from conpaas.features.volumes import agent as module
from conpaas.features.volumes.agent import VolumeAgent
from conpaas.rpc import finish
from conpaas.supervisor.process import ProcessSupervisor


class SlowMounts(DirectoryMounts):
    """Devices come late, or never, and are told how often they were formatted."""

    late = 0
    formatted = 0

    def find(self, device):
        self.late -= 1
        return None if self.late >= 0 else device

    def format(self, device):
        self.formatted += 1
        super().format(device)


@pytest.fixture
def mounts(tmp_path):
    return SlowMounts(tmp_path / "disks")


@pytest.fixture
def store():
    return {}


@pytest.fixture
def boot(tmp_path, mounts, store):
    """Start the agent, or start it again."""

    def boot():
        agent = VolumeAgent(
            AgentPlace(
                "node-1", "node", "192.0.2.1", 1, 1, tmp_path / "root",
                ProcessSupervisor(tmp_path / "log"), store, logging.getLogger("test"), mounts,
            )
        )  # fmt: skip
        agent.on_boot()
        return agent

    return boot


def mount(agent, name="data", device="/dev/sdb"):
    return finish(agent.mount_volume(name=name, device=device))


def test_a_volume_with_data_is_never_formatted(boot, mounts):
    agent = boot()
    assert mount(agent) is True
    assert mount(agent) is False
    (agent.volume_path("data") / "file").write_text("precious")
    assert agent.unmount_volume("data") is True
    assert agent.unmount_volume("data") is False
    assert mount(agent) is True
    assert (agent.volume_path("data") / "file").read_text() == "precious"
    assert mounts.formatted == 1


def test_a_device_that_comes_late_is_waited_for(boot, mounts):
    mounts.late = 2
    assert mount(boot()) is True


def test_a_device_that_never_comes_is_told(boot, mounts, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    mounts.late = 1 << 30
    agent = boot()
    with pytest.raises(AgentError, match="/dev/sdb is not there after"):
        mount(agent)
    assert agent.list_mounted_volumes() == []


def test_an_unmounted_volume_leaves_no_directory_to_write_to_by_mistake(boot):
    agent = boot()
    mount(agent)
    agent.unmount_volume("data")
    assert not agent.volume_path("data").exists()


def test_what_was_unmounted_stays_so_after_a_boot(boot, mounts):
    agent = boot()
    mount(agent)
    mount(agent, "other", "/dev/sdc")
    agent.unmount_volume("data")
    mounts.reboot()
    assert boot().list_mounted_volumes() == ["other"]


def test_an_agent_starts_whose_volume_cannot_be_mounted(boot, mounts, monkeypatch, caplog):
    mount(boot())
    mounts.reboot()

    def broken(device, path):
        raise AgentError("wrong fs type, bad option, bad superblock")

    monkeypatch.setattr(mounts, "mount", broken)
    assert boot().list_mounted_volumes() == []
    assert "bad superblock" in caplog.text
    monkeypatch.undo()
    assert mount(boot()) is False  # its agent has just done it


def test_another_volume_of_the_same_name_takes_the_place_of_the_first(boot):
    agent = boot()
    mount(agent, device="/dev/sdb")
    (agent.volume_path("data") / "file").touch()
    mount(agent, device="/dev/sdc")
    assert list(agent.volume_path("data").iterdir()) == []
