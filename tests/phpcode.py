"""PHP applications of the tests, which tell where they run and of which version they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conpaas.features.code.packing import packed

#: Says the version three times: of the script, of what it includes, and of a file that it reads.
_INDEX = """\
<?php
header('X-Node: ' . gethostname());
echo "php VERSION ";
include 'inc/part.php';
echo 'file ' . file_get_contents('version.txt') . ' on ' . gethostname();
"""
PROBE = {
    "index.php": _INDEX,
    "inc/part.php": "<?php echo 'part VERSION ';",
    "version.txt": "VERSION",
    "where.php": """\
<?php
header('Content-Type: application/json');
echo json_encode(['node' => gethostname(), 'environment' => getenv(), 'server' => $_SERVER]);
""",
    # The pause makes it sure that increments meet: without a lock many would be lost.
    "count.php": """\
<?php
session_start();
$count = ($_SESSION['count'] ?? 0);
usleep(2000);
$_SESSION['count'] = ++$count;
session_write_close();
echo $count . ' on ' . gethostname();
""",
    "note.php": """\
<?php
if (isset($_GET['text'])) { file_put_contents('kept/note.txt', $_GET['text']); }
echo @file_get_contents('kept/note.txt') . ' on ' . gethostname();
""",
    "kept/first.txt": "VERSION",
    "ini.php": "<?php echo ini_get($_GET['name']);",
    "slow.php": "<?php sleep((int) $_GET['seconds']); echo 'slept';",
    "wrong.php": "<?php echo 'before'; there_is_no_such_function();",
    "loop.php": "<?php while (true) { }",
    "fill.php": """\
<?php
$file = tempnam(sys_get_temp_dir(), 'fill');
$piece = str_repeat('x', 1 << 20);
for ($written = 0; @file_put_contents($file, $piece, FILE_APPEND) === 1 << 20; $written++) { }
echo $written;
""",
    "post.php": "<?php echo $_SERVER['REQUEST_METHOD'] . ' ' . ($_POST['name'] ?? 'nothing');",
}


def probe(version: str, **more: str) -> dict[str, str]:
    """Return the files of a version by name; those given replace or come to the usual ones."""
    files = PROBE | {name.replace("__", "."): text for name, text in more.items()}
    return {name: text.replace("VERSION", version) for name, text in files.items()}


def pack(to: Path, files: Mapping[str, str]) -> Path:
    """Write a tar.gz of files that expands in the current directory; return it."""
    to.write_bytes(packed(files, form="w:gz"))
    return to


def version_of(path: str, body: str) -> str | None:
    """Return the version that an answer of ``/`` or ``/version.txt`` is of, None if several."""
    said = set(re.findall(r"(?:php|part|file) (\S+)", body)) if path == "/" else {body}
    expected = 3 if path == "/" else 1
    whole = len(re.findall(r"(?:php|part|file) ", body)) if path == "/" else 1
    return said.pop() if len(said) == 1 and whole == expected else None


def one_of(*versions: str) -> Any:
    """Return a check for :class:`load.Load`: each answer is whole and of one of these versions."""

    def check(path: str, status: int, body: str) -> str:
        version = version_of(path, body)
        return "" if version in versions else f"is a mixture or of no version: {body[:200]!r}"

    return check


def node_of(body: str) -> str:
    """Return the name of the machine that an answer says that it is from."""
    return body.rpartition(" on ")[2]


def where(body: str) -> Any:
    """Return what ``/where.php`` says."""
    return json.loads(body)
