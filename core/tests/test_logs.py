"""The end of a log, however long it is and whatever it holds."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conpaas import logs
from conpaas.errors import InvalidError
from conpaas.logs import PIECE_BYTES, follow, tail


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


# -- following ------------------------------------------------------------------------------------


def add(path, text):
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


class Follower:
    """Follows a log, and remembers what it was told last."""

    def __init__(self, path, lines=1000):
        self.path, self.lines, self.after = path, lines, None

    def read(self):
        piece = follow(self.path, self.lines, self.after)
        self.after = piece.after
        return piece.text


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_the_last_lines_come_first_and_then_what_is_added(log):
    add(log, "one\ntwo\nthree\n")
    follower = Follower(log, lines=2)
    assert follower.read() == "two\nthree\n"
    assert follower.read() == ""
    add(log, "four\nfi")
    assert follower.read() == "four\nfi"
    add(log, "ve\n")
    assert follower.read() == "ve\n"


def test_a_log_that_is_not_there_yet_is_read_from_its_beginning(log):
    follower = Follower(log, lines=1)
    assert follower.read() == ""
    assert follower.read() == ""
    add(log, "one\ntwo\n")
    assert follower.read() == "one\ntwo\n"


def test_nothing_is_lost_when_the_log_is_rotated(log):
    add(log, "one\n")
    follower = Follower(log)
    follower.read()
    add(log, "two\n")
    log.rename(log.with_name("log.1"))
    add(log, "three\n")
    assert follower.read() + follower.read() == "two\nthree\n"
    assert follower.read() == ""


def test_nothing_is_lost_when_it_is_rotated_twice(tmp_path):
    log = tmp_path / "current"
    add(log, "one\n")
    follower = Follower(log)
    follower.read()
    for number, text in enumerate(("two\n", "three\n")):
        add(log, text)
        rotated = tmp_path / f"@400000006{number}.s"
        log.rename(rotated)
        os.utime(rotated, (1000 + number, 1000 + number))
    add(log, "four\n")
    assert "".join(follower.read() for _ in range(4)) == "two\nthree\nfour\n"


def test_a_log_whose_old_part_was_thrown_away_is_read_from_its_beginning(log):
    add(log, "one\n")
    follower = Follower(log)
    follower.read()
    log.rename(log.with_name("elsewhere"))
    assert follower.read() == ""
    add(log, "two\n")
    assert follower.read() == "two\n"


@pytest.mark.parametrize("anew", ["x\n", "something longer than it was before\n"])
def test_a_log_that_is_truncated_is_read_from_its_beginning(log, anew):
    add(log, "one\ntwo\n")
    follower = Follower(log)
    follower.read()
    log.write_text(anew)
    assert follower.read() == anew


def test_pieces_are_bounded_and_lose_nothing(log):
    follower = Follower(log)
    follower.read()
    text = "".join(f"größe {number}\n" for number in range(60_000))
    add(log, text)
    pieces = []
    while piece := follower.read():
        assert len(piece.encode()) <= PIECE_BYTES
        pieces.append(piece)
    assert len(pieces) > 1
    assert "".join(pieces) == text


def test_a_character_is_not_torn(log):
    content = "ä€😀".encode()
    add(log, content[:1])
    follower = Follower(log)
    read = follower.read()
    for byte in content[1:]:
        add(log, bytes([byte]))
        read += follower.read()
    assert read == "ä€😀"


def test_bytes_that_are_no_text_are_replaced_and_passed(log):
    add(log, b"a\xff\xfe\x80\n")
    follower = Follower(log)
    assert follower.read() == "a\ufffd\ufffd\ufffd\n"
    add(log, b"\x80\x80\x80\x80\n")
    assert follower.read() == "\ufffd\ufffd\ufffd\ufffd\n"


def test_a_symbolic_link_is_not_followed_when_following(log, tmp_path):
    (tmp_path / "secret").write_text("secret")
    log.symlink_to(tmp_path / "secret")
    assert Follower(log).read() == ""
    assert follow(log, 10, "").text == ""


@pytest.mark.parametrize("after", ["x", "1-2", "1-2-3-4", "-1-2-3", "1-2-zz", "9" * 99])
def test_what_no_piece_said_is_refused(log, after):
    with pytest.raises(InvalidError, match="after"):
        follow(log, 10, after)
