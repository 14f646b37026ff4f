"""Bad input, through the real command line and API: refused with a reason, and harmless."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import socket
import ssl
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e import CommandLine, Nutshell

NAMES = {
    "empty": "",
    "long": "x" * 256,
    "path": "../x",
    "slash": "a/b",
    "newline": "a\nb",
    "nul": "a\0b",
    "right to left": "a\u202eb",
    "emoji": "a🙂",
    "option": "-rf",
    "shell": "$(id)",
    "html": "<b>x</b>",
    "quotes": "x' OR '1'='1",
    "number": "17",
    "blanks": "  ",
    "lone surrogate": "a\ud800b",
}


@pytest.fixture(scope="module")
def hello(cps: CommandLine, running: int) -> int:
    """A running helloworld service of one node: its number."""
    sid = int(cps.rows(f"cps-service add helloworld {running}")["sid"])
    cps.ok(f"cps-service start {running} {sid}")
    return sid


@pytest.fixture(scope="module")
def generic(cps: CommandLine, running: int) -> int:
    """A generic service, not started: its number."""
    return int(cps.rows(f"cps-service add generic {running}")["sid"])


def everything(nutshell: Nutshell) -> list[Any]:
    kinds = ("application", "service", "machine")
    return [nutshell.call("GET", f"/{kind}/list").body["result"] for kind in kinds]


# -- names and counts ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
def test_a_bad_name_is_refused_wherever_it_may_stand(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, kind: str
) -> None:
    before, name = everything(nutshell), NAMES[kind]
    service = {"application": running, "service": hello}
    for path, arguments in (
        ("/application/create", {"name": name}),
        ("/application/rename", {"application": running, "new_name": name}),
        (
            "/service/add",
            {"service_type": "helloworld", "application": running, "name": name},
        ),
        ("/service/rename", {**service, "new_name": name}),
    ):
        answer = nutshell.call("POST", path, arguments)
        assert answer.status == 400, (path, answer.body)
        assert "name" in answer.told
    if kind not in ("nul", "lone surrogate"):  # no command line can hold them
        words = ["cps-application", "create", "--", name]
        cps.refused(words, "name")
    assert everything(nutshell) == before


def test_a_name_that_is_taken_is_refused(
    nutshell: Nutshell, cps: CommandLine, running: int
) -> None:
    before = everything(nutshell)
    cps.refused("cps-application create test_input", "already")
    assert everything(nutshell) == before


@pytest.mark.parametrize("count", ["-1", "0", "1000000000", "1e3", "1.5", "", "two", "0x2", "²"])
@pytest.mark.parametrize("verb", ["add_nodes", "remove_nodes"])
def test_a_bad_count_is_refused(
    nutshell: Nutshell, cps: CommandLine, running: int, hello: int, verb: str, count: str
) -> None:
    before = everything(nutshell)
    cps.refused(["cps-service", verb, str(running), str(hello), f"--count={count}"])
    given: list[Any] = [{"count": count}, {"node": count}]
    with contextlib.suppress(ValueError):
        given += [{"count": json.loads(count)}]
    for nodes in given:
        path = f"/applications/{running}/services/{hello}/{verb}"
        answer = nutshell.call("POST", path, {"nodes": nodes})
        assert answer.status == 400, answer.body
    assert everything(nutshell) == before


# -- JSON and HTTP ------------------------------------------------------------------------------

BODIES = {
    "a list": b'["x"]',
    "a text": b'"x"',
    "null": b"null",
    "a number for a name": b'{"name": 1}',
    "a list for a name": b'{"name": ["x"]}',
    "null for a name": b'{"name": null}',
    "an unknown key": b'{"name": "x", "nmae": "y"}',
    "a key twice": b'{"name": "x", "name": "y"}',
    "no key": b"{}",
    "nothing": b"",
    "half of it": b'{"name": "x"',
    "more than it": b'{"name": "x"} {}',
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "another charset": '{"name": "x"}'.encode("utf-16"),
    "not a number": b'{"name": NaN}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"name":' * 100_000,
    "a closed deep list": b"[" * 100_000 + b"]" * 100_000,
    "too much": b'{"name": "' + b"x" * (2 << 20) + b'"}',
    "a large number": b'{"name": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_body_is_refused_with_a_sentence(
    nutshell: Nutshell, running: int, hello: int, kind: str
) -> None:
    before = everything(nutshell)
    body = BODIES[kind]
    for path in (
        "/application/create",
        f"/applications/{running}/services/{hello}/get_agent_log",
    ):
        answer = nutshell.call("POST", path, body)
        assert 400 <= answer.status < 500, answer.body
        assert answer.told
    assert everything(nutshell) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/application/create?name=x"),
        ("GET", "/application/create"),
        ("PUT", "/application/create"),
        ("DELETE", "/application/list"),
        ("PATCH", "/application/list"),
        ("POST", "/application/nothing"),
        ("POST", "/nothing/list"),
        ("POST", "/application/__init__"),
        ("POST", "/application/scope"),
        ("POST", "/application/list/"),
        ("GET", "/application/get_info?application=1&application=2"),
        ("POST", "/applications/%2e%2e/services/1/list_nodes"),
        ("GET", "/jobs/99999999999999999999"),
        ("GET", "/jobs/-1"),
    ],
)
def test_a_bad_request_is_refused_with_a_sentence(
    nutshell: Nutshell, method: str, path: str
) -> None:
    answer = nutshell.call(method, path, {} if method != "GET" else None)
    assert 400 <= answer.status < 500, answer.body
    assert answer.told


def test_a_path_that_leads_out_of_the_api_is_answered_with_a_page(nutshell: Nutshell) -> None:
    answer = nutshell.call("GET", "/../../etc/passwd")
    assert answer.status == 404
    assert b"<h1>" in answer.body and b"root:" not in answer.body


def raw(nutshell: Nutshell, request: bytes) -> bytes:
    """Send bytes as they are and return what comes back, which may be nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(nutshell.ca)
    host, _, port = nutshell.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        answer = b""
        with contextlib.suppress(OSError):
            connection.sendall(request)
            connection.settimeout(20)
            while piece := connection.recv(65536):
                answer += piece
        return answer


def test_lying_and_endless_headers_are_refused(nutshell: Nutshell) -> None:
    head = (
        "POST /api/v1/application/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {nutshell.token}\r\nContent-Type: application/json\r\n"
    ).encode()
    assert raw(nutshell, head + b"Content-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 200 ")
    for bad in (
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        b"Content-Length: -1\r\n\r\n{}",
        b"Content-Length: x\r\n\r\n{}",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"X: " + b"x" * (1 << 20) + b"\r\n\r\n",
        b"Content-Length: 2\r\n X: folded\r\n\r\n{}",
    ):
        status = raw(nutshell, head + bad).partition(b"\r\n")[0]
        assert status == b"" or b" 4" in status[:12] or b" 501 " in status, (bad[:60], status)
    assert raw(nutshell, b"\x16\x03\x01" * 1000).partition(b" ")[2][:1] in (b"4", b"")
    assert nutshell.call("GET", "/application/list").status == 200


# -- archives -----------------------------------------------------------------------------------


def tar(*members: tuple[str, bytes, str, int, str], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, kind, target, bits, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, bits
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    return packed.getvalue()


def file(name: str, bits: int = 0o644, content: str = "x") -> tuple[str, bytes, str, int, str]:
    return (name, tarfile.REGTYPE, "", bits, content)


def special(name: str, kind: bytes, target: str = "") -> tuple[str, bytes, str, int, str]:
    return (name, kind, target, 0o644, "")


def encrypted_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("secret.txt", "x")
    content = bytearray(packed.getvalue())
    content[6] |= 1  # of the member's header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and of the directory
    return bytes(content)


def bad_zip(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "x")
    return packed.getvalue()


GOOD = tar(file("run.sh", 0o755), mode="w:gz")
#: The file's name, its content, and what of it the refusal must name.
ARCHIVES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "above": ("a.tar", lambda: tar(file("ok"), file("../evil")), "../evil"),
    "absolute": ("a.tar", lambda: tar(file("/etc/evil")), "/etc/evil"),
    "drive": ("a.zip", lambda: bad_zip("C:/evil"), "C:/evil"),
    "zip above": ("a.zip", lambda: bad_zip("x/../../evil"), "x/../../evil"),
    "through a link": (
        "a.tar",
        lambda: tar(special("door", tarfile.SYMTYPE, "/etc"), file("door/evil")),
        "door",
    ),
    "link out": ("a.tar", lambda: tar(special("door", tarfile.SYMTYPE, "../../etc")), "door"),
    "hard link": (
        "a.tar", lambda: tar(special("passwd", tarfile.LNKTYPE, "/etc/passwd")), "passwd",
    ),
    "device": ("a.tar", lambda: tar(special("null", tarfile.CHRTYPE)), "null"),
    "fifo": ("a.tar", lambda: tar(special("pipe", tarfile.FIFOTYPE)), "pipe"),
    "setuid": ("a.tar", lambda: tar(file("become-root", 0o4755)), "become-root"),
    "twice": ("a.tar", lambda: tar(file("same"), file("same")), "same"),
    "bomb": (
        "a.tar.gz",
        lambda: gzip.compress(tar(file("zeros", content="\0" * (64 << 20)))),
        "as only a bomb does",
    ),
    "cut off": ("a.tar.gz", lambda: GOOD[:-20], "a.tar.gz"),
    "wrong name": ("a.zip", lambda: GOOD, "a.zip"),
    "no archive": ("a.tar.gz", lambda: b"#!/bin/sh\necho hello\n", "a.tar.gz"),
    "empty": ("a.tar.gz", lambda: b"", "a.tar.gz"),
    "encrypted": ("a.zip", encrypted_zip, "secret.txt"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_means_harm_is_refused_by_name(
    cps: CommandLine, running: int, generic: int, kind: str, tmp_path: Path
) -> None:
    name, content, named = ARCHIVES[kind]
    archive = tmp_path / name
    archive.write_bytes(content())
    words = ["cps-generic", "upload_code", str(running), str(generic), str(archive)]
    reason = cps.refused(words, named)
    assert "refused" in reason
    codes = cps.rows(f"cps-generic list_codes {running} {generic}")
    assert [code["codeVersionId"] for code in codes] == ["code-default"]


# -- size ---------------------------------------------------------------------------------------


def peak(process: psutil.Process) -> int:
    """Return the largest resident size that a process has had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


@pytest.mark.long
def test_an_upload_of_a_gigabyte_streams_through_every_server(
    nutshell: Nutshell, cps: CommandLine, running: int, generic: int, tmp_path: Path
) -> None:
    archive = tmp_path / "large.tar"
    with archive.open("wb") as packed:
        info = tarfile.TarInfo("large")
        info.size = 1 << 30
        packed.write(info.tobuf())
        packed.truncate(packed.tell() + info.size + 1024)  # zeros, which take no room here
    init = nutshell.cloud.driver.instances.init(nutshell.machine(running).id)
    assert init is not None
    on_manager = psutil.Process(init.pid).children(recursive=True)
    servers = [*nutshell.processes(), *on_manager]
    for server in servers:
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # forgets earlier peaks

    line = f"cps-generic upload_code {running} {generic} {archive} -f json"
    version = json.loads(cps.ok(line, seconds=300))["codeVersionId"]

    peaks = {f"{s.pid} {' '.join(s.cmdline())[:60]}": peak(s) for s in servers if s.is_running()}
    assert len(peaks) >= 10
    assert max(peaks.values()) < 100, peaks
    cps.ok(f"cps-generic delete_code {running} {generic} {version}")
    kept = nutshell.home / "director" / "applications"
    assert sum(f.stat().st_size for f in kept.rglob("*") if f.is_file()) < 10 << 20


def test_an_upload_that_is_refused_at_once_is_told_why(
    nutshell: Nutshell, running: int, tmp_path: Path
) -> None:
    with (tmp_path / "large.tar").open("w+b") as large:
        large.truncate(20 << 20)
        for path, status in (
            (f"/applications/{running}/services/99/upload_code", 404),
            ("/applications/99/services/1/upload_code", 404),
            ("/application/create", 413),
        ):
            large.seek(0)
            answer = nutshell.call(
                "POST", path, large,
                headers={
                    "Authorization": f"Bearer {nutshell.token}",
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(20 << 20),
                },
            )  # fmt: skip
            assert answer.status == status, answer.body
            assert answer.told


def test_an_upload_that_ends_early_leaves_nothing(
    nutshell: Nutshell, cps: CommandLine, running: int, generic: int
) -> None:
    before = cps.rows(f"cps-generic list_codes {running} {generic}")
    head = (
        f"POST /api/v1/applications/{running}/services/{generic}/upload_code HTTP/1.1\r\n"
        f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {nutshell.token}\r\n"
        "Content-Type: application/octet-stream\r\nX-Filename: a.tar\r\n"
        "Content-Length: 100000000\r\n\r\n"
    ).encode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(nutshell.ca)
    host, _, port = nutshell.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(head + b"x" * 1_000_000)
    assert cps.rows(f"cps-generic list_codes {running} {generic}") == before
    blobs = nutshell.root(nutshell.machine(running)) / "var/lib/conpaas/blobs"
    assert not [blob for blob in blobs.glob("tmp*") if blob.stat().st_size > 10_000_000]
