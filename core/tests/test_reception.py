"""A job's file has arrived as a whole before the job begins, and is gone when it has ended."""

import io
import os
import shutil

import falcon.testing
import pytest

from conpaas import reception
from conpaas.dispatch import JobReports, dispatch
from conpaas.errors import InvalidError, TooLargeError
from conpaas.jobs import JobRunner
from conpaas.manager.book import STEPS
from conpaas.reception import Room, take_in
from conpaas.records import Records
from conpaas.rpc import Job, Progress, Upload, expose, find_operation
from conpaas.web import NUMBER, new_app

FILE = {"Content-Type": "application/octet-stream", "X-Filename": "big.sql"}


class Reader:
    """Reads the files that it is sent, when the test lets it."""

    name = "reader"

    def __init__(self, directory, gate):
        self.room = Room(directory, 1000)
        self.gate = gate
        self.file = None

    def declared(self, operation):
        return find_operation(type(self), operation)

    def make(self, operation, arguments):
        return getattr(self, operation.name)(**arguments)

    def permit(self, operation):
        pass

    def begin(self, operation):
        return None

    def end(self, operation, before, state, reason):
        pass

    @expose()
    def read(self, file: Upload) -> Job[str]:
        """Read a file."""
        self.file = file
        if file.filename == "bad.sql":
            raise InvalidError("a bad name")
        yield Progress(0, "reading")
        self.gate.acquire()
        return file.stream.read().decode()


@pytest.fixture
def gate():
    import threading

    gate = threading.Semaphore(0)
    yield gate
    gate.release(10)


@pytest.fixture
def target(tmp_path, gate):
    return Reader(tmp_path / "room", gate)


@pytest.fixture
def client(tmp_path, target):
    records = Records(tmp_path / "records.db", STEPS)
    runner = JobRunner(records)

    class Operations:
        def on_post(self, req, resp, operation):
            dispatch(req, resp, operation, target, runner, "anna")

    app = new_app()
    app.add_route("/{operation}", Operations())
    app.add_route(f"/jobs/{NUMBER}", JobReports(runner))
    yield falcon.testing.TestClient(app)
    records.close()


def ended(client, number):
    import time

    end = time.monotonic() + 10
    while time.monotonic() < end:
        report = client.simulate_get(f"/jobs/{number}").json["result"]
        if report["state"] not in ("queued", "running"):
            return report
        time.sleep(0.01)
    raise TimeoutError(report)


def test_a_job_reads_its_file_after_the_request_and_it_is_closed_at_the_end(client, target, gate):
    number = client.simulate_post("/read", body=b"select 1;", headers=FILE).json["job"]
    assert (target.file.filename, target.file.size) == ("big.sql", 9)
    assert os.listdir(target.room.directory) == []  # whoever dies leaves nothing
    gate.release()
    assert ended(client, number)["result"] == "select 1;"
    assert target.file.stream.closed


def test_who_would_be_refused_anyway_sends_no_file_in_vain(client, target, gate):
    number = client.simulate_post("/read", body=b"1", headers=FILE).json["job"]
    first = target.file
    shutil.rmtree(target.room.directory)
    refused = client.simulate_post("/read", body=b"2", headers=FILE)
    assert (refused.status_code, refused.json["error"]["code"]) == (409, "busy")
    assert not target.room.directory.exists()  # it was not taken in
    gate.release()
    assert ended(client, number)["result"] == "1"
    assert target.file is first


def test_the_file_of_a_job_whose_checks_refuse_it_is_closed(client, target):
    refused = client.simulate_post("/read", body=b"1", headers={**FILE, "X-Filename": "bad.sql"})
    assert refused.status_code == 400
    assert target.file.stream.closed


@pytest.mark.parametrize("size", [1001, None])
def test_a_file_that_is_longer_than_allowed_is_refused(tmp_path, size):
    upload = Upload(io.BytesIO(bytes(1001)), "big.sql", size)
    with pytest.raises(TooLargeError, match=r"big\.sql has more than the 0 MB that are allowed"):
        take_in(upload, Room(tmp_path, 1000))
    assert upload.stream.tell() == (0 if size else 1001)


def test_a_file_that_breaks_off_is_no_file(tmp_path):
    upload = Upload(io.BytesIO(b"insert into t"), "big.sql", 20)
    with pytest.raises(InvalidError, match="broke off after 13 of 20 bytes: nothing was done"):
        take_in(upload, Room(tmp_path, 1000))


def test_a_connection_that_breaks_off_makes_no_file(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError("the other side has gone")

    with pytest.raises(InvalidError, match="broke off"):
        take_in(Upload(Broken(), "big.sql", None), Room(tmp_path, 1000))


@pytest.mark.parametrize("size", [5 << 20, None])
def test_a_disk_is_not_filled_by_a_file(tmp_path, monkeypatch, size):
    free = reception.SPARED + (1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free))
    upload = Upload(io.BytesIO(bytes(5 << 20)), "big.sql", size)
    with pytest.raises(TooLargeError, match=r"no room for .*: 1 MB are free"):
        take_in(upload, Room(tmp_path, 1 << 30))
    assert upload.stream.tell() <= 1 << 20  # only a piece was read
