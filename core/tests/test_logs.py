"""The end of a log, however long it is and whatever it holds."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas import logs
from conpaas.logs import tail


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))),
    st.integers(1, 20),
)
def test_the_last_lines_are_returned(tmp_path_factory, lines, count):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    assert tail(path, count) == "".join(f"{line}\n" for line in lines[-count:])


def test_a_last_line_without_an_end_counts(tmp_path):
    (tmp_path / "log").write_text("one\ntwo\nthr")
    assert tail(tmp_path / "log", 2) == "two\nthr"


def test_lines_that_span_several_blocks_are_whole(tmp_path):
    long = "x" * 200_000
    (tmp_path / "log").write_text(f"first\n{long}\nlast\n")
    assert tail(tmp_path / "log", 2) == f"{long}\nlast\n"


def test_no_more_than_the_limit_is_ever_returned(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 100_000)
    (tmp_path / "log").write_bytes(b"x" * 1_000_000)
    assert 0 < len(tail(tmp_path / "log", 1)) < 200_000


@pytest.mark.parametrize("lines", [0, -1, -1000])
def test_no_lines_are_asked_for_and_none_returned(tmp_path, lines):
    (tmp_path / "log").write_text("one\ntwo\n")
    assert tail(tmp_path / "log", lines) == ""


def test_a_log_that_is_not_there_yet_is_empty(tmp_path):
    assert tail(tmp_path / "log", 10) == ""


def test_bytes_that_are_no_text_are_shown_as_replaced(tmp_path):
    (tmp_path / "log").write_bytes(b"caf\xe9\n")
    assert tail(tmp_path / "log", 1) == "caf\ufffd\n"


def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("root:x:0:0\n")
    (tmp_path / "log").symlink_to(tmp_path / "secret")
    assert tail(tmp_path / "log", 10) == ""


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log")
    assert tail(tmp_path / "log", 10) == ""
