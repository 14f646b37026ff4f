"""Settings, debug mode and environment of a PHP service; and code and input that mean no good.

The steps share one service that stays manageable whatever they do.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2e import Nutshell, wait_for
from hosted import Hosted
from phpcode import probe, where

CANARY = "correct-horse-9f3a"
#: Says which of these PHP reads, and which programs do that it starts; and what else runs.
LOOK = r"""<?php
header('Content-Type: application/json');
$paths = ['/etc/conpaas/key.pem', '/etc/conpaas/agent.toml', '/etc/shadow', '/root', '/sys',
    '/var/lib/conpaas', '/var/log/conpaas', '/opt/conpaas/bin', '/srv/code', '/etc/hosts'];
$all = implode(' ', $paths);
$read = '{ ls $p/. || cat $p; } >/dev/null 2>&1 && echo $p';
$processes = '/proc/[0-9]*';
echo json_encode([
    'php' => array_values(array_filter($paths, fn($p) => @scandir($p) || @fopen($p, 'r'))),
    'programs' => explode("\n", trim(shell_exec("for p in $all; do $read; done"))),
    'processes' => explode("\n", trim(shell_exec("cat $processes/comm | sort -u"))),
    'keys' => shell_exec("cat $processes/root/etc/conpaas/* $processes/environ 2>/dev/null"),
]);
"""


@pytest.fixture(scope="module")
def site(nutshell: Nutshell, running: int, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """A service on one node."""
    hosted = Hosted(nutshell, running, tmp_path_factory.mktemp("code"))
    hosted.deploy(probe("one"))
    hosted.ok("start")
    return hosted


@pytest.fixture
def same(site: Hosted) -> Iterator[None]:
    """Whatever is tried: the version stays, and the service runs."""
    active = site.active
    yield
    assert site.active == active
    assert site.settle() == "RUNNING"
    assert site.text().startswith("php one part one file one on ")


def test_errors_are_shown_to_visitors_in_debug_mode_only(site: Hosted) -> None:
    status, body = site.get("/wrong.php")
    assert status == 500 and "there_is_no_such_function" not in body
    assert "Debug mode set to 'On'." in site.ok("debug on")
    assert "Call to undefined function there_is_no_such_function()" in site.get("/wrong.php")[1]
    assert "Debug mode set to 'Off'." in site.ok("debug off")
    assert "there_is_no_such_function" not in site.get("/wrong.php")[1]


def test_php_settings_are_what_the_code_sees(site: Hosted) -> None:
    site.ok("set_php_config --memory_limit 99M --upload_max_filesize 7M --post_max_size 8M")
    assert site.text("/ini.php?name=memory_limit") == "99M"
    assert site.text("/ini.php?name=upload_max_filesize") == "7M"
    site.ok("set_php_config --disable_functions exec,system")
    assert site.text("/ini.php?name=disable_functions") == "exec,system"
    assert site.text("/ini.php?name=memory_limit") == "99M"
    assert site.rows("get_php_config")["memory_limit"] == "99M"


def test_settings_that_make_no_sense_are_refused_and_nothing_changes(
    site: Hosted, same: None
) -> None:
    before = site.rows("get_php_config")
    for name, value in (
        ("memory_limit", "lots"),
        ("memory_limit", "64M\nauto_prepend_file=/etc/passwd"),
        ("max_execution_time", "-1"),
        ("disable_functions", "exec; system"),
        ("upload_max_filesize", "1000000G"),
        ("date_timezone", "Europe/Nowhere"),
    ):
        site.refused(["set_php_config", f"--{name}", value], name.replace("_", "-"))
    assert site.rows("get_php_config") == before


def test_the_code_sees_its_environment_and_nobody_sees_its_secrets(site: Hosted) -> None:
    site.ok(["set_env", "GREETING", "a 'b' \"c\" $d ü"])
    site.ok("set_env PASSWORD --secret", given=f"{CANARY}\n")
    environment = where(site.text("/where.php"))["environment"]
    assert environment["GREETING"] == "a 'b' \"c\" $d ü"
    assert environment["PASSWORD"] == CANARY
    shown = site.ok("list_env") + site.ok("get_history") + site.ok("get_log")
    assert "GREETING" in shown and "PASSWORD" in shown
    assert CANARY not in shown
    site.ok("unset_env GREETING")
    site.ok("unset_env PASSWORD")
    assert "GREETING" not in where(site.text("/where.php"))["environment"]


def test_the_code_sees_nothing_of_its_machines_own_business(site: Hosted, same: None) -> None:
    before = site.active
    site.deploy(probe("one", look__php=LOOK))
    told = json.loads(site.text("/look.php"))
    assert told["php"] == told["programs"] == ["/srv/code", "/etc/hosts"]
    assert "php-fpm8.2" in told["processes"]
    assert set(told["processes"]) <= {"cat", "php-fpm8.2", "sh", "sort"}
    assert "PRIVATE KEY" not in (told["keys"] or "")
    site.ok(f"enable_code {before}")


def test_the_code_sees_its_visitors_as_they_are(site: Hosted) -> None:
    server = where(site.text("/where.php"))["server"]
    assert server["HTTP_HOST"] == site.url.split("/")[2]
    assert server["REMOTE_ADDR"] not in ("127.0.0.1", server["SERVER_ADDR"])
    assert server["REQUEST_SCHEME"] == "http"


def test_pretty_addresses_lead_to_the_applications_index_unless_switched_off(
    site: Hosted,
) -> None:
    assert site.text("/no/such/page").startswith("php one")
    site.ok("set_web_config --permalinks off")
    assert site.get("/no/such/page")[0] == 404
    site.ok("set_web_config --permalinks on")
    assert site.text("/no/such/page").startswith("php one")


def test_what_visitors_do_is_measured(site: Hosted) -> None:
    for _ in range(30):
        site.text()

    def rows() -> list[dict[str, object]]:
        return [row for row in site.rows("get_metrics") if row["now"] not in (None, "", 0)]

    wait_for("figures of requests", lambda: any("equests" in str(r["chart"]) for r in rows()), 20)


# -- what means no good -------------------------------------------------------------------------


def test_commands_that_make_no_sense_are_refused(site: Hosted, same: None) -> None:
    nodes = site.nodes()
    for command, because in (
        ("enable_code code-none", "code-none"),
        ("enable_code ../../etc", ""),
        ("download_code -v code-none -o /dev/null", "code-none"),
        ("delete_code code-none", "code-none"),
        ("add_nodes --backend -1", "-1"),
        ("add_nodes --backend 0", ""),
        ("add_nodes --backend lots", "lots"),
        ("add_nodes --backend 1 --cloud nowhere", "there is no cloud 'nowhere'"),
        ("remove_nodes --backend 1", "the service has 0"),
        ("remove_nodes --proxy 1", "Not enough 'proxy' nodes will be left"),
        ("debug perhaps", "perhaps"),
    ):
        site.refused(command, because)
    assert site.nodes() == nodes


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return content.getvalue()


def test_archives_that_mean_harm_are_refused(site: Hosted, same: None, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    before = site.rows("list_codes")
    for content in (
        _member("../../etc/cron.d/evil"),
        _member("/etc/cron.d/evil"),
        _member("evil", tarfile.SYMTYPE, "/etc"),
        _member("evil", tarfile.LNKTYPE, "../../../etc/shadow"),
        _member("evil", tarfile.CHRTYPE),
        b"PK\x03\x04 no zip at all",
        b"\x1f\x8b no gzip at all",
        b"<?php echo 'not an archive';",
        b"",
    ):
        archive.write_bytes(content)
        site.refused(f"upload_code {archive}")
    assert site.rows("list_codes") == before


def test_an_archive_with_one_directory_offers_to_leave_it_out(
    site: Hosted, same: None, tmp_path: Path
) -> None:
    archive = tmp_path / "shop.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("shop/index.php")
        info.size = len(b"<?php echo 'stripped';")
        tar.addfile(info, io.BytesIO(b"<?php echo 'stripped';"))
    one = site.active
    assert "--strip" in site.ok(f"upload_code {archive}")
    version = site.rows(f"upload_code {archive} --strip")["codeVersionId"]
    site.ok(f"enable_code {version}")
    assert site.text() == "stripped"
    site.ok(f"enable_code {one}")


def test_enabling_while_nodes_are_added_is_refused_and_says_what_runs(
    site: Hosted, same: None
) -> None:
    version = site.upload(probe("two"))
    site.ok("add_nodes --backend 1 --no-wait")
    site.refused(f"enable_code {version}", "add_nodes")
    assert site.settle() == "RUNNING"
    site.ok("remove_nodes --backend 1")


def test_versions_that_are_broken_are_not_enabled(site: Hosted, same: None) -> None:
    site.ok("set_php_config --max_execution_time 3")
    for index, told in (
        ("<?php http_response_code(500); echo 'It is broken';", "It is broken"),
        ("<?php exit(1", "500"),
        ("<?php while (true) { }", "500"),
    ):
        version = site.upload(probe("two", index__php=index))
        site.refused(f"enable_code {version}", told)


def test_a_version_that_never_ends_its_answer_can_be_left(site: Hosted, same: None) -> None:
    one = site.active
    index = "<?php while (true) { echo str_repeat('x', 1000); }"
    site.nutshell.cps(site.line(f"enable_code {site.upload(probe('two', index__php=index))}"))
    site.ok(f"enable_code {one}")


@pytest.mark.long
def test_code_that_loops_for_ever_leaves_the_service_manageable(site: Hosted, same: None) -> None:
    site.ok("set_php_config --max_execution_time 2")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(site.get, "/loop.php") for _ in range(8)]
        time.sleep(0.5)
        assert site.text("/version.txt") == "one"
        assert len(site.nodes()) == 1
        site.ok("get_php_config")
        site.ok("set_php_config --max_execution_time 3")
        assert {one.result()[0] for one in asked} <= {500, 502, 503, 504}
    wait_for("its answer", lambda: site.get()[0] == 200, 30)


def test_code_that_fills_the_disk_leaves_the_service_manageable(site: Hosted) -> None:
    (node,) = site.nodes()
    init = site.nutshell.cloud.driver.instances.init(site.machine(node["agent_id"]).id)
    assert init is not None
    enter = ["nsenter", "--all", "--target", str(init.pid), "sh", "-ec"]
    # A disk of 12 MB for code, as a small one: the machine's own is that of whoever runs this.
    full = "mkdir -p /mnt/x; mount -t tmpfs -o size=12m none /mnt/x; cp -a /srv/code/. /mnt/x; "
    full += "chown --reference=/srv/code /mnt/x; chmod --reference=/srv/code /mnt/x; "
    full += "mount --bind /mnt/x /srv/code"
    subprocess.run([*enter, full], check=True)
    try:
        fill = "<?php echo @file_put_contents('big', str_repeat('x', 1 << 25)) ? 'all' : 'part';"
        site.deploy(probe("one", fill__php=fill))
        site.get("/fill.php")
        site.refused(f"enable_code {site.upload(probe('two'))}", "space")
        assert site.settle() == "RUNNING"
        assert site.text().startswith("php one")
        site.ok("set_php_config --memory_limit 64M")
        assert site.text("/ini.php?name=memory_limit") == "64M"
    finally:
        subprocess.run([*enter, "umount -l /srv/code; umount -l /mnt/x"], check=True)
    site.deploy(probe("one"))
