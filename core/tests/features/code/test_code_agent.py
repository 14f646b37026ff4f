"""The agent's part of code versions."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from conpaas.agent.base import AgentPlace
from conpaas.errors import AgentError, InvalidError
from conpaas.features.code import agent as agent_module
from conpaas.features.code.agent import CodeAgent
from conpaas.features.code.packing import packed
from conpaas.rpc import Upload, arguments_from_json, find_operation
from conpaas.supervisor.process import ProcessSupervisor


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], CodeAgent]:
    """Make an agent; each is like one that has just come back on the same machine."""

    def make() -> CodeAgent:
        supervisor = ProcessSupervisor(tmp_path / "log")
        place = AgentPlace(
            "node-1", "node", "10.0.0.1", 1, 1, tmp_path, supervisor, {}, logging.getLogger("test")
        )
        return CodeAgent(place)

    return make


def update(agent: CodeAgent, version: str, content: bytes) -> bool:
    return agent.update_code(version, Upload(io.BytesIO(content)), 1 << 20, 100)


def test_a_version_is_unpacked_once(make: Callable[[], CodeAgent]) -> None:
    assert update(make(), "code-a", packed({"one": "1"}))
    assert not update(make(), "code-a", packed({"other": "2"}))
    assert [path.name for path in make().code_path("code-a").iterdir()] == ["one"]
    assert make().list_code() == ["code-a"]


def test_only_what_is_needed_is_kept(make: Callable[[], CodeAgent]) -> None:
    for version in ("code-a", "code-b", "git-0123abc"):
        update(make(), version, packed({"one": "1"}))
    make().keep_code(["code-b", "code-gone"])
    assert make().list_code() == ["code-b"]
    assert [path.name for path in make().code_directory.iterdir()] == ["code-b"]


def test_an_archive_that_means_harm_leaves_nothing(make: Callable[[], CodeAgent]) -> None:
    with pytest.raises(InvalidError, match=r"code-a: \.\./evil leads out of the archive"):
        update(make(), "code-a", packed({"../evil": "1"}))
    with pytest.raises(InvalidError, match="more than"):
        update(make(), "code-a", packed({"big": "1" * (1 << 20) + "1"}))
    assert list(make().code_directory.iterdir()) == []


class Crash(BaseException):
    """The agent's process dies here."""


def test_a_crash_while_unpacking_leaves_no_version(
    make: Callable[[], CodeAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(file: Path, target: Path, *_: object, **named: object) -> None:
        target.with_name(f".{target.name}.unpacking-1").mkdir()
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(agent_module, "unpack", die)
        with pytest.raises(Crash):
            update(make(), "code-a", packed({"one": "1"}))
    assert make().list_code() == []
    update(make(), "code-a", packed({"one": "1"}))
    assert [path.name for path in make().code_directory.iterdir()] == ["code-a"]


def test_a_crash_while_removing_leaves_no_half_version(
    make: Callable[[], CodeAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    update(make(), "code-a", packed({"one": "1"}))

    def die(path: Path) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(agent_module.shutil, "rmtree", die)
        with pytest.raises(Crash):
            make().keep_code([])
    assert make().list_code() == []
    assert update(make(), "code-a", packed({"one": "1"}))
    assert [path.name for path in make().code_directory.iterdir()] == ["code-a"]


def test_a_full_disk_is_told(
    make: Callable[[], CodeAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agent_module, "unpack", full)
    with pytest.raises(AgentError, match="cannot be unpacked: No space left on device"):
        update(make(), "code-a", packed({"one": "1"}))


@pytest.mark.parametrize("version", ["", "..", "code-a/../b", "/etc", "code-", ".code-a", "a b-c"])
def test_ids_that_are_no_names_of_directories_are_refused(version: str) -> None:
    operation = find_operation(CodeAgent, "update_code")
    given = {"version": version, "unpacked_limit": 1, "members_limit": 1}
    with pytest.raises(InvalidError, match="version"):
        arguments_from_json(operation, given, Upload(io.BytesIO()))
