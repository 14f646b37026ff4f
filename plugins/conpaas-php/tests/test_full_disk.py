"""Code that fills the disk harms itself; the node stays manageable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from conpaas.errors import AgentError
from conpaas_php.testing import FILES, Node, Site

FILL = (
    "<?php $f = fopen(__DIR__ . '/big', 'a'); ftruncate($f, 0); $n = 0;"
    " while ($n < 100 << 20 && @fwrite($f, str_repeat('x', 1 << 16)) === 1 << 16) $n += 1 << 16;"
    " while ($n < 100 << 20 && @fwrite($f, 'x') === 1) $n += 1; echo $n >> 20;"
)


@pytest.fixture
def small(site: Site) -> Iterator[Node]:
    """A machine with a disk of 16 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    node = site.node("proxy")
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", str(node.root)]
    subprocess.run(mount, check=True)
    yield node
    for name in node.supervisor.names():
        node.supervisor.signal(name, "TERM")
    node.supervisor.shutdown()
    subprocess.run(["umount", "-l", str(node.root)], check=True)


def test_a_full_disk_is_told_and_can_be_cleared(site: Site, small: Node) -> None:
    site.run_everything(small, FILES | {"fill.php": FILL})
    assert 5 < int(small.ask("/fill.php").text) < 16

    assert small.ask("/hello.php").text == "hello"
    assert small.ask("/style.css").status == 200
    with pytest.raises(AgentError, match="No space left on device"):
        small.agent.run_backend(site.backend_part(small, environment={"BIG": "x" * 100_000}))
    with pytest.raises(AgentError, match="No space left on device"):
        small.upload({"index.php": "x" * 1_000_000}, "code-b")
    assert small.agent.list_parts() == ["backend", "proxy", "web"]
    assert small.figure("conpaas_php_workers", state="idle")
    small.agent.rotate_logs()

    (small.agent.code_path("code-a") / "big").unlink()
    assert small.agent.run_backend(site.backend_part(small, environment={"BIG": "x" * 100_000}))
    assert small.ask("/hello.php").text == "hello"


def test_a_node_whose_disk_is_full_can_leave_its_parts(site: Site, small: Node) -> None:
    site.run_everything(small, FILES | {"fill.php": FILL})
    small.ask("/fill.php")
    for part in ("proxy", "web", "backend"):
        small.leave(part)
    assert small.agent.list_parts() == []
    assert small.supervisor.names() == []
    small.agent.keep_code([])
    assert small.agent.list_code() == []
