"""Scaling by the pages: what a change would do is told first, and what is lost asked for."""

import dataclasses
import types

import pytest

from conpaas import hookimpl
from conpaas.errors import InvalidError
from conpaas.frontend.scaling import Change, plan
from conpaas.plugins import Plugins
from conpaas.service import Role, Service


@pytest.fixture
def plugins(plugins):
    """The simple type, and one whose first node plays the other role too."""
    agent = plugins.service("simple").agent

    class PackedManager(plugins.service("simple").manager_class):
        first_roles = ("front",)

        def list_nodes(self):
            """Show the role that has no node as the first one's too."""
            own = {node.role for node in self.nodes}
            return [
                dataclasses.replace(row, role="front, back") if "back" not in own else row
                for row in super().list_nodes()
            ]

        def check_add(self, counts):
            """Refuse a second front before there is a back."""
            if "front" in counts and "back" not in counts:
                raise InvalidError("add a back first")

        def foresee(self, more, fewer):
            """Say what moves."""
            here = self.nodes[0]
            if "back" in more:
                return [f"the back moves from {here.id} to a node of its own"]
            return [f"the back moves back to {here.id}"]

    packed = types.ModuleType("packed")

    @hookimpl
    def conpaas_service():
        return Service(
            name="packed", title="Packed", manager=PackedManager, agent=agent,
            roles=(Role("back", "Works"), Role("front", "Is asked")),
        )  # fmt: skip

    packed.conpaas_service = conpaas_service
    return Plugins(packed=packed, **plugins.modules)


@pytest.fixture
def packed(cluster, aid):
    """The address of a service whose roles are all on one node."""
    cluster.run(cluster.service("packed", aid).start())
    return f"/applications/{aid}/services/1"


def test_nodes_are_added_until_there_are_as_many_as_wanted(browser, cluster, service):
    page = browser.post(
        f"{service}/scale",
        {"count.node": "2", "was.node": "1", "count.keeper": "1", "was.keeper": "0"},
    )
    assert page.location.startswith("/applications/1/jobs/")
    cluster.wait(lambda: "done" in browser.get(page.location).text)
    assert len(cluster.agents(1, 1)) == 3


def test_removing_nodes_is_asked_for_first(browser, cluster, service):
    cluster.run(cluster.service_stub("simple", 1, 1).add_nodes(nodes={"node": 2}))
    fields = {"count.node": "1", "was.node": "3", "count.keeper": "0", "was.keeper": "0"}
    page = browser.post(f"{service}/scale", fields)
    assert page.status == 200
    assert "2 node nodes of New simple service will be drained" in page.text
    assert len(cluster.agents(1, 1)) == 3
    done = browser.post(f"{service}/scale", {**fields, "confirmed": "yes"})
    cluster.wait(lambda: "done" in browser.get(done.location).text)
    assert len(cluster.agents(1, 1)) == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"count.node": "x"}, "'x' is not a number"),
        ({"count.node": "-1"}, "there cannot be -1 nodes"),
        ({"count.node": "1"}, "there are that many already"),
        ({"count.node": "2", "was.node": "5"}, "there are 1 node nodes by now, not 5"),
        ({"count.node": "99999"}, "out of range"),
    ],
)
def test_a_wrong_number_of_nodes_is_told_and_changes_nothing(
    browser, cluster, service, fields, told
):
    page = browser.post(f"{service}/scale", {"count.keeper": "0", **fields})
    assert page.status in (400, 409)
    assert told in page.text
    assert page.field("count.node")["value"] == fields["count.node"]
    assert len(cluster.agents(1, 1)) == 1


def test_what_a_change_would_do_is_told_before_it_is_made(browser, cluster, packed):
    page = browser.get(packed)
    node = cluster.service_stub("packed", 1, 1).list_nodes()[0].agent_id
    assert f"For now on the front, {node}" in page.text
    assert [page.field(f"count.{role}")["value"] for role in ("back", "front")] == ["0", "1"]
    told = browser.get(f"{packed}/scale?count.back=2&count.front=1")
    assert "2 more back nodes." in told.text
    assert f"The back moves from {node} to a node of its own." in told.text
    assert told.field("count.back")["value"] == "2"
    assert len(cluster.agents(1, 1)) == 1


@pytest.mark.parametrize(
    ("change", "charged", "told"),
    [
        (Change(more={"back": 2}), True, ["2 more back nodes: 2 credits an hour more."]),
        (Change(more={"back": 2}), False, ["2 more back nodes."]),
        (Change(fewer={"back": 1}), True, ["1 fewer back node: 1 credit an hour less."]),
        (
            Change(more={"back": 1, "web": 1}, fewer={"front": 1}),
            False,
            [
                "1 more back node and 1 more web node.",
                "After that 1 fewer front node. This is asked for again.",
            ],
        ),
        (Change(), True, []),
    ],
)
def test_a_change_is_told_in_words_with_what_it_costs_whom_it_costs(change, charged, told):
    manager = types.SimpleNamespace(plan_nodes=lambda more=None, fewer=None: [])
    assert list(plan(change, manager, charged=charged).counts) == told


def test_a_refusal_is_told_in_the_words_of_the_manager_and_nothing_is_changed(
    browser, cluster, packed
):
    page = browser.get(f"{packed}/scale?count.front=2")
    assert page.status == 200
    assert "Add a back first." in page.text
    refused = browser.post(f"{packed}/scale", {"count.front": "2"})
    assert refused.status == 400
    assert "add a back first" in refused.text
    assert refused.field("count.front")["value"] == "2"
    assert len(cluster.agents(1, 1)) == 1


def test_what_comes_is_added_first_and_what_goes_is_asked_for_after(browser, cluster, service):
    cluster.run(cluster.service_stub("simple", 1, 1).add_nodes(nodes={"node": 1}))
    wanted = {"count.node": "1", "count.keeper": "1"}
    page = browser.post(f"{service}/scale", wanted)
    cluster.wait(lambda: "done" in browser.get(page.location).text)
    assert len(cluster.agents(1, 1)) == 3
    on = next(a["href"] for a in browser.get(page.location).all("a", class_="button primary"))
    asked = browser.get(on)
    assert "1 node node of New simple service will be drained" in asked.text
    assert asked.all("form", action=f"{service}/scale")
    done = browser.post(f"{service}/scale", {**wanted, "confirmed": "yes"})
    cluster.wait(lambda: "done" in browser.get(done.location).text)
    assert len(cluster.agents(1, 1)) == 2


def test_an_address_without_counts_leads_to_the_form(browser, service):
    assert browser.get(f"{service}/scale").location == f"{service}#scale"


def test_counts_in_the_address_that_are_no_numbers_are_told(browser, service):
    page = browser.get(f"{service}/scale?count.node=many")
    assert page.status == 400 and "'many' is not a number" in page.text


def test_a_role_that_no_node_is_there_for_says_where_it_is_when_the_first_is_taken(
    browser, cluster, packed
):
    cluster.run(cluster.service_stub("packed", 1, 1).add_nodes(nodes={"back": 1}))
    node = cluster.service_stub("packed", 1, 1).list_nodes()[0].agent_id
    page = browser.post(f"{packed}/scale", {"count.back": "0"})
    assert page.status == 200
    assert f"The back moves back to {node}." in page.text
    assert page.all("input", name="confirmed", value="yes")
