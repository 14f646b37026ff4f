"""A manager or a director's worker may be killed at any write: no volume is lost or leaked."""

import pytest

from conpaas import jobs


def test_creating_and_deleting_survive_a_kill_of_the_manager_at_every_write(shop, walk):
    def delete():
        shop.cluster.run(shop.user.delete_volume(vol_name="data"))

    walk(shop, shop.create, delete)


def test_detaching_and_attaching_survive_a_kill_of_the_manager_at_every_write(shop, walk):
    shop.create()
    node = shop.nodes()[0].agent_id
    walk(
        shop,
        lambda: shop.cluster.run(shop.user.detach_volume(vol_name="data")),
        lambda: shop.cluster.run(shop.user.attach_volume(vol_name="data", agent_id=node)),
    )


def test_stopping_and_starting_survive_a_kill_of_the_manager_at_every_write(shop, walk):
    shop.create()
    walk(
        shop,
        lambda: shop.cluster.run(shop.user.stop()),
        lambda: shop.cluster.run(shop.user.start()),
    )


class SeenFromItsNode:
    """The shop, but what is killed is the agent of its node."""

    def __init__(self, shop):
        self.shop = shop

    @property
    def machine(self):
        return self.shop.machine_of(self.shop.nodes()[0].agent_id)

    def restart(self):
        self.shop.cluster.restart(self.machine)

    def is_job(self):
        """Whether this thread runs a job of the agent: those of the manager call it too."""
        running = jobs._present.get()
        return running is not None and running.target.name == "agent"


def test_mounting_survives_a_kill_of_the_agent_at_every_write(shop, dying, writes):
    def delete():
        shop.cluster.run(shop.user.delete_volume(vol_name="data"))

    for number in writes():
        died = dying(SeenFromItsNode(shop), shop.create, number)
        shop.idle()
        node = shop.nodes()[0].agent_id
        assert shop.volumes() == [("data", node, "attached")], f"killed at write {number}"
        assert shop.machine_of(node).agent.agent.list_mounted_volumes() == ["data"]
        delete()
        if not died:
            assert number > 2
            return


@pytest.fixture
def dying_director(dying_worker):
    """As ``dying``, but what is killed is the director's worker."""
    return lambda shop, do, number: dying_worker(do, number)


def test_creating_and_deleting_survive_a_kill_of_the_worker_at_every_write(
    shop, walk, dying_director
):
    def delete():
        shop.cluster.run(shop.user.delete_volume(vol_name="data"))

    walk(shop, shop.create, delete, dying=dying_director)


def test_stopping_and_starting_survive_a_kill_of_the_worker_at_every_write(
    shop, walk, dying_director
):
    shop.create()
    walk(
        shop,
        lambda: shop.cluster.run(shop.user.stop()),
        lambda: shop.cluster.run(shop.user.start()),
        dying=dying_director,
    )


def test_growing_survives_a_kill_of_the_manager_at_every_write(shop, dying, writes):
    shop.create("data", 10)
    for number in writes():
        size = 11 + number

        def grow(size=size):
            return shop.cluster.run(shop.user.grow_volume(vol_name="data", vol_size=size))

        died = dying(shop, grow, number)
        shop.idle()
        (row,) = shop.user.list_volumes()
        assert (row.vol_size, row.state) == (size, "attached"), f"killed at write {number}"
        assert [v.size for v in shop.cluster.provider.volumes.values()] == [size]
        if not died:
            assert number > 3
            return
