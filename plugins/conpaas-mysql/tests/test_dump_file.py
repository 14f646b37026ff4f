"""A dump is judged as a whole before any of it is carried out, however it comes in pieces."""

from __future__ import annotations

import gzip
import io

import pytest

from conpaas.errors import InvalidError, TooLargeError
from conpaas.rpc import Upload, finish
from conpaas_mysql.dump_file import _PIECE, DumpFile

BEGINNING = b"-- MariaDB dump 10.19\n"
END = b"\n-- Dump completed on 2026-11-23 12:00:00\n"


def judged(content: bytes, limit: int = 1 << 30) -> int:
    """Judge a dump; return its size."""
    return finish(DumpFile(Upload(io.BytesIO(content), "shop.sql", len(content)), limit).check())


def padded(before: bytes, after: bytes, split: int) -> bytes:
    """Return SQL whose first piece ends ``split`` bytes after the beginning of ``after``."""
    return before + b" " * (_PIECE - len(before) - split) + after


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_dump_may_have_exactly_as_much_as_is_allowed(pack: type[bytes]) -> None:
    sql = b"SELECT 1;\n" * 30_000
    assert judged(pack(sql), len(sql)) == len(sql)
    with pytest.raises(TooLargeError) as refused:
        judged(pack(sql), len(sql) - 1)
    client = "mysql -h HOST -P PORT -u mysqldb -p"
    command = f"{client} < shop.sql" if pack is bytes else f"gunzip < shop.sql | {client}"
    assert str(refused.value) == (
        "shop.sql has more than the 0 MB that are allowed, when it is unpacked: set another limit "
        "(set_mysql_config --dump_limit), load it in parts, or have a client load it "
        f"({command}; get_address tells HOST and PORT)"
    )


@pytest.mark.parametrize("split", range(1, 14, 3))
def test_the_servers_database_is_found_where_two_pieces_meet(split: int) -> None:
    with pytest.raises(InvalidError, match="own database 'mysql' in it"):
        judged(padded(b"SELECT 1;", b"\nUSE `mysql`;\nDROP TABLE user;\n", split))


@pytest.mark.parametrize("split", [1, 10, len(END) - 1])
def test_the_last_line_is_found_where_two_pieces_meet(split: int) -> None:
    dump = padded(BEGINNING, END, split)
    assert judged(dump) == len(dump)


def test_a_dump_without_its_last_line_is_cut_off() -> None:
    with pytest.raises(InvalidError, match="is cut off: its last line is not '-- Dump completed'"):
        judged(padded(BEGINNING, b"INSERT INTO cake VALUES (1", 10))


def test_text_that_was_written_by_hand_needs_no_last_line() -> None:
    assert judged(b"SELECT 1;\n") == 10
