"""What an access log tells is counted once, whatever becomes of its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from conpaas_web.access_log import AccessLog, rotate


class Writer:
    """A server that writes a log until it is told to reopen it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = self._open()

    def reopen(self) -> None:
        self.file.close()
        self.file = self._open()

    def _open(self) -> IO[str]:
        return self.path.open("a", buffering=1)

    def request(self, status: int = 200, seconds: float = 0.001, count: int = 1) -> None:
        for _ in range(count):
            self.file.write(
                f"2026-01-01T00:00:00+00:00 1.2.3.4 {status} {seconds:.3f} 17 "
                f'"GET /x 500 9.9 HTTP/1.1" "-" "-" id "agent"\n'
            )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "access.log")
    yield writer
    writer.file.close()


def log_of(writer: Writer) -> AccessLog:
    return AccessLog(writer.path, writer.path.with_name("counts.json"), writer.reopen)


def figures(log: AccessLog) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in log.metrics()
        for sample in family.samples
    }


def test_requests_are_counted_by_status_and_duration(writer: Writer) -> None:
    log = log_of(writer)
    writer.request(200, 0.001, count=3)
    writer.request(304, 0.005)
    writer.request(404, 0.02)
    writer.request(502, 70.0)
    found = figures(log)
    name = "conpaas_http_requests_total"
    counted = {status: found[name + status] for status in ("2xx", "3xx", "4xx", "5xx", "1xx")}
    assert counted == {"2xx": 3, "3xx": 1, "4xx": 1, "5xx": 1, "1xx": 0}
    bucket = "conpaas_http_request_duration_seconds_bucket"
    bounds = ("0.005", "0.01", "0.025", "60", "+Inf")
    assert [found[bucket + bound] for bound in bounds] == [4, 4, 5, 5, 6]
    assert found["conpaas_http_request_duration_seconds_sum"] == pytest.approx(70.028)


def test_it_is_read_on_and_a_line_that_is_half_written_waits(writer: Writer) -> None:
    log = log_of(writer)
    writer.request()
    assert figures(log)["conpaas_http_requests_total2xx"] == 1
    writer.file.write("2026-01-01T00:00:00+00:00 1.2.3.4 200 0.0")
    assert figures(log)["conpaas_http_requests_total2xx"] == 1
    writer.file.write('01 17 "GET / HTTP/1.1"\nnonsense\n\n')
    assert figures(log)["conpaas_http_requests_total2xx"] == 2


def test_nothing_is_counted_twice_or_lost_when_the_agent_comes_back(writer: Writer) -> None:
    writer.request(count=5)
    assert figures(log_of(writer))["conpaas_http_requests_total2xx"] == 5
    writer.request(count=2)
    assert figures(log_of(writer))["conpaas_http_requests_total2xx"] == 7
    writer.path.with_name("counts.json").write_text("damaged")
    assert figures(log_of(writer))["conpaas_http_requests_total2xx"] == 7


def test_rotation_loses_nothing_and_bounds_the_disk(writer: Writer) -> None:
    counts = writer.path.with_name("counts.json")
    log = AccessLog(writer.path, counts, writer.reopen, rotate_at=10_000)
    for number in range(1, 41):
        writer.request(count=20)
        log.rotate()
        assert figures(log)["conpaas_http_requests_total2xx"] == 20 * number
    files = sorted(path.name for path in writer.path.parent.glob("access.log*"))
    assert files == ["access.log", "access.log.1", "access.log.2", "access.log.3"]


def test_what_is_written_between_the_renaming_and_the_new_file_is_counted(
    writer: Writer, tmp_path: Path
) -> None:
    log = log_of(writer)
    writer.request(count=2)
    figures(log)
    writer.path.rename(tmp_path / "access.log.1")
    writer.request(count=3)  # still to the old file
    writer.reopen()
    writer.request(count=4)
    assert figures(log)["conpaas_http_requests_total2xx"] == 9


def test_a_log_that_is_truncated_is_read_from_its_beginning(writer: Writer) -> None:
    log = log_of(writer)
    writer.request(count=5)
    figures(log)
    writer.file.truncate(0)
    writer.request(count=1)
    assert figures(log)["conpaas_http_requests_total2xx"] == 6


def test_no_log_is_no_requests(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "none", tmp_path / "counts.json", lambda: None)
    assert figures(log)["conpaas_http_requests_total2xx"] == 0
    assert not rotate(tmp_path / "none", lambda: None)
