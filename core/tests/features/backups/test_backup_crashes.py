"""A manager may be killed at any write: no half backup stays, and none is lost."""


def walk(shop, dying, writes, *changes):
    """Make changes that lead back to where they began, with a kill at each write of theirs."""
    for number in writes():
        died = []
        for change, expected in changes:
            died.append(dying(shop, change, number))
            shop.idle()
            shop.look()
            assert len(shop.names()) == expected, f"killed at write {number}"
            assert shop.loose == []
        if not any(died):
            assert number > 3
            return


def test_making_verifying_and_deleting_survive_a_kill_at_every_write(shop, dying, writes):
    def verify():
        shop.run(shop.user.verify_backup(name=shop.names()[0]))

    def delete():
        shop.run(shop.user.delete_backup(name=shop.names()[0]))

    walk(shop, dying, writes, (lambda: shop.run(shop.user.backup()), 1), (verify, 1), (delete, 0))
    assert shop.blobs() == []


def test_making_and_deleting_on_a_volume_survive_a_kill_at_every_write(shop, dying, writes):
    shop.user.set_backup_schedule(place=shop.volume())

    def delete():
        shop.run(shop.user.delete_backup(name=shop.names()[0]))

    walk(shop, dying, writes, (lambda: shop.run(shop.user.backup()), 1), (delete, 0))
    assert shop.on_volume() == {}


def test_restoring_survives_a_kill_at_every_write(shop, dying, writes):
    name = shop.run(shop.user.backup()).name
    for number in writes():
        shop.user.write(text="second")
        died = dying(shop, lambda: shop.run(shop.user.restore(name=name)), number)
        shop.idle()
        assert shop.user.read() == "first"
        for safety in shop.names()[:-1]:
            shop.run(shop.user.delete_backup(name=safety))
        assert shop.names() == [name]
        if not died:
            assert number > 3
            return


def test_the_schedule_survives_a_kill_at_every_write(shop, dying, writes):
    shop.user.set_backup_schedule(every="24", keep=1)
    shop.look()
    for number in writes():

        def later():
            shop.cluster.sampling_clock.advance(seconds=24 * 3600)
            shop.cluster.look()
            shop.idle()

        died = dying(shop, later, number)
        shop.idle()
        shop.look()
        assert len(shop.names()) == 1, f"killed at write {number}"
        assert (shop.loose, len(shop.blobs())) == ([], 1)
        if not died:
            assert number > 3
            return


def test_what_was_coming_when_the_process_was_killed_is_removed(shop):
    blobs = shop.machine.directory / "blobs"
    blobs.mkdir(exist_ok=True)
    (blobs / ".new-half").write_bytes(b"half")
    shop.restart()
    assert shop.blobs() == []


def test_what_was_coming_to_a_volume_is_removed_when_its_agent_comes_back(shop):
    shop.user.set_backup_schedule(place=shop.volume())
    name = shop.run(shop.user.backup()).name
    shop.on_volume()[name].with_name(".new-half").write_bytes(b"half")
    shop.cluster.restart(shop.cluster.machine(int(shop.node.removeprefix("node-"))))
    assert list(shop.on_volume()) == [name]
