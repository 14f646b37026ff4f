"""The network inside one process behaves as the real one, faults included."""

import io

import falcon
import pytest

from conpaas.certificates import Identity, Role
from conpaas.errors import DeniedError, UnreachableError
from conpaas.testing.network import Network, NetworkPeers

URL = "https://a:5555"
AGENT = Identity(Role.AGENT, owner=1, application=2, machine=3)


class Echo:
    def on_get(self, req, resp):
        resp.media = {"query": req.query_string, "certificate": bool(req.get_header("X-x"))}

    def on_post(self, req, resp):
        resp.data = req.bounded_stream.read()


@pytest.fixture
def network():
    app = falcon.App()
    app.add_route("/echo", Echo())
    made = Network()
    made.join(URL, AGENT, app)
    return made


def test_a_call_reaches_the_server_at_its_url(network):
    answer = NetworkPeers(network).request(URL, "GET", "/echo?a=1")
    assert (answer.status, answer.json()["query"]) == (200, "a=1")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"content", {}),
        (io.BytesIO(b"content"), {}),
        (io.BytesIO(b"content"), {"Content-Length": "7"}),
        (iter([b"con", b"tent"]), {}),
    ],
)
def test_a_body_arrives_whatever_it_is(network, body, headers):
    answer = NetworkPeers(network).request(URL, "POST", "/echo", body=body, headers=headers)
    assert answer.body == b"content"


def test_a_stream_is_not_read_ahead(network):
    answer = NetworkPeers(network).request(URL, "GET", "/echo", stream=True)
    assert answer.body == b"" and b"query" in b"".join(answer.chunks)


def test_an_unknown_and_a_silent_server_do_not_answer(network):
    with pytest.raises(UnreachableError):
        NetworkPeers(network).request("https://b:5555", "GET", "/echo")
    network.silence(URL)
    with pytest.raises(UnreachableError):
        NetworkPeers(network).request(URL, "GET", "/echo")
    network.silence(URL, False)
    assert NetworkPeers(network).request(URL, "GET", "/echo").status == 200
    network.leave(URL)
    with pytest.raises(UnreachableError):
        NetworkPeers(network).request(URL, "GET", "/echo")


@pytest.mark.parametrize(
    "expect",
    [
        Identity(Role.AGENT, machine=4),
        Identity(Role.MANAGER),
        Identity(Role.AGENT, application=9, machine=3),
        lambda identity: False,
    ],
)
def test_another_server_than_was_expected_is_not_talked_to(network, expect):
    with pytest.raises(DeniedError):
        NetworkPeers(network).request(URL, "GET", "/echo", expect=expect)


def test_a_server_that_dies_in_the_middle_of_a_call_did_not_answer(network):
    class Deadly:
        def on_get(self, req, resp):
            network.leave(URL)

    app = falcon.App()
    app.add_route("/", Deadly())
    network.join(URL, AGENT, app)
    with pytest.raises(UnreachableError):
        NetworkPeers(network).request(URL, "GET", "/")


def test_a_caller_that_is_dead_reaches_nobody(network):
    peers = NetworkPeers(network)
    peers.close()
    with pytest.raises(UnreachableError):
        peers.request(URL, "GET", "/echo")
    assert peers.again().request(URL, "GET", "/echo").status == 200
