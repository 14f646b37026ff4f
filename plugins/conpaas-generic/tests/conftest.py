"""What the tests of the generic service share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from conpaas_generic.scripts import Scripts


class Eventually(Protocol):
    def __call__(self, condition: Callable[[], object], seconds: float = 15.0) -> None: ...


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something becomes true, or fail."""

    def wait(condition: Callable[[], object], seconds: float = 15.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def code(tmp_path: Path) -> Callable[..., Path]:
    """Write scripts into a directory, and return it: ``code(run="true")``."""

    def write(**scripts: str) -> Path:
        directory = tmp_path / "code"
        directory.mkdir(exist_ok=True)
        for name, text in scripts.items():
            (directory / f"{name}.sh").write_text(text)
        return directory

    return write


@pytest.fixture
def no_survivors(tmp_path: Path) -> Iterator[None]:
    """Kill whatever scripts a test leaves behind below its directory."""
    yield
    for runs in [*tmp_path.rglob("runs")]:
        Scripts(runs, tmp_path / "out", tmp_path / "err").kill()
