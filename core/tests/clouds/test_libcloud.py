"""Clouds over libcloud survive lost answers and quote what providers say."""

from dataclasses import dataclass

import pytest
import requests
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node, NodeDriver, NodeSize, StorageVolume
from libcloud.compute.types import NodeState, StorageVolumeState

from conpaas.clouds.base import DEPLOYMENT_TAG, MachineState
from conpaas.clouds.conformance import CloudConformance
from conpaas.clouds.libcloud_base import LibcloudCloud
from conpaas.errors import CloudError


class Provider:
    """What exists at a pretended provider, and the errors that it raises next."""

    def __init__(self):
        self.nodes, self.volumes, self.calls = {}, {}, []
        self.before, self.after = {}, {}
        self.made = 0
        self.state = NodeState.RUNNING

    def call(self, name):
        self.calls.append(name)
        self._raise(self.before, name)

    def answer(self, name, value):
        self._raise(self.after, name)
        return value

    def number(self):
        self.made += 1
        return self.made

    def _raise(self, errors, name):
        if errors.get(name):
            raise errors[name].pop(0)


class FakeDriver(NodeDriver):
    name = type = "fake"

    def __init__(self, provider):
        self.far = provider

    def list_sizes(self, location=None):
        return [
            NodeSize("1", "large", 2048, 20, 0, 0, self),
            NodeSize("2", "small", 512, 10, 0, 0, self),
        ]

    def list_nodes(self):
        self.far.call("list_nodes")
        return self.far.answer("list_nodes", list(self.far.nodes.values()))

    def create_node(self, name, size, image, ex_userdata, ex_metadata):
        self.far.call("create_node")
        number = self.far.number()
        node = Node(
            f"i-{number}",
            name,
            self.far.state,
            [f"203.0.113.{number}"],
            [f"10.0.0.{number}"],
            self,
            extra={"metadata": ex_metadata},
        )
        self.far.nodes[node.id] = node
        return self.far.answer("create_node", node)

    def destroy_node(self, node):
        self.far.call("destroy_node")
        del self.far.nodes[node.id]
        return self.far.answer("destroy_node", True)

    def start_node(self, node):
        self.far.call("start_node")
        node.state = NodeState.RUNNING
        return True

    def list_volumes(self):
        self.far.call("list_volumes")
        return list(self.far.volumes.values())

    def create_volume(self, size, name, ex_metadata):
        self.far.call("create_volume")
        extra = {"metadata": ex_metadata, "instance_id": None, "device": None}
        volume = StorageVolume(
            f"vol-{self.far.number()}", name, size, self, StorageVolumeState.AVAILABLE, extra
        )
        self.far.volumes[volume.id] = volume
        return self.far.answer("create_volume", volume)

    def attach_volume(self, node, volume, device=None):
        self.far.call("attach_volume")
        volume.extra.update(instance_id=node.id, device="/dev/vdb")
        return True

    def detach_volume(self, volume):
        self.far.call("detach_volume")
        volume.extra.update(instance_id=None, device=None)
        return True

    def destroy_volume(self, volume):
        self.far.call("destroy_volume")
        del self.far.volumes[volume.id]
        return True


@dataclass(frozen=True)
class FakeSettings:
    image: str = "ami-1"
    size: str = "small"


class FakeCloud(LibcloudCloud):
    kind = "fake"
    Settings = FakeSettings
    pause = 0.0

    def __init__(self, provider, deployment="test"):
        super().__init__("far", FakeSettings(), deployment)
        self.far = provider

    def make_driver(self):
        return FakeDriver(self.far)


class TestLibcloudCloud(CloudConformance):
    @pytest.fixture
    def make_cloud(self):
        provider = Provider()
        return lambda deployment: FakeCloud(provider, deployment)


LOST = [
    requests.exceptions.ReadTimeout("read timed out"),
    requests.exceptions.ConnectionError("reset by peer"),
    ConnectionResetError("reset by peer"),
    TimeoutError("timed out"),
    MalformedResponseError("not JSON", body="<html>"),
    BaseHTTPError(500, "Internal Server Error"),
    BaseHTTPError(504, "Gateway Timeout"),
]


@pytest.fixture
def far():
    return Provider()


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_a_machine_whose_answer_got_lost_is_adopted_and_not_made_twice(far, error):
    far.after["create_node"] = [error]
    machine = FakeCloud(far).create_machine("one", "", {})
    assert list(far.nodes) == [machine.id]
    assert far.calls.count("create_node") == 1


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_a_creation_that_nobody_saw_is_reported_and_not_repeated(far, error):
    far.before["create_node"] = [error]
    with pytest.raises(CloudError, match="the cloud far could not create the machine one"):
        FakeCloud(far).create_machine("one", "", {})
    assert far.calls.count("create_node") == 1
    assert far.nodes == {}


def test_a_volume_whose_answer_got_lost_is_adopted(far):
    far.after["create_volume"] = [TimeoutError()]
    volume = FakeCloud(far).create_volume("data", 10, {})
    assert list(far.volumes) == [volume.id]


def test_too_many_requests_are_repeated_as_nothing_was_done(far):
    far.before["create_node"] = [RateLimitReachedError(), RateLimitReachedError()]
    assert FakeCloud(far).create_machine("one", "", {}).name == "one"
    assert far.calls.count("create_node") == 3


def test_a_refusal_quotes_the_provider_and_is_not_repeated(far):
    far.before["create_node"] = [Exception("InstanceLimitExceeded: 20 instances")]
    with pytest.raises(CloudError, match="InstanceLimitExceeded: 20 instances"):
        FakeCloud(far).create_machine("one", "", {})
    assert far.calls.count("create_node") == 1


def test_a_refused_machine_that_the_provider_keeps_in_error_is_removed(far):
    far.state = NodeState.ERROR
    far.after["create_node"] = [Exception("No valid host was found")]
    with pytest.raises(CloudError, match="No valid host"):
        FakeCloud(far).create_machine("one", "", {})
    assert far.nodes == {}


def test_looking_is_repeated_after_a_lost_answer(far):
    far.before["list_nodes"] = [TimeoutError(), BaseHTTPError(503, "busy")]
    assert FakeCloud(far).list_machines() == []
    assert far.calls == ["list_nodes"] * 3


def test_a_provider_that_stays_silent_is_reported(far):
    far.before["list_nodes"] = [TimeoutError("timed out")] * 3
    with pytest.raises(CloudError, match=r"could not list its machines: no answer in time"):
        FakeCloud(far).list_machines()


def test_a_destruction_whose_answer_got_lost_ends_well(far):
    cloud = FakeCloud(far)
    machine = cloud.create_machine("one", "", {})
    far.after["destroy_node"] = [TimeoutError()]
    cloud.destroy_machine(machine.id)
    assert far.nodes == {}


def test_machines_that_are_not_tagged_with_the_deployment_are_left_alone(far):
    FakeDriver(far).create_node("stranger", None, None, "", {})
    cloud = FakeCloud(far)
    assert cloud.list_machines() == []
    cloud.destroy_machine("i-1")
    assert list(far.nodes) == ["i-1"]


def test_a_terminated_machine_is_not_listed(far):
    far.state = NodeState.TERMINATED
    cloud = FakeCloud(far)
    cloud.create_machine("one", "", {})
    assert cloud.list_machines() == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (NodeState.PENDING, MachineState.PENDING),
        (NodeState.REBOOTING, MachineState.PENDING),
        (NodeState.STOPPED, MachineState.STOPPED),
        (NodeState.ERROR, MachineState.FAILED),
        (NodeState.UNKNOWN, MachineState.UNKNOWN),
    ],
)
def test_states_are_translated(far, theirs, ours):
    far.state = theirs
    assert FakeCloud(far).create_machine("one", "", {}).state is ours


def test_a_stopped_machine_is_started(far):
    far.state = NodeState.STOPPED
    cloud = FakeCloud(far)
    cloud.start_machine(cloud.create_machine("one", "", {}).id)
    assert cloud.list_machines()[0].state is MachineState.RUNNING


def test_a_volume_is_rounded_up_to_what_the_provider_counts_in(far):
    volume = FakeCloud(far).create_volume("data", 1025, {})
    assert volume.size == 2048
    assert next(iter(far.volumes.values())).size == 2
    assert volume.tags == {DEPLOYMENT_TAG: "test"}
