"""What the code finds in its environment and its settings is what was said, byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conpaas.errors import InvalidError
from conpaas_php.ini import quoted
from conpaas_php.testing import Node, Site

ODD = (
    "$HOME", "${HOME}", "$", "$$pool", "a\"b'c", "''\"\"", "a\\", "\\'", "\\\"", "a\nb\r\n",
    " lead", "trail ", "", "null", "true", "off", "1|2", "a=b;c", "#x", "%d%%", "[global]",
    "äöü €", "`id`",
    "\x01\x7f", "$pool", "!~^&", "(x)", "\t",
)  # fmt: skip
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))
# A batch is one reload of PHP-FPM: many values at once.
BATCHES = st.lists(TEXTS, min_size=20, max_size=60)


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    return site.whole(
        {"env.php": "<?php foreach (getenv() as $k => $v) $e[$k] = base64_encode($v);"
         " foreach ($_GET['ini'] ?? [] as $k) $i[$k] = base64_encode(ini_get($k));"
         " echo json_encode(['env' => $e, 'ini' => $i ?? []]);"}
    )  # fmt: skip


def seen(node: Node) -> dict[str, str]:
    import base64

    found = json.loads(node.ask("/env.php").text)["env"]
    return {name: base64.b64decode(value).decode() for name, value in found.items()}


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@example(list(ODD))
@given(BATCHES)
def test_values_arrive_as_they_are(site: Site, whole: Node, values: list[str]) -> None:
    wanted = {f"VALUE_{number}": value for number, value in enumerate(values)}
    whole.agent.run_backend(site.backend_part(whole, environment=wanted))
    found = seen(whole)
    assert {name: found[name] for name in wanted} == wanted


def test_the_code_sees_its_own_values_and_no_others(site: Site, whole: Node) -> None:
    dangerous = {"LD_PRELOAD": "/nowhere.so", "PATH": "/mine", "PHPRC": "/x", "FPM_SOCKETS": "a=1"}
    whole.agent.run_backend(site.backend_part(whole, environment=dangerous | {"HTTP_PROXY_": "p"}))
    found = seen(whole)
    assert dangerous.items() <= found.items()
    assert not [name for name in found if name.startswith("CONPAAS_VALUE")]
    assert "/nowhere.so" not in whole.supervisor.tail("php-fpm")  # root's process took no notice
    whole.agent.run_backend(site.backend_part(whole))
    assert not dangerous.keys() & seen(whole).keys() - {"PATH"}


def test_secrets_are_for_root_only(site: Site, whole: Node) -> None:
    secret = "se-cr-et-value"
    whole.agent.run_backend(site.backend_part(whole, environment={"SECRET": secret}))
    assert seen(whole)["SECRET"] == secret
    for path in (whole.root / "etc", whole.root / "run", whole.root / "var"):
        for file in path.rglob("*"):
            if file.is_file() and secret.encode() in file.read_bytes():
                assert file.stat().st_mode & 0o077 == 0, file
    command = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=True)
    assert secret.encode() not in command.stdout


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@example(list(ODD))
@given(BATCHES)
def test_quoting_is_what_the_parser_of_php_takes(values: list[str]) -> None:
    # parse_ini_file of INI_SCANNER_NORMAL is what PHP-FPM reads its configuration with.
    lines = [f"v{number} = {quoted(value)}" for number, value in enumerate(values)]
    code = (
        "echo json_encode(array_map('base64_encode', parse_ini_string("
        "stream_get_contents(STDIN), false, INI_SCANNER_NORMAL)));"
    )
    php = shutil.which("php8.2")
    assert php is not None
    done = subprocess.run(
        [php, "-n", "-r", code], input="\n".join(lines).encode(), capture_output=True, check=True
    )
    import base64

    found = json.loads(done.stdout)
    assert [base64.b64decode(found[f"v{n}"]).decode() for n in range(len(values))] == values


def test_a_nul_is_refused() -> None:
    with pytest.raises(InvalidError, match="NUL"):
        quoted("a\0b")


def test_workers_fit_into_the_memory() -> None:
    from conpaas_php.memory import workers_that_fit

    megabyte = 1 << 20
    assert workers_that_fit(shared=False, memory=256 * megabyte) == 4
    assert workers_that_fit(shared=False, memory=1024 * megabyte) == 18
    assert workers_that_fit(shared=True, memory=1024 * megabyte) == 9
    assert workers_that_fit(shared=False, memory=64 << 30) == 32
    assert Path("/proc/meminfo").exists()
    assert 4 <= workers_that_fit(shared=True) <= 32
