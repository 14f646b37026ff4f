"""From a request to arguments, and from a result or an error to an answer."""

import io
import json
from typing import Annotated

import falcon
import falcon.testing
import msgspec
import pytest

from conpaas.errors import BusyError, ConPaaSError, InvalidError
from conpaas.rpc import Download, Job, Upload, expose, find_operation
from conpaas.schema import MAX_JSON_BYTES
from conpaas.web import new_app, pieces_of, read_arguments, send_job, send_result


class Things:
    @expose(reads=True)
    def look(self, name: str, count: Annotated[int, msgspec.Meta(ge=1)] = 1) -> str:
        """Look."""

    @expose(reads=True)
    def choose(self, roles: tuple[str, ...] = (), which: str | int = 0) -> str:
        """Choose."""

    @expose()
    def change(self, count: int = 3) -> Job[None]:
        """Change."""

    @expose()
    def put(self, content: Upload, where: str, limit: int = 5) -> None:
        """Put."""

    @expose(reads=True)
    def get(self) -> Download:
        """Get."""


class Resource:
    """Answers with the arguments that it was called with."""

    def __init__(self):
        self.answer = None

    def on_get(self, req, resp, name):
        self.on_post(req, resp, name)

    def on_post(self, req, resp, name):
        arguments = read_arguments(req, find_operation(Things, name))
        if isinstance(self.answer, Exception):
            raise self.answer
        if upload := arguments.get("content"):
            content = upload.stream.read(1 << 16).decode()
            arguments["content"] = [upload.filename, upload.size, content]
        send_result(resp, arguments if self.answer is None else self.answer)


@pytest.fixture
def resource():
    return Resource()


@pytest.fixture
def client(resource):
    app = new_app()
    app.add_route("/{name}", resource)
    return falcon.testing.TestClient(app)


def error(answer):
    return answer.status_code, answer.json["error"]["code"], answer.json["error"]["message"]


def result(answer):
    assert answer.status_code == 200, answer.text
    return answer.json["result"]


# -- asking ---------------------------------------------------------------------------------------


def test_a_call_is_a_post_with_a_json_object(client):
    assert result(client.simulate_post("/look", json={"name": "a"})) == {"name": "a"}


def test_a_question_may_be_a_get_with_its_arguments_in_the_query(client):
    answer = client.simulate_get("/look", params={"name": "7", "count": "2"})
    assert result(answer) == {"name": "7", "count": 2}


def test_lists_are_json_in_a_query(client):
    answer = client.simulate_get("/choose", params={"roles": '["a", "b"]', "which": "3"})
    assert result(answer) == {"roles": ["a", "b"], "which": "3"}


def test_an_empty_argument_is_not_a_missing_one(client):
    assert result(client.simulate_get("/look", query_string="name=")) == {"name": ""}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "'name' is missing"),
        ("name=a&name=b", "'name' more than once"),
        ("name=a&nmae=b", "unknown argument 'nmae'"),
        ("name=a&count=x", "count: 'x' is not a number"),
        ("name=a&count=1e3", "count: '1e3' is not a number"),
        ("name=a&count=0", "count must be at least 1, not 0"),
        ("name=a&count=" + "9" * 30, "count: "),
    ],
)
def test_a_query_that_is_wrong_is_refused(client, query, told):
    status, code, message = error(client.simulate_get("/look", query_string=query))
    assert (status, code) == (400, "invalid")
    assert told in message


def test_nothing_is_changed_by_a_get(client):
    status, code, message = error(client.simulate_get("/change"))
    assert (status, code) == (400, "invalid")
    assert "POST" in message


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_in_our_own_words(client, method):
    answer = client.simulate_request(method, "/look")
    assert error(answer)[:2] == (405, "invalid")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{", "is not JSON"),
        (b'{"name": "a", "name": "b"}', "says 'name' twice"),
        (b'{"name": NaN}', "not a number"),
        (b'{"name": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"name": 1}', "name: expected str"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_wrong_is_refused(client, body, told):
    answer = client.simulate_post("/look", body=body)
    assert error(answer)[:2] == (400, "invalid")
    assert told in error(answer)[2]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_body_of_another_kind_is_refused(client, kind):
    answer = client.simulate_post("/look", body="name=a", headers={"Content-Type": kind})
    assert error(answer)[:2] == (400, "invalid")
    assert kind in error(answer)[2]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(client):
    answer = client.simulate_post(
        "/look", body=b" ", headers={"Content-Length": str(MAX_JSON_BYTES + 1)}
    )
    assert error(answer)[:2] == (413, "too-large")


def test_a_body_that_comes_in_chunks_is_read_too():
    # gunicorn takes the chunks apart; a body without a length must not look like an empty one.
    class Resource:
        def on_post(self, req, resp):
            send_result(resp, read_arguments(req, find_operation(Things, "change")))

    app = new_app()
    app.add_route("/change", Resource())
    status, answer = chunked(app, b'{"count": 7}')
    assert (status, answer) == (200, {"result": {"count": 7}})
    status, answer = chunked(app, b" " * (MAX_JSON_BYTES + 1))
    assert (status, answer["error"]["code"]) == (413, "too-large")


def chunked(app, body):
    environ = falcon.testing.create_environ("/change", method="POST")
    environ.pop("CONTENT_LENGTH", None)
    environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(body)}
    told = []
    answer = b"".join(app(environ, lambda status, headers: told.append(int(status.split()[0]))))
    return told[0], json.loads(answer)


# -- files ----------------------------------------------------------------------------------------

FILE = {"Content-Type": "application/octet-stream"}


def test_a_file_is_the_body_and_the_other_arguments_the_query(client):
    answer = client.simulate_post(
        "/put", params={"where": "x", "limit": "2"}, body=b"content",
        headers={**FILE, "X-Filename": "gr%C3%B6%C3%9Fe.tar.gz"},
    )  # fmt: skip
    assert result(answer) == {
        "content": ["größe.tar.gz", 7, "content"], "where": "x", "limit": 2,
    }  # fmt: skip


def test_an_empty_file_is_a_file(client):
    answer = client.simulate_post("/put", params={"where": "x"}, headers=FILE)
    name, size, content = result(answer)["content"]
    assert (name, size or 0, content) == ("upload", 0, "")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\Windows\\passwd", "/passwd", "a/../passwd"]
)
def test_of_a_files_name_only_the_last_part_counts(client, name):
    answer = client.simulate_post(
        "/put", params={"where": "x"}, body=b"", headers={**FILE, "X-Filename": name}
    )
    assert result(answer)["content"][0] == "passwd"


@pytest.mark.parametrize("name", ["..", "a/..", "a/", "%00", "a%0Ab", "x" * 256, "%E2%80%AE"])
def test_a_files_name_that_would_cause_trouble_is_refused(client, name):
    answer = client.simulate_post(
        "/put", params={"where": "x"}, body=b"", headers={**FILE, "X-Filename": name}
    )
    assert error(answer)[:2] == (400, "invalid")


def test_a_file_that_is_sent_as_json_is_refused(client):
    answer = client.simulate_post("/put", json={"where": "x", "content": "y"})
    assert error(answer)[:2] == (400, "invalid")
    assert "application/octet-stream" in error(answer)[2]


def test_a_file_goes_out_in_pieces_with_its_name(client, resource):
    resource.answer = Download(iter([b"one", b"two"]), "größe.txt", "text/plain", 6)
    answer = client.simulate_get("/get")
    assert answer.content == b"onetwo"
    assert answer.headers["content-length"] == "6"
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"
    )


def test_a_file_of_unknown_length_goes_out_too(client, resource):
    resource.answer = Download(iter([b"one", b"two"]))
    answer = client.simulate_get("/get")
    assert answer.content == b"onetwo"
    assert "content-length" not in answer.headers


def test_a_file_is_closed_when_its_reader_has_enough(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    file = (tmp_path / "file").open("rb")
    pieces = pieces_of(file)
    assert len(next(pieces)) == 1 << 16
    pieces.close()
    assert file.closed


# -- answering ------------------------------------------------------------------------------------


def test_an_error_keeps_code_message_and_detail(client, resource):
    resource.answer = BusyError("wait", detail={"job": 3})
    answer = client.simulate_post("/change")
    assert answer.status_code == 409
    assert answer.json == {"error": {"code": "busy", "message": "wait", "detail": {"job": 3}}}


def test_a_bug_is_logged_under_a_number_and_tells_nothing_else(client, resource, caplog):
    resource.answer = ValueError("the secret of the house")
    answer = client.simulate_post("/change")
    status, code, message = error(answer)
    assert (status, code) == (500, "internal")
    assert "secret" not in answer.text
    number = answer.json["error"]["detail"]["number"]
    assert number in message and number in caplog.text
    assert "the secret of the house" in caplog.text


def test_an_error_that_is_only_the_base_class_is_logged_as_the_bug_it_is(client, resource, caplog):
    resource.answer = ConPaaSError("half a bug")
    assert error(client.simulate_post("/change"))[:2] == (500, "internal")
    assert "half a bug" in caplog.text


def test_a_place_where_nothing_is_is_not_found_in_our_own_words(client):
    assert error(client.simulate_get("/a/b"))[:2] == (404, "not-found")
    assert error(client.simulate_get("/look/"))[:2] == (404, "not-found")
    assert error(client.simulate_get("/no-such-operation"))[:2] == (404, "not-found")


def test_a_job_is_answered_with_its_place():
    resp = falcon.Response()
    send_job(resp, 7, "/api/v1/jobs/7")
    assert resp.status == "202 Accepted"
    assert resp.get_header("Location") == "/api/v1/jobs/7"
    assert resp.media == {"job": 7, "watch": "/api/v1/jobs/7"}


def test_an_error_of_falcons_own_becomes_one_of_ours():
    class Resource:
        def on_get(self, req, resp):
            raise falcon.HTTPBadRequest(title="Bad", description="so bad")

    app = new_app()
    app.add_route("/", Resource())
    answer = falcon.testing.TestClient(app).simulate_get("/")
    assert error(answer) == (400, InvalidError.code, "so bad")
