"""Where a node stands among those of its role: known again, whoever stands there."""

from conpaas.api import MachineInfo
from conpaas.manager.book import STEPS, Book
from conpaas.records import Records


def machine(number, role="node"):
    return MachineInfo(number, f"m{number}", 1, 1, role, "192.0.2.1", "memory", "running")


def positions(book):
    return [(node.id, node.role, node.position) for node in book.nodes(1)]


def test_a_new_node_takes_the_first_place_that_is_free_in_its_role():
    book = Book(Records(None, STEPS))
    book.add_service(1, "simple")
    book.add_nodes(1, [machine(1), machine(2), machine(3, "keeper"), machine(4)])
    book.forget_nodes([node for node in book.nodes(1) if node.machine == 2])
    book.add_nodes(1, [machine(5), machine(6)])
    assert positions(book) == [
        ("node-1", "node", 0), ("node-3", "keeper", 0), ("node-4", "node", 2),
        ("node-5", "node", 1), ("node-6", "node", 3),
    ]  # fmt: skip


def test_who_replaces_a_node_has_its_place_also_when_it_is_said_twice():
    book = Book(Records(None, STEPS))
    book.add_service(1, "simple")
    lost = book.add_nodes(1, [machine(1), machine(2)])
    added = book.add_nodes(1, [machine(3), machine(4)])
    for _ in range(2):
        book.succeed(lost, added)
        book.forget_nodes(lost)
    assert positions(book) == [("node-3", "node", 0), ("node-4", "node", 1)]


def test_the_nodes_of_an_older_manager_get_their_places(tmp_path):
    before = Records(tmp_path / "manager.db", STEPS[:-1])
    before.execute("INSERT INTO service VALUES (1, 'simple', 'RUNNING')")
    for number, role in ((1, "node"), (2, "keeper"), (3, "node")):
        before.execute(
            "INSERT INTO node VALUES (?, 1, ?, '192.0.2.1', 'memory', ?, 'ready', 0.0)",
            f"node-{number}", role, number,
        )  # fmt: skip
    before.close()
    book = Book(Records(tmp_path / "manager.db", STEPS))
    assert positions(book) == [
        ("node-1", "node", 0), ("node-2", "keeper", 0), ("node-3", "node", 1),
    ]  # fmt: skip
