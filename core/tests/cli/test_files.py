"""Files go up and come down in pieces, whatever they are called."""

import hashlib
import os
import resource
import subprocess
import sys

import pytest

UP, DOWN = "/applications/1/services/1/upload_cake", "/applications/1/services/1/download_cake"
PRINT = "/applications/1/services/1/print_cake"


def offering(disposition, content=b"cake"):
    headers = {"Content-Type": "application/octet-stream"}
    if disposition:
        headers["Content-Disposition"] = disposition
    return lambda request: (200, (content, headers))


def test_an_upload_says_its_size_and_name_and_carries_its_arguments_in_the_query(
    cps, configured, director, tmp_path, capsys
):
    (tmp_path / "cöde & co.zip").write_bytes(b"content")
    director.answers[UP] = "code-1"
    words = ["upload_cake", "1", "1", "cöde & co.zip", "--description", "ä b&c"]
    assert cps("cps-bakery", *words) == 0
    (request,) = director.requests
    assert request.body == b"content"
    assert request.path == f"/api/v1{UP}?description=%C3%A4%20b%26c"
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert request.headers["Content-Length"] == "7"
    assert request.headers["X-Filename"] == "c%C3%B6de%20%26%20co.zip"
    assert capsys.readouterr().out == "Cake 'code-1' uploaded to 1 as ä b&c.\n"


def test_an_empty_file_is_a_file(cps, configured, director, tmp_path):
    (tmp_path / "empty").touch()
    director.answers[UP] = "code-1"
    assert cps("cps-bakery", "upload_cake", "1", "1", "empty") == 0
    assert director.requests[0].headers["Content-Length"] == "0"


def test_a_large_upload_needs_little_memory(installed, configured, director, tmp_path):
    size = 100 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    director.answers[UP] = "code-1"
    # A program that held the whole file would not fit into as much memory as it has bytes.
    limit = (size, size)
    ran = installed(
        "cps-bakery",
        *("upload_cake", "1", "1", "large"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit),
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    zeros = hashlib.sha256()
    for _ in range(100):
        zeros.update(bytes(1 << 20))
    assert director.requests[0].body.decode() == zeros.hexdigest()


def test_a_refusal_is_heard_although_the_file_is_not_sent_whole(
    cps, configured, director, tmp_path, capsys
):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 << 20)
    director.impatient.add(UP)
    director.refuse(UP, 413, "too-large", "at most 1 MB is allowed")
    assert cps("cps-bakery", "upload_cake", "1", "1", "large") == 1
    assert capsys.readouterr().err == "ERROR: at most 1 MB is allowed\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [("missing", "missing cannot be read: No such file or directory"), (".", ". is a directory")],
)
def test_a_file_that_cannot_be_read_is_told_before_anything_is_sent(
    cps, configured, director, capsys, name, told
):
    assert cps("cps-bakery", "upload_cake", "1", "1", name) == 1
    assert capsys.readouterr().err == f"ERROR: {told}\n"
    assert director.requests == []


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="pie.zip"', "pie.zip"),
        ("attachment; filename=pie.zip", "pie.zip"),
        ("attachment; filename*=UTF-8''p%C3%AFe.zip", "pïe.zip"),
        ("attachment; filename=a.zip; filename*=UTF-8''b.zip", "b.zip"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\evil.exe"', "evil.exe"),
        ("attachment; filename*=UTF-8''..%2F..%2Fevil", "evil"),
        ('attachment; filename=".bashrc"', "bashrc"),
        ('attachment; filename=".."', "download_cake"),
        ("attachment; filename*=UTF-8''a%0Ab%1Bc", "abc"),
        ('attachment; filename="a;b.zip"', "a;b.zip"),
        ("attachment", "download_cake"),
        (None, "download_cake"),
    ],
)
def test_a_download_lands_in_this_directory_whatever_the_director_says(
    cps, configured, director, tmp_path, capsys, disposition, name
):
    director.answers[DOWN] = offering(disposition)
    before = set(os.listdir())
    assert cps("cps-bakery", "download_cake", "1", "1", "--version", "2") == 0
    assert director.requests[0].json == {"version": "2"}
    assert capsys.readouterr().out == f"File '{name}' written.\n"
    assert (tmp_path / name).read_bytes() == b"cake"
    assert set(os.listdir()) - before == {name}


def test_a_file_of_that_name_is_replaced(cps, configured, director, tmp_path):
    (tmp_path / "pie").write_text("a much longer text")
    director.answers[DOWN] = offering("attachment; filename=pie")
    assert cps("cps-bakery", "download_cake", "1", "1") == 0
    assert (tmp_path / "pie").read_bytes() == b"cake"


def test_the_user_may_say_where_a_download_goes(cps, configured, director, tmp_path, capsysbinary):
    director.answers[DOWN] = offering("attachment; filename=pie")
    (tmp_path / "below").mkdir()
    assert cps("cps-bakery", "download_cake", "1", "1", "-o", "below/mine") == 0
    assert (tmp_path / "below/mine").read_bytes() == b"cake"
    capsysbinary.readouterr()
    assert cps("cps-bakery", "download_cake", "1", "1", "--output", "-") == 0
    assert capsysbinary.readouterr().out == b"cake"
    assert not (tmp_path / "pie").exists()


def test_a_download_that_breaks_off_leaves_what_was_there(
    cps, configured, director, tmp_path, capsys
):
    (tmp_path / "pie").write_text("old")
    headers = {"Content-Length": "100", "Connection": "close"}
    headers["Content-Disposition"] = "attachment; filename=pie"
    director.answers[DOWN] = lambda request: (200, (b"half", headers))
    assert cps("cps-bakery", "download_cake", "1", "1") == 1
    assert "the file broke off after" in capsys.readouterr().err
    assert (tmp_path / "pie").read_text() == "old"
    assert not list(tmp_path.glob("*.part*"))


def test_what_is_text_goes_to_stdout_unless_it_is_told_a_name(
    cps, configured, director, tmp_path, capsysbinary
):
    director.answers[PRINT] = offering("attachment; filename=pie", "tört\n\x1b[31m".encode())
    assert cps("cps-bakery", "print_cake", "1", "1") == 0
    assert capsysbinary.readouterr().out == "tört\n\x1b[31m".encode()
    assert not (tmp_path / "pie").exists()
    assert cps("cps-bakery", "print_cake", "1", "1", "-o", "mine") == 0
    assert capsysbinary.readouterr().out == b"File 'mine' written.\n"
    assert (tmp_path / "mine").read_bytes() == "tört\n\x1b[31m".encode()


def test_text_that_breaks_off_is_an_error_although_some_of_it_is_there(
    cps, configured, director, capsys
):
    headers = {"Content-Length": "100", "Connection": "close"}
    director.answers[PRINT] = lambda request: (200, (b"half", headers))
    assert cps("cps-bakery", "print_cake", "1", "1") == 1
    shown = capsys.readouterr()
    assert shown.out == "half"
    assert "the file broke off after 4 bytes" in shown.err


def test_a_download_that_is_refused_says_why(cps, configured, director, capsys):
    director.refuse(DOWN, 404, "not-found", "there is no version 2")
    assert cps("cps-bakery", "download_cake", "1", "1") == 1
    assert capsys.readouterr().err == "ERROR: there is no version 2\n"


def test_a_reader_that_leaves_is_no_error(configured, director, installed, site):
    rows = [{"aid": n, "name": "x" * 200} for n in range(20000)]
    director.answers["/application/list"] = rows
    command = f"{sys.executable} -P -m conpaas.cli.main application list | head -1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert ran.stderr == ""
    assert ran.stdout.startswith("  aid name")
