"""What a stub sends over HTTPS, and what it makes of the answer."""

import io
import json

import pytest

from conpaas.certificates import Identity, Role
from conpaas.channel import HttpChannel, with_query
from conpaas.errors import AgentError, BusyError, ConPaaSError, UnreachableError
from conpaas.rpc import Download, Job, Upload, expose, finish, stub
from conpaas.transport import Answer

AGENT = Identity(Role.AGENT, application=1, machine=2)


class Remote:
    @expose(reads=True)
    def ask(self, name: str, count: int = 1, roles: tuple[str, ...] = ()) -> list[str]:
        """Ask."""

    @expose()
    def tell(self, name: str) -> None:
        """Tell."""

    @expose()
    def work(self) -> Job[int]:
        """Work."""

    @expose()
    def put(self, content: Upload, name: str) -> None:
        """Put."""

    @expose(reads=True)
    def get(self, name: str) -> Download:
        """Get."""


class Peers:
    """Notes requests and answers what it was given."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def request(self, url, method, path, **more):
        if hasattr(more.get("body"), "read"):
            more["body"] = more["body"].read()
        self.requests.append({"url": url, "method": method, "path": path, **more})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(status, content=None, headers=None):
    return Answer(status, headers or {}, json.dumps(content).encode())


def remote(*answers, **more):
    peers = Peers(*answers)
    return stub(
        Remote, HttpChannel(peers, "https://a:5555", "/api/v1/agent", AGENT, **more)
    ), peers


def test_a_question_is_a_get_with_a_query():
    agent, peers = remote(answer(200, {"result": ["x"]}))
    assert agent.ask("ü &", count=2, roles=("a",)) == ["x"]
    (sent,) = peers.requests
    assert (sent["method"], sent["url"]) == ("GET", "https://a:5555")
    assert sent["path"] == "/api/v1/agent/ask?name=%C3%BC+%26&count=2&roles=%5B%22a%22%5D"


def test_whom_the_server_must_be_is_told_with_each_call():
    agent, peers = remote(answer(200, {"result": None}), headers={"X-ConPaaS-User": "anna"})
    agent.tell("x")
    assert peers.requests[0]["expect"] == AGENT
    assert peers.requests[0]["headers"]["X-ConPaaS-User"] == "anna"


def test_a_change_is_a_post_with_json():
    agent, peers = remote(answer(200, {"result": None}))
    agent.tell("x")
    (sent,) = peers.requests
    assert (sent["method"], sent["path"]) == ("POST", "/api/v1/agent/tell")
    assert json.loads(sent["body"]) == {"name": "x"}
    assert sent["headers"]["Content-Type"] == "application/json"


def test_a_file_is_the_body_and_the_rest_the_query():
    agent, peers = remote(answer(200, {"result": None}))
    agent.put(Upload(io.BytesIO(b"content"), "größe.txt", 7), "x")
    (sent,) = peers.requests
    assert (sent["path"], sent["body"]) == ("/api/v1/agent/put?name=x", b"content")
    assert sent["headers"] == {
        "Content-Type": "application/octet-stream",
        "X-Filename": "gr%C3%B6%C3%9Fe.txt",
        "Content-Length": "7",
    }


def test_a_download_is_not_read_before_it_is_wanted():
    read = []

    def pieces():
        read.append(True)
        yield b"content"

    headers = {
        "content-length": "7",
        "content-disposition": "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt",
    }
    agent, peers = remote(Answer(200, headers, chunks=pieces()))
    got = agent.get("x")
    assert peers.requests[0]["stream"] and not read
    assert (got.filename, got.size, b"".join(got.pieces)) == ("größe.txt", 7, b"content")


def test_a_job_is_followed_where_the_answer_says():
    done = {"id": 7, "target": "agent", "operation": "work", "state": "done", "percent": 100,
            "message": "", "result": 42}  # fmt: skip
    agent, peers = remote(
        answer(202, {"job": 7, "watch": "/api/v1/jobs/7"}), answer(200, {"result": done})
    )
    assert finish(agent.work()) == 42
    assert [r["path"] for r in peers.requests] == ["/api/v1/agent/work", "/api/v1/jobs/7"]


def test_an_error_is_raised_as_what_it_was():
    agent, _ = remote(answer(409, {"error": BusyError("wait", [1]).to_json()}))
    with pytest.raises(BusyError, match="wait") as raised:
        agent.tell("x")
    assert raised.value.detail == [1]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_front_whose_server_is_away_is_an_unreachable_server(status):
    agent, _ = remote(Answer(status, {}, b"<html>Bad Gateway</html>"))
    with pytest.raises(UnreachableError, match=str(status)):
        agent.tell("x")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'"text"', b"{}", b'{"error": 3}', b'{"error": {}}', b"\xff"]
)
def test_an_error_that_is_none_of_ours_is_told_all_the_same(body):
    agent, _ = remote(Answer(500, {}, body))
    with pytest.raises(ConPaaSError):
        agent.tell("x")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{}", b"\xff", b"null"])
@pytest.mark.parametrize("status", [200, 202])
def test_an_answer_that_is_none_of_ours_is_the_other_sides_fault(status, body):
    agent, _ = remote(Answer(status, {}, body))
    with pytest.raises(AgentError):
        agent.work()


def test_a_result_of_the_wrong_type_is_refused():
    agent, _ = remote(answer(200, {"result": "x"}))
    with pytest.raises(ConPaaSError, match="result"):
        agent.ask("x")


def test_none_is_left_out_of_a_query():
    assert with_query("/x", {"a": None}) == "/x"
    assert with_query("/x", {"a": None, "b": False, "c": 3}) == "/x?b=false&c=3"
