"""Code versions as users see them, in the smallest service that has them."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from page_service import Page, PageManager, PagePlugin

from conpaas import features
from conpaas.api import Services
from conpaas.director.config import LimitsSection
from conpaas.errors import AgentError, InvalidError, NotFoundError, TooLargeError, WrongStateError
from conpaas.features.code.manager import UploadedCode
from conpaas.features.code.packing import packed
from conpaas.plugins import Plugins
from conpaas.rpc import Upload, finish
from conpaas.state import State
from conpaas.testing import Cluster


@pytest.fixture
def page() -> Iterator[Page]:
    limits = LimitsSection(nodes_per_service=20, upload=200 << 20, unpacked=150 << 20, members=50)
    with Cluster(Plugins(page=PagePlugin(), **features.modules()), limits) as cluster:
        yield Page(cluster)


# -- what two services share ----------------------------------------------------------------------


def test_what_two_services_have_in_common_stays_while_one_of_them_needs_it(page: Page) -> None:
    other: Any = page.cluster.service("page", page.aid)
    code = packed({"index": "the same"})
    mine = page.upload(code).codeVersionId
    theirs = other.upload_code(filename=Upload(io.BytesIO(code), "code.tar", len(code)))
    before = page.blobs()
    page.user.delete_code(code_version=mine)
    assert page.blobs() == before
    got = other.download_code(version=theirs.codeVersionId)
    assert b"".join(got.pieces) == code
    other.delete_code(code_version=theirs.codeVersionId)
    assert page.blobs() == before - 1


def test_a_service_that_is_removed_leaves_no_files_behind(page: Page) -> None:
    page.upload(packed({"index": "one"}))
    page.upload(packed({"index": "two"}))
    kept = page.cluster.director.files(page.aid)
    assert page.blobs() == 2
    services = page.cluster.api(Services)
    page.cluster.run(services.remove(application=page.aid, service=1))
    assert page.blobs() == 0
    assert not [path for path in (kept._directory / "blobs").rglob("*") if path.is_file()]


# -- uploading ------------------------------------------------------------------------------------


def test_a_new_service_has_the_code_that_came_with_it(page: Page) -> None:
    (code,) = page.user.list_codes()
    assert (code.current, code.codeVersionId) == ("*", "code-default")
    assert (code.filename, code.description) == ("default.tar", "Initial version")
    page.start()
    assert page.user.pages() == ["welcome"]


def test_an_upload_is_listed_first_and_not_used(page: Page) -> None:
    page.start()
    code = page.upload(packed({"page": "new"}), "my code.tar", "better")
    assert code.codeVersionId.startswith("code-")
    assert len(code.codeVersionId) == len("code-XXXXXX")
    first, second = page.user.list_codes()
    assert UploadedCode(**asdict(first)) == code
    assert (first.current, first.filename, first.description) == ("", "my code.tar", "better")
    assert first.time.endswith("+00:00")
    assert second.current == "*"
    assert page.user.pages() == ["welcome"]


def test_bad_archives_are_refused_when_they_are_uploaded_and_leave_nothing(page: Page) -> None:
    for content, why in [
        (b"hello", r"code\.tar is refused: it is no archive"),
        (packed({"../x": "1"}), r"code\.tar is refused: \.\./x leads out"),
        (packed({str(n): "" for n in range(51)}), r"refused: it has more than 50 members"),
    ]:
        with pytest.raises(InvalidError, match=why):
            page.upload(content)
    with pytest.raises(InvalidError, match="although its name says zip"):
        page.upload(packed({"page": "1"}), "code.zip")
    assert list(page.stars()) == ["code-default"]
    assert page.blobs() == 0


def test_a_bad_archive_does_not_take_a_good_one_of_the_same_content_along(page: Page) -> None:
    good = page.upload(packed({"page": "1"}), "code.tar")
    with pytest.raises(InvalidError):
        page.upload(packed({"page": "1"}), "code.zip")
    assert b"".join(page.user.download_code(version=good.codeVersionId).pieces)


def test_a_directory_that_everything_lies_in_is_told_and_stripped(page: Page) -> None:
    page.start()
    content = packed({"app/page": "wrapped"})
    code = page.upload(content)
    assert code.note == (
        "All files are in the directory 'app/': upload it again with --strip to leave that out."
    )
    stripped = page.upload(content, strip=True)
    assert stripped.note == ""
    page.enable(stripped.codeVersionId)
    assert page.user.pages() == ["wrapped"]
    download = page.user.download_code()
    assert b"".join(download.pieces) == content
    page.cluster.run(page.user.add_nodes(nodes={"count": 1}))
    assert page.user.pages() == ["wrapped"] * 2


def test_what_cannot_be_stripped_is_refused_and_leaves_nothing(page: Page) -> None:
    with pytest.raises(InvalidError, match=r"no one directory to strip .* page, which is a file"):
        page.upload(packed({"page": "flat"}), strip=True)
    assert page.blobs() == 0


def test_nodes_keep_what_the_service_says(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.start()
    monkeypatch.setattr(
        PageManager,
        "codes_to_keep",
        lambda self: [self.active_code.id, *self.codes_before[:2]],
    )
    versions = [page.upload(packed({"page": text})).codeVersionId for text in "abcd"]
    for version in [*versions, versions[2], versions[3]]:
        page.enable(version)
    (agent,) = page.cluster.agents(page.aid, 1)
    assert agent.agent.list_code() == sorted(versions[1:])
    page.user.delete_code(code_version=versions[2])
    page.enable(versions[3])
    assert agent.agent.list_code() == sorted(versions[i] for i in (1, 3))


def test_an_upload_over_the_limit_is_refused(page: Page) -> None:
    page.cluster.manager(page.aid).host(1).upload_limit = 100
    with pytest.raises(TooLargeError):
        page.upload(packed({"page": "1"}))
    assert page.blobs() == 0


def test_a_large_upload_passes_through_in_pieces(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "large.tar"
    with tarfile.open(path, "w") as tar:
        noise = tmp_path / "noise"
        noise.write_bytes(os.urandom(1 << 20) * 100)
        tar.add(noise, "noise")
    tracemalloc.start()
    with path.open("rb") as stream:
        upload = Upload(stream, "large.tar", path.stat().st_size)
        code = page.user.upload_code(filename=upload)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    download = page.user.download_code(version=code.codeVersionId)
    assert sum(len(piece) for piece in download.pieces) == path.stat().st_size


# -- enabling -------------------------------------------------------------------------------------


def test_enabling_changes_all_nodes_and_those_that_come(page: Page) -> None:
    page.start(nodes=3)
    code = page.upload(packed({"page": "new"}))
    done = page.enable(code.codeVersionId)
    assert (done.codeVersionId, done.current) == (code.codeVersionId, "*")
    assert page.user.pages() == ["new"] * 3
    assert page.stars() == {code.codeVersionId: "*", "code-default": ""}
    page.cluster.run(page.user.add_nodes(nodes={"count": 1}))
    assert page.user.pages() == ["new"] * 4
    assert page.state is State.RUNNING
    for host in page.cluster.agents(page.aid, 1):
        assert host.agent.list_code() == [code.codeVersionId]


def test_enabling_before_the_start_just_records(page: Page) -> None:
    code = page.upload(packed({"page": "new"}))
    page.enable(code.codeVersionId)
    assert page.state is State.INIT
    assert page.stars()[code.codeVersionId] == "*"
    page.start()
    assert page.user.pages() == ["new"]
    page.cluster.run(page.user.stop())
    page.enable("code-default")
    assert page.state is State.STOPPED
    page.start()
    assert page.user.pages() == ["welcome"]


def test_enabling_what_fails_leaves_the_old_version_in_use(page: Page) -> None:
    page.start(nodes=2)
    code = page.upload(packed({"broken": "", "page": "new"}))
    with pytest.raises(AgentError, match=r"node-2 .* is broken; node-3 .* is broken"):
        page.enable(code.codeVersionId)
    assert page.state is State.RUNNING
    assert page.stars() == {code.codeVersionId: "", "code-default": "*"}
    assert page.user.pages() == ["welcome"] * 2
    for host in page.cluster.agents(page.aid, 1):
        assert host.agent.list_code() == ["code-default"]


def test_one_node_that_fails_takes_the_others_back(page: Page) -> None:
    page.start(nodes=2)
    code = page.upload(packed({"page": "new"}))
    second = page.cluster.agents(page.aid, 1)[1].agent
    # Something is in the way on one node only.
    second.code_path(code.codeVersionId).write_text("not a directory")
    with pytest.raises(AgentError, match=r"node-3 .* is there already"):
        page.enable(code.codeVersionId)
    assert page.user.pages() == ["welcome"] * 2


@pytest.mark.parametrize("steps", range(1, 5))
@pytest.mark.parametrize("broken", [False, True])
def test_enabling_ends_well_wherever_the_manager_is_killed(
    page: Page, monkeypatch: pytest.MonkeyPatch, steps: int, broken: bool
) -> None:
    page.start(nodes=2)
    code = page.upload(packed({"page": "new"} | ({"broken": ""} if broken else {})))
    manager = page.cluster.manager(page.aid).host(1).manager
    job = manager.enable_code(code.codeVersionId)
    with contextlib.suppress(AgentError, StopIteration):
        for _ in range(steps):
            next(job)
    job.close()  # what the process did not come to, it does not do
    monkeypatch.setattr("conpaas.jobs.resuming", lambda: True)
    with contextlib.suppress(AgentError):
        finish(manager.enable_code(code.codeVersionId))
    used = "code-default" if broken else code.codeVersionId
    assert page.stars()[used] == "*"
    assert page.user.pages() == ["welcome" if broken else "new"] * 2
    assert [h.agent.list_code() for h in page.cluster.agents(page.aid, 1)] == [[used]] * 2


def test_enabling_the_active_version_again_changes_nothing(page: Page) -> None:
    page.start()
    page.enable("code-default")
    assert page.user.pages() == ["welcome"]


def test_a_version_that_is_not_there_is_told_with_the_nearest(page: Page) -> None:
    with pytest.raises(NotFoundError, match=r"no code version 'code-defalt'.*code-default"):
        page.user.enable_code(code_version="code-defalt")
    for operation in (page.user.delete_code, page.user.enable_code):
        with pytest.raises(NotFoundError):
            operation(code_version="../../etc")
    with pytest.raises(NotFoundError):
        page.user.download_code(version="code-none")


# -- getting back and deleting --------------------------------------------------------------------


def test_downloads_have_their_original_name_and_content(page: Page) -> None:
    content = packed({"page": "new"})
    code = page.upload(content, "größe & co.tar")
    for version, name, expected in [
        (code.codeVersionId, "größe & co.tar", content),
        (None, "default.tar", packed({"page": "welcome"})),
    ]:
        download = page.user.download_code(version=version)
        assert (download.filename, download.size) == (name, len(expected))
        assert b"".join(download.pieces) == expected
    page.enable(code.codeVersionId)
    assert page.user.download_code().filename == "größe & co.tar"


def test_the_active_version_cannot_be_deleted(page: Page) -> None:
    with pytest.raises(InvalidError, match="Cannot remove the active code version"):
        page.user.delete_code(code_version="code-default")
    code = page.upload(packed({"page": "new"}))
    page.enable(code.codeVersionId)
    page.user.delete_code(code_version="code-default")
    assert page.stars() == {code.codeVersionId: "*"}
    page.start()
    assert page.user.pages() == ["new"]


def test_an_archive_goes_with_the_last_version_that_has_it(page: Page) -> None:
    first, second = (page.upload(packed({"page": "new"})).codeVersionId for _ in range(2))
    assert (first != second, page.blobs()) == (True, 1)
    page.user.delete_code(code_version=first)
    assert page.blobs() == 1
    assert b"".join(page.user.download_code(version=second).pieces) == packed({"page": "new"})
    page.user.delete_code(code_version=second)
    assert page.blobs() == 0


def test_versions_are_not_deleted_while_a_job_is_at_work(page: Page) -> None:
    code = page.upload(packed({"page": "new"}))
    host = page.cluster.manager(page.aid).host(1)
    page.cluster.manager(page.aid).book.set_state(1, State.ADAPTING, "test")
    with pytest.raises(WrongStateError):
        page.user.delete_code(code_version=code.codeVersionId)
    assert host.state() is State.ADAPTING
