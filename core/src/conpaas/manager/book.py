"""What a manager must not forget: its services, their nodes and the changes of their state."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from conpaas.api import Change, MachineInfo
from conpaas.manager.nodes import Node, NodeState
from conpaas.records import MORE_SHARED_STEPS, SHARED_STEPS, Records, Store
from conpaas.state import State

STEPS = (
    *SHARED_STEPS,
    """
    CREATE TABLE service (
        number INTEGER PRIMARY KEY, type TEXT NOT NULL, state TEXT NOT NULL
    );
    CREATE TABLE change (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        service INTEGER NOT NULL REFERENCES service (number) ON DELETE CASCADE,
        time REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE node (
        id TEXT PRIMARY KEY,
        service INTEGER NOT NULL REFERENCES service (number) ON DELETE CASCADE,
        role TEXT NOT NULL, address TEXT NOT NULL, cloud TEXT NOT NULL,
        machine INTEGER NOT NULL, state TEXT NOT NULL, created REAL NOT NULL
    );
    """,
    *MORE_SHARED_STEPS,
    """
    ALTER TABLE node ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
    UPDATE node SET position = (
        SELECT COUNT(*) FROM node AS older WHERE older.service = node.service
        AND older.role = node.role AND older.machine < node.machine
    );
    """,
)


#: Scope of the store in which services tell each other what they publish.
_PUBLISHED = "published"
#: Key of a service's store: the roles of the nodes that it had when it was stopped.
_ROLES = "roles"


class Book:
    """The manager's records, in the words of its trade."""

    def __init__(self, records: Records, clock: Callable[[], float] = time.time) -> None:
        self.records = records
        self._clock = clock

    def services(self) -> dict[int, str]:
        """Return the type of each service, by number."""
        rows = self.records.execute("SELECT number, type FROM service ORDER BY number")
        return {row["number"]: row["type"] for row in rows}

    def add_service(self, number: int, service_type: str) -> None:
        """Note a new service; noting it again is fine."""
        with self.records.transaction():
            if number in self.services():
                return
            self.records.execute(
                "INSERT INTO service VALUES (?, ?, ?)", number, service_type, State.INIT.value
            )
            self._note(number, State.INIT, "created")

    def forget_service(self, number: int) -> None:
        """Forget a service with its nodes, history and store."""
        with self.records.transaction():
            self.records.execute("DELETE FROM service WHERE number = ?", number)
            self.records.execute("DELETE FROM store WHERE scope = ?", f"service {number}")
            self.records.execute(
                "DELETE FROM store WHERE scope = ? AND key = ?", _PUBLISHED, str(number)
            )

    def shared(self, name: str) -> MutableMapping[str, Any]:
        """Return a persisted dictionary of the application as a whole."""
        return Store(self.records, f"application {name}")

    def published(self) -> dict[int, dict[str, str]]:
        """Return what each service publishes, by number; those that do not are left out."""
        published = Store(self.records, _PUBLISHED)
        return {int(number): values for number, values in published.items()}

    def publish(self, number: int, values: dict[str, str]) -> bool:
        """Note what a service publishes; return whether that is new."""
        with self.records.transaction():
            if values == self.published().get(number, {}):
                return False
            Store(self.records, _PUBLISHED)[str(number)] = values
            return True

    def states(self) -> dict[int, State]:
        """Return the state of each service, by number."""
        rows = self.records.execute("SELECT number, state FROM service ORDER BY number")
        return {row["number"]: State(row["state"]) for row in rows}

    def set_state(self, number: int, state: State, reason: str) -> None:
        """Change a service's state and note the change."""
        with self.records.transaction():
            self.records.execute(
                "UPDATE service SET state = ? WHERE number = ?", state.value, number
            )
            self._note(number, state, reason)

    def note(self, number: int, text: str) -> None:
        """Note what happened to a service, whose state stays as it is.

        What was noted last is not noted again: a job may say it twice after a crash.
        """
        with self.records.transaction():
            state = self.states()[number]
            last = self.history(number)[-1]
            if (last.state, last.reason) != (state, text):
                self._note(number, state, text)

    def history(self, number: int) -> list[Change]:
        """Return the changes of a service's state, oldest first."""
        rows = self.records.execute("SELECT * FROM change WHERE service = ? ORDER BY id", number)
        return [
            Change(
                dt.datetime.fromtimestamp(row["time"], dt.UTC).isoformat(timespec="milliseconds"),
                row["state"],
                row["reason"],
            )
            for row in rows
        ]

    def _note(self, number: int, state: State, reason: str) -> None:
        self.records.execute(
            "INSERT INTO change (service, time, state, reason) VALUES (?, ?, ?, ?)",
            number,
            self._clock(),
            state.value,
            reason,
        )

    # -- nodes --------------------------------------------------------------------------------

    def nodes(self, service: int | None = None, *states: NodeState) -> list[Node]:
        """Return nodes, oldest first: of one service or all, in these states or any."""
        wanted = [state.value for state in states or tuple(NodeState)]
        marks = ", ".join("?" * len(wanted))
        rows = self.records.execute(
            f"SELECT * FROM node WHERE state IN ({marks}) AND (? IS NULL OR service = ?) "  # noqa: S608 - only question marks are put in
            "ORDER BY machine",
            *wanted,
            service,
            service,
        )
        return [_node(row) for row in rows]

    def add_nodes(self, service: int, machines: Iterable[MachineInfo]) -> list[Node]:
        """Note machines as nodes that are joining; noting them again is fine."""
        with self.records.transaction():
            numbers = []
            for machine in machines:
                numbers.append(machine.id)
                self.records.execute(
                    "INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    node_id(machine.id),
                    service,
                    machine.role,
                    machine.address or "",
                    machine.cloud,
                    machine.id,
                    NodeState.JOINING.value,
                    self._clock(),
                    self._free_position(service, machine.role),
                )
            return [node for node in self.nodes(service) if node.machine in numbers]

    def note_roles(self, service: int) -> None:
        """Note the roles of a service's nodes, which are about to go; if there are none, nothing.

        Nodes that are lost count, for they were to be replaced; those that leave do not.
        """
        with self.records.transaction():
            nodes = self.nodes(service, NodeState.READY, NodeState.LOST)
            if nodes:
                by_position = sorted(nodes, key=lambda node: (node.position, node.machine))
                Store(self.records, f"service {service}")[_ROLES] = [n.role for n in by_position]

    def noted_roles(self, service: int) -> tuple[str, ...]:
        """Return the roles of the nodes that a service had; empty when all are there again."""
        return tuple(Store(self.records, f"service {service}").get(_ROLES, ()))

    def forget_roles(self, service: int) -> None:
        """Forget what was noted of nodes: all are there again, or are to be no more."""
        Store(self.records, f"service {service}").pop(_ROLES, None)

    def _free_position(self, service: int, role: str) -> int:
        taken = {node.position for node in self.nodes(service) if node.role == role}
        return next(position for position in range(len(taken) + 1) if position not in taken)

    def succeed(self, lost: Sequence[Node], added: Sequence[Node]) -> list[Node]:
        """Give each new node the position of a lost one of its role; return them as they are."""
        heirs = {role: [n for n in added if n.role == role] for role in {n.role for n in added}}
        with self.records.transaction():
            for node in lost:
                if heirs.get(node.role):
                    self.records.execute(
                        "UPDATE node SET position = ? WHERE id = ?",
                        node.position,
                        heirs[node.role].pop(0).id,
                    )
        ids = {node.id for node in added}
        return [node for node in self.nodes() if node.id in ids]

    def mark(self, nodes: Iterable[Node], state: NodeState) -> None:
        """Change the state of nodes."""
        with self.records.transaction():
            for node in nodes:
                self.records.execute(
                    "UPDATE node SET state = ? WHERE id = ?", state.value, node.id
                )

    def lose(self, node: Node) -> int | None:
        """Note that a node is lost; return its service, None when it is not ready any more."""
        rows = self.records.execute(
            "UPDATE node SET state = ? WHERE id = ? AND state = ? RETURNING service",
            NodeState.LOST.value,
            node.id,
            NodeState.READY.value,
        )
        return int(rows[0]["service"]) if rows else None

    def forget_nodes(self, nodes: Sequence[Node]) -> None:
        """Forget nodes; those already forgotten are fine."""
        with self.records.transaction():
            for node in nodes:
                self.records.execute("DELETE FROM node WHERE id = ?", node.id)


def node_id(machine: int) -> str:
    """Return the id of the node on a machine, as users type it."""
    return f"node-{machine}"


def _node(row: Any) -> Node:
    return Node(
        id=row["id"],
        role=row["role"],
        address=row["address"],
        cloud=row["cloud"],
        machine=row["machine"],
        state=NodeState(row["state"]),
        created=row["created"],
        position=row["position"],
    )
