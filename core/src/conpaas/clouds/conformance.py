"""What every kind of cloud must do, as tests that its own tests inherit.

    class TestMyCloud(CloudConformance):
        @pytest.fixture
        def make_cloud(self):
            return lambda deployment: MyCloud("mine", MySettings(...), deployment)

``make_cloud`` returns a new object for a deployment each time it is called; all of them talk to
the same provider, which is empty at first.
"""
# Tests assert, and their names are their sentences.
# ruff: noqa: S101, D102

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from conpaas.clouds.base import DEPLOYMENT_TAG, Cloud, MachineState
from conpaas.errors import CloudError, InvalidError, WrongStateError

MakeCloud = Callable[[str], Cloud]


class CloudConformance:
    """Inherit it, and define the fixture ``make_cloud``."""

    @pytest.fixture
    def cloud(self, make_cloud: MakeCloud) -> Cloud:
        return make_cloud("test")

    def test_a_machine_that_is_created_runs_and_is_listed(self, cloud: Cloud) -> None:
        made = cloud.create_machine("one", "#!/bin/sh\nexec sleep 10000\n", {"role": "node"})
        assert made.name == "one"
        assert made.state is MachineState.RUNNING
        assert made.address is not None
        assert cloud.list_machines() == [made]
        assert cloud.find_machine("one") == made
        assert cloud.find_machine("two") is None

    def test_a_machine_carries_its_tags_and_its_deployment(self, cloud: Cloud) -> None:
        cloud.create_machine("one", "", {"application": "7", "note": 'a "b" ü\n'})
        tags = cloud.list_machines()[0].tags
        assert tags == {"application": "7", "note": 'a "b" ü\n', DEPLOYMENT_TAG: "test"}

    def test_a_name_that_exists_is_returned_and_not_made_again(self, cloud: Cloud) -> None:
        first = cloud.create_machine("one", "", {"attempt": "1"})
        assert cloud.create_machine("one", "", {"attempt": "2"}).id == first.id
        assert len(cloud.list_machines()) == 1

    def test_machines_have_addresses_of_their_own_and_are_listed_by_name(
        self, cloud: Cloud
    ) -> None:
        for name in ("two", "one", "three"):
            cloud.create_machine(name, "", {})
        machines = cloud.list_machines()
        assert [machine.name for machine in machines] == ["one", "three", "two"]
        assert len({machine.address for machine in machines}) == 3

    def test_a_destroyed_machine_is_gone_and_may_be_destroyed_again(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "", {})
        cloud.destroy_machine(machine.id)
        assert cloud.list_machines() == []
        cloud.destroy_machine(machine.id)
        cloud.destroy_machine("no-such-machine")
        assert cloud.create_machine("one", "", {}).id != machine.id

    def test_another_object_sees_the_same(self, cloud: Cloud, make_cloud: MakeCloud) -> None:
        machine = cloud.create_machine("one", "", {})
        volume = cloud.create_volume("data", 16, {})
        restarted = make_cloud("test")
        assert restarted.list_machines() == [machine]
        assert restarted.list_volumes() == [volume]
        restarted.destroy_machine(machine.id)
        assert cloud.list_machines() == []

    def test_another_deployment_sees_and_destroys_nothing_of_ours(
        self, cloud: Cloud, make_cloud: MakeCloud
    ) -> None:
        machine = cloud.create_machine("one", "", {})
        volume = cloud.create_volume("data", 16, {})
        other = make_cloud("other")
        assert (other.list_machines(), other.list_volumes()) == ([], [])
        other.destroy_machine(machine.id)
        other.destroy_volume(volume.id)
        assert other.create_machine("one", "", {}).id != machine.id
        assert [m.id for m in cloud.list_machines()] == [machine.id]
        assert [v.id for v in cloud.list_volumes()] == [volume.id]

    def test_an_address_that_was_let_go_is_given_again_where_the_cloud_can(
        self, cloud: Cloud
    ) -> None:
        lost = cloud.create_machine("lost", "", {})
        cloud.destroy_machine(lost.id)
        other = cloud.create_machine("other", "", {})
        heir = cloud.create_machine("heir", "", {}, address=lost.address)
        assert heir.address is not None
        assert heir.address != other.address
        if cloud.keeps_addresses:
            assert heir.address == lost.address
            assert cloud.find_machine("heir") == heir

    def test_an_address_is_never_given_twice_nor_is_one_that_is_none(self, cloud: Cloud) -> None:
        one = cloud.create_machine("one", "", {})
        wanted = (one.address, "255.255.255.255", "no-address", "")
        others = [
            cloud.create_machine(f"other {number}", "", {}, address=address).address
            for number, address in enumerate(wanted)
        ]
        assert not {*wanted, None} & set(others)
        assert len(set(others)) == len(wanted)

    def test_an_unknown_size_is_refused_and_nothing_is_made(self, cloud: Cloud) -> None:
        with pytest.raises(InvalidError, match="no size 'gigantic'"):
            cloud.create_machine("one", "", {}, size="gigantic")
        assert cloud.list_machines() == []

    def test_each_size_can_be_asked_for_and_the_smallest_comes_first(self, cloud: Cloud) -> None:
        sizes = cloud.sizes()
        assert [s.memory for s in sizes] == sorted(s.memory for s in sizes)
        for size in sizes:
            assert cloud.create_machine(f"a {size.name} one", "", {}, size=size.name).address

    def test_a_running_machine_may_be_started(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "#!/bin/sh\nexec sleep 10000\n", {})
        cloud.start_machine(machine.id)
        assert cloud.list_machines() == [machine]

    def test_a_volume_that_is_created_is_listed_with_its_tags(self, cloud: Cloud) -> None:
        made = cloud.create_volume("data", 16, {"service": "3"})
        assert made.size >= 16
        assert made.machine is None
        assert made.tags == {"service": "3", DEPLOYMENT_TAG: "test"}
        assert cloud.list_volumes() == [made]
        assert cloud.create_volume("data", 16, {}).id == made.id
        assert len(cloud.list_volumes()) == 1

    def test_a_volume_is_attached_once_and_detached(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "#!/bin/sh\nexec sleep 10000\n", {})
        volume = cloud.create_volume("data", 16, {})
        path = cloud.attach_volume(volume.id, machine.id)
        assert path.startswith("/")
        assert cloud.attach_volume(volume.id, machine.id) == path
        assert [(v.machine, v.device) for v in cloud.list_volumes()] == [(machine.id, path)]
        cloud.detach_volume(volume.id)
        cloud.detach_volume(volume.id)
        assert cloud.list_volumes() == [volume]

    def test_an_attached_volume_is_neither_moved_nor_destroyed(self, cloud: Cloud) -> None:
        one, two = (cloud.create_machine(name, "", {}) for name in ("one", "two"))
        volume = cloud.create_volume("data", 16, {})
        cloud.attach_volume(volume.id, one.id)
        with pytest.raises(CloudError, match=f"attached to {one.id}"):
            cloud.attach_volume(volume.id, two.id)
        with pytest.raises(CloudError, match=f"attached to {one.id}"):
            cloud.destroy_volume(volume.id)
        assert [v.machine for v in cloud.list_volumes()] == [one.id]

    def test_a_volume_grows_where_the_cloud_can_attached_or_not(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "#!/bin/sh\nexec sleep 10000\n", {})
        volume = cloud.create_volume("data", 16, {"service": "3"})
        if not cloud.grows_volumes:
            with pytest.raises(CloudError, match="cannot make volumes larger"):
                cloud.grow_volume(volume.id, volume.size + 1)
            assert cloud.list_volumes() == [volume]
            return
        grown = cloud.grow_volume(volume.id, volume.size + 16)
        assert grown.size >= volume.size + 16
        assert cloud.list_volumes() == [grown]
        path = cloud.attach_volume(volume.id, machine.id)
        try:
            again = cloud.grow_volume(volume.id, grown.size + 16)
        except WrongStateError:
            assert [v.size for v in cloud.list_volumes()] == [grown.size]
            cloud.detach_volume(volume.id)
            cloud.grow_volume(volume.id, grown.size + 16)
            path = cloud.attach_volume(volume.id, machine.id)
            (again,) = cloud.list_volumes()
        assert again.size >= grown.size + 16
        assert (again.machine, again.device) == (machine.id, path)
        assert (again.name, again.tags) == (volume.name, volume.tags)
        assert cloud.grow_volume(volume.id, 1) == again
        assert cloud.list_volumes() == [again]

    def test_a_destroyed_volume_is_gone_and_may_be_destroyed_again(self, cloud: Cloud) -> None:
        volume = cloud.create_volume("data", 16, {})
        cloud.destroy_volume(volume.id)
        assert cloud.list_volumes() == []
        cloud.destroy_volume(volume.id)
        cloud.detach_volume(volume.id)

    def test_volumes_outlive_their_machine(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "", {})
        volume = cloud.create_volume("data", 16, {})
        cloud.attach_volume(volume.id, machine.id)
        cloud.destroy_machine(machine.id)
        assert cloud.list_volumes() == [volume]

    def test_what_does_not_exist_cannot_be_attached_or_started(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "", {})
        volume = cloud.create_volume("data", 16, {})
        for attempt in (
            lambda: cloud.attach_volume("no-such-volume", machine.id),
            lambda: cloud.attach_volume(volume.id, "no-such-machine"),
            lambda: cloud.start_machine("no-such-machine"),
        ):
            with pytest.raises(CloudError, match="no-such"):
                attempt()

    def test_the_console_of_any_machine_is_text(self, cloud: Cloud) -> None:
        machine = cloud.create_machine("one", "", {})
        assert isinstance(cloud.console(machine.id), str)
        with contextlib.suppress(CloudError):
            assert cloud.console("no-such-machine") == ""

    def test_nothing_is_wrong_with_it(self, cloud: Cloud) -> None:
        assert cloud.problems() == []
