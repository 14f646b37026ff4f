"""The director passes a service's operations on unchanged, whatever they carry."""

import json
import threading
import tracemalloc

import pytest

from conpaas.errors import UnreachableError

FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def at(sid):
    """The place of the service's operations."""
    return "applications/1/services/1"


def test_a_question_and_its_answer_pass(owner, at):
    (node,) = owner.get(f"{at}/list_nodes").result
    assert (node["role"], node["state"]) == ("node", "ready")
    assert owner.post(f"{at}/list_nodes").result == [node]
    assert owner.get(f"{at}/get_log?lines=1").result.count("\n") == 1


@pytest.mark.parametrize(
    "where", ["1/services/1", "app/services/1", "1/services/New simple service"]
)
def test_applications_and_services_go_by_name_and_by_number(owner, at, where):
    from urllib.parse import quote

    assert owner.get(f"applications/{quote(where)}/get_words").result[0]["word"] == "hi"


def test_a_job_is_watched_where_its_caller_can_see_it(cluster, owner, at):
    got = owner.post(f"{at}/add_nodes", {"nodes": {"count": 1}})
    assert got.status == 202
    watch = got.json["watch"]
    assert watch == f"/api/v1/applications/1/jobs/{got.json['job']}" == got.headers["location"]
    cluster.wait(lambda: owner.call("GET", watch).result["state"] == "done")
    report = owner.call("GET", watch).result
    assert (report["user"], report["operation"]) == ("test", "add_nodes")


def test_errors_pass_with_their_status_and_their_words(owner, at):
    got = owner.post(f"{at}/start")
    assert (got.status, got.code) == (409, "wrong-state")
    assert got.json["error"]["detail"]["state"] == "RUNNING"
    got = owner.post(f"{at}/add_nodes", {"nodes": {"no-such": 1}})
    assert (got.status, got.code) == (400, "invalid")
    got = owner.post(f"{at}/no_such_operation")
    assert (got.status, got.code) == (404, "not-found")
    got = owner.post(f"{at}/get_agent_log", {"agent_id": "node-77"})
    assert (got.status, got.code) == (404, "not-found")
    got = owner.get("applications/1/services/2/list_nodes")
    assert (got.status, got.code) == (404, "not-found")
    got = owner.get("applications/1/jobs/77")
    assert (got.status, got.code) == (404, "not-found")


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"nodes": {"count": 1}, "nodes": {"count": 2}}', b"[" * 100_000]
)
def test_a_body_is_judged_by_the_manager(owner, at, body):
    got = owner.post(f"{at}/add_nodes", body)
    assert (got.status, got.code) == (400, "invalid")


def test_a_file_passes_in_pieces_in_both_directions(cluster, owner, at):
    content = bytes(range(256)) * 4096 * 8  # 8 MB

    class Stream:
        """Counts how far ahead of its reader it is read."""

        def __init__(self):
            self.place, self.largest = 0, 0

        def read(self, size=-1):
            assert size >= 0, "the whole file is asked for at once"
            self.largest = max(self.largest, size)
            piece = content[self.place : self.place + size]
            self.place += len(piece)
            return piece

    stream = Stream()
    headers = {**FILE, "Content-Length": str(len(content)), "X-Filename": "a.bin"}
    answer = owner.peers.request(
        "https://director:5555", "POST", f"/api/v1/{at}/put_file",
        body=stream, headers={**headers, "Authorization": f"Bearer {owner.token}"},
    )  # fmt: skip
    assert answer.status == 200, answer.body
    assert stream.largest <= 1 << 20
    got = owner.get(f"{at}/get_file")
    assert got.content == content
    assert got.headers["content-length"] == str(len(content))
    assert "gr%C3%B6%C3%9Fe.bin" in got.headers["content-disposition"]


def test_a_large_file_does_not_pass_through_memory(cluster, owner, at):
    class Zeros:
        """Without end but for its length."""

        left = 32 << 20

        def read(self, size):
            piece = b"\0" * min(size, self.left)
            self.left -= len(piece)
            return piece

    headers = {**FILE, "Content-Length": str(32 << 20), "Authorization": f"Bearer {owner.token}"}
    tracemalloc.start()
    answer = owner.peers.request(
        "https://director:5555", "POST", f"/api/v1/{at}/put_file", body=Zeros(), headers=headers
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status == 200
    assert peak < 8 << 20


def test_a_manager_that_is_away_is_told_as_unreachable(cluster, owner, at):
    (machine,) = [m for m in cluster.machines.values() if m.manager]
    cluster.cut(machine)
    got = owner.get(f"{at}/list_nodes")
    assert (got.status, got.code) == (UnreachableError.status, "unreachable")
    cluster.cut(machine, silent=False)
    assert owner.get(f"{at}/list_nodes").status == 200


def test_a_stopped_applications_services_say_how_to_start_it(cluster, owner, at):
    from conpaas.api import Applications

    cluster.run(cluster.api(Applications).stop(application=1))
    got = owner.get(f"{at}/list_nodes")
    assert (got.status, got.code) == (409, "wrong-state")
    assert "cps-tools application start 1" in got.message


def test_twenty_of_one_change_at_once_are_one_change(cluster, owner, at):
    got = []
    start = threading.Barrier(20)

    def add():
        start.wait(10)
        got.append(owner.post(f"{at}/add_nodes", {"nodes": {"count": 1}}))

    threads = [threading.Thread(target=add) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = [each for each in got if each.status == 202]
    refused = [each.code for each in got if each.status != 202]
    assert begun and set(refused) <= {"busy", "wrong-state"}
    for each in begun:
        cluster.wait(lambda each=each: owner.call("GET", each.json["watch"]).result["finished"])
    assert len(owner.get(f"{at}/list_nodes").result) == 1 + len(begun)


def test_the_manager_is_told_for_whom_the_director_calls(cluster, owner, admin, at):
    admin.post(f"{at}/add_nodes", {"nodes": {"count": 1}})
    assert cluster.manager(1).runner.latest(1)[0].user == "admin"
    assert json.loads(owner.post("job/list", {"application": 1}).content)["result"]
