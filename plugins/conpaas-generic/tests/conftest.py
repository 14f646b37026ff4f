"""What the tests of the generic service share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conpaas_generic.scripts import Scripts


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
