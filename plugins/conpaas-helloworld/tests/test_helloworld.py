"""The smallest service, as its users see it."""

from __future__ import annotations

import pytest

from conpaas.errors import WrongStateError
from conpaas.testing import Cluster, ServiceConformance


class TestConformance(ServiceConformance):
    """What every service type must do."""

    name = "helloworld"


def test_every_node_greets_from_its_own_machine(cluster: Cluster) -> None:
    service = cluster.service("helloworld")
    cluster.run(service.start())
    cluster.run(service.add_nodes(nodes={"count": 2}))
    greetings = service.get_helloworld()
    assert [(greeting.agent_id, greeting.ip) for greeting in greetings] == [
        (node.agent_id, node.ip) for node in service.list_nodes()
    ]
    assert len({greeting.ip for greeting in greetings}) == 3
    assert {greeting.greeting for greeting in greetings} == {"Hello, world!"}


def test_users_say_whom_to_greet(cluster: Cluster) -> None:
    service = cluster.service("helloworld")
    cluster.run(service.start())
    assert [greeting.greeting for greeting in service.get_helloworld(name="Ada")] == [
        "Hello, Ada!"
    ]


def test_nobody_greets_before_the_start(cluster: Cluster) -> None:
    with pytest.raises(WrongStateError):
        cluster.service("helloworld").get_helloworld()
