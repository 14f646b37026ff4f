"""PHP on a node: its settings, its errors, its figures, and what it writes."""

from __future__ import annotations

import pytest

from conpaas.errors import InvalidError
from conpaas_php.testing import FILES, Node, Site, eventually


@pytest.fixture(scope="module")
def whole(site: Site) -> Node:
    """A machine that does everything."""
    return site.whole(FILES)


def test_settings_reach_php(site: Site, whole: Node) -> None:
    settings = {
        "memory_limit": "77M",
        "disable_functions": "exec,phpinfo",
        "date.timezone": "Europe/Amsterdam",
        "display_errors": "On",
        "error_reporting": "32767",
    }
    try:
        assert whole.agent.run_backend(site.backend_part(whole, settings=settings))
        assert whole.ask("/ini.php?name=memory_limit").text == "77M"
        assert whole.ask("/ini.php?name=date.timezone").text == "Europe/Amsterdam"
        error = whole.ask("/error.php")
        assert "undefined_function" in error.text
    finally:
        whole.agent.run_backend(site.backend_part(whole))
    assert whole.ask("/ini.php?name=memory_limit").text == "128M"
    error = whole.ask("/error.php")
    assert (error.status, error.body) == (500, b"")


def test_errors_of_the_code_are_logged_where_users_find_them(whole: Node) -> None:
    whole.ask("/error.php")
    whole.ask("/missing.php")
    assert "undefined_function" in whole.agent.get_log("php-errors.log")
    names = {entry.filename for entry in whole.agent.list_logs()}
    assert {"access.log", "web-access.log", "php-errors.log", "php-fpm.log"} <= names
    eventually(lambda: "/error.php" in whole.agent.get_log("access.log"))


def test_figures_are_told(whole: Node) -> None:
    whole.ask("/hello.php")
    eventually(lambda: whole.figure("conpaas_http_requests_total", code="2xx"))
    assert whole.figure("conpaas_php_workers", state="active") == 0
    assert (whole.figure("conpaas_php_workers", state="idle") or 0) >= 1
    assert (whole.figure("conpaas_php_requests_total") or 0) >= 1
    assert whole.figure("conpaas_php_listen_queue") == 0
    assert whole.figure("conpaas_http_connections", state="writing") == 1  # who asks
    assert whole.figure("conpaas_http_request_duration_seconds_bucket", le="+Inf")


def test_a_part_of_bad_directories_is_refused(whole: Node) -> None:
    for bad in ("../x", "/etc", "a/../../b", "", ".", "a\n"):
        with pytest.raises(InvalidError, match="cannot be kept"):
            whole.agent.keep_directories((bad,))
    with pytest.raises(InvalidError, match="lies in"):
        whole.agent.keep_directories(("data", "data/media"))
