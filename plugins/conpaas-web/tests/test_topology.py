"""Who carries what, and what moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas.errors import InvalidError
from conpaas.manager.nodes import Node
from conpaas_web.topology import (
    BACKEND,
    PARTS,
    PROXY,
    WEB,
    Topology,
    check_add,
    check_remove,
    foresee,
    moves,
    placed,
)


def nodes(**roles: int) -> list[Node]:
    made: list[Node] = []
    for role, count in roles.items():
        for position in range(count):
            number = len(made) + 1
            made.append(
                Node(f"node-{number}", role, f"10.0.0.{number}", "c", number, position=position)
            )
    return made


def ids(found: tuple[Node, ...]) -> list[str]:
    return [node.id for node in found]


def test_one_node_carries_everything() -> None:
    (node,) = nodes(proxy=1)
    assert Topology.of([node]).parts(node) == (PROXY, WEB, BACKEND)


def test_a_node_of_its_own_takes_a_part_off_the_first_proxy() -> None:
    proxy, backend = nodes(proxy=1, backend=1)
    now = Topology.of([proxy, backend])
    assert now.parts(proxy) == (PROXY, WEB)
    assert now.parts(backend) == (BACKEND,)
    assert now.carriers == (proxy, backend)


def test_the_first_proxy_is_the_one_whose_address_is_known_not_the_oldest() -> None:
    first, second = nodes(proxy=2)
    instead = Node("node-9", PROXY, first.address, "c", 9, position=0)
    assert ids(Topology.of([second, instead]).proxies) == ["node-9", "node-2"]


def test_without_a_proxy_nothing_is_carried_that_has_no_node() -> None:
    now = Topology.of(nodes(web=1))
    assert (ids(now.proxies), ids(now.web), ids(now.backends)) == ([], ["node-1"], [])


def test_a_lost_backend_leaves_its_part_to_the_first_proxy() -> None:
    proxy, web, _ = nodes(proxy=1, web=1, backend=1)
    assert Topology.of([proxy, web]).parts(proxy) == (PROXY, BACKEND)


@pytest.mark.parametrize(
    ("there", "more", "why"),
    [
        ({PROXY: 1}, {PROXY: 1}, r"\(--web 1 --backend 1\)"),
        ({PROXY: 1, WEB: 1}, {PROXY: 2}, r"\(--backend 1\)"),
        ({PROXY: 1, BACKEND: 3}, {PROXY: 1, BACKEND: 1}, r"\(--web 1\)"),
    ],
)
def test_several_proxies_need_nodes_for_the_other_parts(
    there: dict[str, int], more: dict[str, int], why: str
) -> None:
    words = (
        "^Cannot add more proxy servers without at least one stand-alone 'web' node and one "
        "stand-alone 'backend' node: add them first or at the same time "
    )
    with pytest.raises(InvalidError, match=words + why):
        check_add(there, more)


def test_all_may_come_at_the_same_time() -> None:
    check_add({PROXY: 1}, {PROXY: 3, WEB: 1, BACKEND: 1})
    check_add({PROXY: 2, WEB: 1}, {WEB: 1})  # a backend is lost: more web nodes may come


@pytest.mark.parametrize(
    ("there", "fewer", "why"),
    [
        ({PROXY: 1}, {PROXY: 1}, "^Not enough 'proxy' nodes will be left: one must stay; stop"),
        ({PROXY: 2, WEB: 1, BACKEND: 1}, {PROXY: 2}, "^Not enough 'proxy' nodes will be left"),
        (
            {PROXY: 2, WEB: 1, BACKEND: 1},
            {BACKEND: 1},
            r"^Not enough 'backend' nodes will be left: with 2 proxies one .*\(--proxy 1\)$",
        ),
        (
            {PROXY: 4, WEB: 2, BACKEND: 1},
            {WEB: 2, PROXY: 1},
            r"^Not enough 'web' nodes will be left: with 3 proxies .* remove 2 .*\(--proxy 3\)$",
        ),
    ],
)
def test_too_few_nodes_are_never_left(
    there: dict[str, int], fewer: dict[str, int], why: str
) -> None:
    with pytest.raises(InvalidError, match=why):
        check_remove(there, fewer)


counts = st.fixed_dictionaries({role: st.integers(0, 4) for role in PARTS})


@given(st.lists(st.tuples(st.booleans(), counts), max_size=12))
def test_whatever_is_allowed_leaves_every_part_carried(
    changes: list[tuple[bool, dict[str, int]]],
) -> None:
    there = Counter({PROXY: 1})
    for adds, change in changes:
        some = {role: count for role, count in change.items() if count}
        before = Topology.of(nodes(**there))
        try:
            if adds:
                check_add(there, some)
                after = there + Counter(some)
            else:
                if any(count > there[role] for role, count in some.items()):
                    continue  # core refuses that
                check_remove(there, some)
                after = there - Counter(some)
        except InvalidError as error:
            # What it says is true: it would have left a part with nobody to carry it.
            after = there + Counter(some) if adds else there - Counter(some)
            assert after[PROXY] < 1 or (after[PROXY] > 1 and not (after[WEB] and after[BACKEND]))
            assert "will be left" in str(error) or "Cannot add" in str(error)
            continue
        now = Topology.of(nodes(**after))
        assert all(now.of_part(part) for part in PARTS)
        assert len(now.proxies) == 1 or not set(now.proxies) & set(now.carriers)
        told = foresee(before, some if adds else {}, {} if adds else some)
        for part in (WEB, BACKEND):
            has_moved = bool(there[part]) is not bool(after[part])
            assert any(sentence.startswith(f"{part} moves") for sentence in told) is has_moved
        there = after


def test_moves_are_told_with_names_and_addresses() -> None:
    proxy, backend, other = nodes(proxy=1, backend=2)
    packed, apart = Topology.of([proxy]), Topology.of([proxy, backend])
    wider = Topology.of([proxy, backend, other])
    assert foresee(packed, {BACKEND: 1, WEB: 2}, {}) == [
        "web moves from node-1 (10.0.0.1) to 2 machines of its own",
        "backend moves from node-1 (10.0.0.1) to a machine of its own",
    ]
    assert foresee(apart, {}, {BACKEND: 1}) == [
        "backend moves from node-2 (10.0.0.2) to node-1 (10.0.0.1)"
    ]
    assert foresee(apart, {BACKEND: 3}, {}) == []
    assert moves(placed(packed), apart) == [
        "backend moves from node-1 (10.0.0.1) to node-2 (10.0.0.2)"
    ]
    assert moves(placed(apart), wider) == ["backend comes to node-3 (10.0.0.3)"]
    assert moves(placed(wider), apart) == ["backend leaves node-3 (10.0.0.3)"]
    assert moves(placed(apart), apart) == []
