"""Calls between servers: to the right one, over kept connections, with an end to every wait."""

import datetime as dt
import io
import socket
import threading
import time

import pytest
from scripted_server import AGENT, HELLO, MANAGER, Member, Server, answering, dropping, silent

from conpaas.certificates import Authority, Identity, Role
from conpaas.errors import (
    AgentError,
    BusyError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnreachableError,
)
from conpaas.transport import Answer, Peers, TlsFiles, fan_out, raise_for_error


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "ca", "acme")


@pytest.fixture
def agent(tmp_path, authority):
    return Member(tmp_path / "agent", authority, AGENT)


@pytest.fixture
def peers(tmp_path, authority):
    peers = Peers(Member(tmp_path / "manager", authority, MANAGER).tls, timeout=5, expect=AGENT)
    yield peers
    peers.close()


@pytest.fixture
def serve(agent):
    servers = []

    def start(*scripts, member=agent):
        servers.append(Server(member, *scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_call_is_answered(peers, serve):
    server = serve(answering(HELLO))
    answer = peers.request(server.url, "POST", "/x?y=1", body=b"abc", headers={"X-A": "1"})
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-length"] == "5"
    assert server.requests == [("POST /x?y=1", b"abc")]


def test_the_other_side_learns_who_calls(peers, serve):
    server = serve(answering(HELLO))
    peers.request(server.url, "GET", "/")
    assert server.peers[0]["subjectAltName"] == (("URI", MANAGER.uri("acme")),)


def test_connections_are_kept(peers, serve):
    server = serve(answering(HELLO, HELLO, HELLO))
    for _ in range(3):
        peers.request(server.url, "GET", "/")
    assert server.connections == 1


@pytest.mark.parametrize(
    "expected",
    [
        Identity(Role.MANAGER),
        Identity(Role.AGENT, application=3),
        lambda identity: identity.machine == 4,
    ],
)
def test_somebody_else_is_told_nothing(peers, serve, expected):
    server = serve(answering(HELLO), answering(HELLO))
    with pytest.raises(DeniedError, match="is agent owner 1 application 2 machine 3"):
        peers.request(server.url, "POST", "/", body=b"secret", expect=expected)
    assert server.requests == []


def test_a_kept_connection_is_checked_again(peers, serve):
    server = serve(answering(HELLO, HELLO), answering(HELLO))
    peers.request(server.url, "GET", "/")
    with pytest.raises(DeniedError):
        peers.request(server.url, "GET", "/", expect=Identity(Role.DIRECTOR))
    assert len(server.requests) == 1


def test_an_address_may_pass_to_another_machine(peers, serve, tmp_path, authority):
    director = Identity(Role.DIRECTOR)
    heir = Member(tmp_path / "heir", authority, director)

    def bequeath(server, sock):
        answering(HELLO)(server, sock)
        server.use(heir)
        server.read_request(sock)

    server = serve(bequeath, answering(HELLO))
    peers.request(server.url, "GET", "/")
    assert peers.request(server.url, "GET", "/", expect=director).body == b"hello"


def test_a_call_must_say_whom_it_expects(peers, agent):
    with pytest.raises(ValueError, match="whom it expects"):
        Peers(agent.tls).request("https://127.0.0.1:1", "GET", "/")


def test_a_server_of_another_authority_is_refused(tmp_path, peers, serve):
    other = Member(tmp_path / "other", Authority.create(tmp_path / "twin", "acme"), AGENT)
    server = serve(answering(HELLO), member=other)
    with pytest.raises(DeniedError, match=r"certificate of .* is refused"):
        peers.request(server.url, "GET", "/")


def test_a_server_with_an_expired_certificate_is_refused(tmp_path, authority, peers, serve):
    late = Member(tmp_path / "late", authority, AGENT, dt.timedelta(seconds=-10))
    with pytest.raises(DeniedError, match="expired"):
        peers.request(serve(answering(HELLO), member=late).url, "GET", "/")


def test_nobody_there_is_an_error_that_names_the_address(peers):
    with pytest.raises(UnreachableError, match=r"127.0.0.1:1 does not answer \(Connection refu"):
        peers.request("127.0.0.1:1", "POST", "/api/v1/x")


@pytest.mark.parametrize(
    "url", ["", "http://a:1", "https://", "ftp://a", "https://a:b", "a:99999"]
)
def test_an_address_must_be_one(peers, url):
    with pytest.raises(InvalidError, match="no address of a server"):
        peers.request(url, "GET", "/")


def test_a_kept_connection_that_was_closed_is_replaced_for_every_method(peers, serve):
    server = serve(answering(HELLO), answering(HELLO))
    peers.request(server.url, "GET", "/")
    while any(c.is_usable for kept in peers._kept.values() for c in kept):
        time.sleep(0.001)
    assert peers.request(server.url, "POST", "/", body=b"once").body == b"hello"
    assert server.requests == [("GET /", b""), ("POST /", b"once")]


def after_one_answer_drop(server, sock):
    answering(HELLO)(server, sock)
    dropping(server, sock)


def test_a_get_that_breaks_on_a_kept_connection_is_sent_again(peers, serve):
    server = serve(after_one_answer_drop, answering(HELLO))
    peers.request(server.url, "GET", "/first")
    assert peers.request(server.url, "GET", "/second").body == b"hello"
    assert [line for line, _ in server.requests] == ["GET /first", "GET /second", "GET /second"]


def test_a_post_that_breaks_on_a_kept_connection_is_not_sent_again(peers, serve):
    server = serve(after_one_answer_drop, answering(HELLO))
    peers.request(server.url, "GET", "/")
    with pytest.raises(UnreachableError, match="may or may not have been carried out"):
        peers.request(server.url, "POST", "/charge")
    assert len(server.requests) == 2


def test_a_get_that_breaks_on_a_new_connection_is_an_error(peers, serve):
    server = serve(dropping, answering(HELLO))
    with pytest.raises(UnreachableError, match="closed the connection during GET /"):
        peers.request(server.url, "GET", "/")
    assert len(server.requests) == 1


def test_a_silent_server_is_given_up_in_time(peers, serve):
    server = serve(silent)
    before = time.monotonic()
    with pytest.raises(UnreachableError, match=r"did not answer POST /x within 0.3 s"):
        peers.request(server.url, "POST", "/x", timeout=0.3)
    assert time.monotonic() - before < 2


def test_a_server_that_never_greets_is_given_up_in_time(peers):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="does not answer"):
            peers.request(address, "GET", "/", timeout=0.2)


def dripping(head):
    def script(server, sock):
        server.read_request(sock)
        sock.sendall(head)
        while not server.over.wait(0.02):
            sock.sendall(b"x")

    return script


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-"]
)
def test_a_server_that_drips_is_given_up_in_time(peers, serve, head):
    server = serve(dripping(head))
    before = time.monotonic()
    with pytest.raises(UnreachableError, match="within"):
        peers.request(server.url, "GET", "/", timeout=0.3)
    assert time.monotonic() - before < 2


def flooding(server, sock):
    server.read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        sock.sendall(bytes(65536))


def test_an_answer_over_the_limit_is_given_up(agent, tmp_path, authority, serve):
    member = Member(tmp_path / "manager", authority, MANAGER)
    peers = Peers(member.tls, expect=AGENT, body_limit=1 << 20)
    with pytest.raises(AgentError, match="more than 1048576 bytes"):
        peers.request(serve(flooding).url, "GET", "/")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", AgentError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", AgentError),
        (b"SSH-2.0-OpenSSH\r\n", AgentError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", AgentError),
    ],
)
def test_a_broken_answer_is_an_error(peers, serve, answer, error):
    with pytest.raises(error, match="broken HTTP"):
        peers.request(serve(answering(answer)).url, "POST", "/")


def test_a_stream_comes_as_it_is_sent(peers, serve):
    go_on = threading.Event()

    def script(server, sock):
        server.read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        go_on.wait(10)
        sock.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        answering(HELLO)(server, sock)

    server = serve(script)
    answer = peers.request(server.url, "GET", "/", stream=True)
    assert next(answer.chunks) == b"one"
    go_on.set()
    assert list(answer.chunks) == [b"two"]
    peers.request(server.url, "GET", "/")
    assert server.connections == 1


def test_a_stream_may_last_longer_than_one_wait(peers, serve):
    def script(server, sock):
        server.read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            server.over.wait(0.1)
            sock.sendall(b"x")

    answer = peers.request(serve(script).url, "GET", "/", stream=True, timeout=0.4)
    assert b"".join(answer.chunks) == b"xxxxxx"


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_given_up_frees_its_connection(peers, serve, read):
    seen = threading.Event()

    def script(server, sock):
        try:
            flooding(server, sock)
        finally:
            seen.set()

    answer = peers.request(serve(script).url, "GET", "/", stream=True)
    for _ in range(read):
        next(answer.chunks)
    answer.close()
    assert seen.wait(5)
    assert list(answer.chunks) == []


def test_an_error_is_never_a_stream(peers, serve):
    server = serve(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"))
    assert peers.request(server.url, "GET", "/", stream=True).body == b"{}"


@pytest.mark.parametrize("body", [io.BytesIO(b"abcdef"), iter([b"abc", b"def"])])
def test_a_body_is_sent_piece_by_piece(peers, serve, body):
    server = serve(answering(HELLO))
    peers.request(server.url, "PUT", "/", body=body)
    ((_, sent),) = server.requests
    assert b"".join(sent.split(b"\r\n")[1::2]) == b"abcdef"


def test_a_body_of_known_length_is_sent_plainly(peers, serve):
    server = serve(answering(HELLO))
    body = iter([b"abc", b"def"])
    peers.request(server.url, "PUT", "/", body=body, headers={"Content-Length": "6"})
    assert server.requests == [("PUT /", b"abcdef")]


def test_an_early_answer_is_heard_although_the_body_is_not_taken(peers, serve):
    def script(server, sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        sock.shutdown(socket.SHUT_RDWR)

    body = (bytes(65536) for _ in range(10_000))
    assert peers.request(serve(script).url, "PUT", "/", body=body).status == 413


def test_new_certificates_are_used_for_new_connections(tmp_path, authority, serve):
    member = Member(tmp_path / "manager", authority, MANAGER)
    peers = Peers(member.tls, expect=AGENT)
    hold = threading.Event()

    def script(server, sock):
        server.read_request(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        hold.wait(10)
        sock.sendall(b"hello")
        server.read_request(sock)

    server = serve(script, answering(HELLO))
    under_way = peers.request(server.url, "GET", "/", stream=True)
    Member(tmp_path / "manager", authority, Identity(Role.DIRECTOR))
    peers.reload()
    hold.set()
    assert b"".join(under_way.chunks) == b"hello"
    peers.request(server.url, "GET", "/")
    peers.close()

    uris = [peer["subjectAltName"][0][1] for peer in server.peers]
    assert uris == [MANAGER.uri("acme"), Identity(Role.DIRECTOR).uri("acme")]


def test_without_a_certificate_of_our_own_we_can_still_call(agent, serve):
    peers = Peers(TlsFiles(agent.tls.ca), expect=AGENT)
    server = serve(answering(HELLO))
    assert peers.request(server.url, "GET", "/").body == b"hello"
    assert not server.peers[0]
    peers.close()


def test_many_calls_are_made_at_once_and_come_back_in_order():
    together = threading.Barrier(3, timeout=10)

    def good():
        together.wait()
        return 1

    def bad():
        together.wait()
        raise BusyError("busy")

    first, second, third = fan_out([good, bad, good])
    assert (first, third) == (1, 1)
    assert isinstance(second, BusyError)


def test_a_bug_in_a_call_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        fan_out([lambda: 1, lambda: 1 // 0])


def test_no_calls_have_no_results():
    assert fan_out([]) == []


def test_an_error_is_raised_as_its_class():
    body = b'{"error": {"code": "not-found", "message": "no such", "detail": [1]}}'
    with pytest.raises(NotFoundError, match="no such") as caught:
        raise_for_error(Answer(404, {}, body))
    assert caught.value.detail == [1]
    raise_for_error(Answer(200, {}, b""))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 1}', b'{"error": {}}', b"\xff"]
)
def test_an_error_of_somebody_else_is_told_as_it_is(body):
    with pytest.raises(UnreachableError, match="answered 502"):
        raise_for_error(Answer(502, {}, body))
    with pytest.raises(AgentError, match="answered 404"):
        raise_for_error(Answer(404, {}, body))
