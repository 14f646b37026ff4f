"""Settings of PHP: what is taken, what is refused, and what PHP is told."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from conpaas.errors import InvalidError
from conpaas.kept_settings import from_store, to_store
from conpaas.rpc import arguments_from_json, operations
from conpaas_php.default_code import default_code
from conpaas_php.manager import PhpManager
from conpaas_php.settings import PhpConfig, size_in_bytes

SET = operations(PhpManager)["set_php_config"]


def changed(**given: Any) -> PhpConfig:
    """Return the defaults with what was given, checked as it comes in."""
    return PhpConfig().changed(arguments_from_json(SET, given))


def test_defaults_are_those_that_users_know() -> None:
    told = PhpConfig().to_php()
    functions = told.pop("disable_functions").split(",")
    assert told == {
        "memory_limit": "128M",
        "upload_max_filesize": "2M",
        "post_max_size": "8M",
        "max_execution_time": "30",
        "display_errors": "Off",
        "log_errors": "On",
        "date.timezone": "UTC",
        "open_basedir": "",
    }
    assert {"pcntl_fork", "pcntl_exec", "pcntl_alarm"} < set(functions)


def test_what_is_set_is_told_to_php_by_its_names() -> None:
    config = changed(
        memory_limit="256m",
        max_execution_time=5,
        log_errors="off",
        date_timezone="Europe/Amsterdam",
        disable_functions="exec, system ,exec",
    )
    told = config.to_php()
    assert (told["memory_limit"], told["max_execution_time"]) == ("256M", "5")
    assert (told["log_errors"], told["date.timezone"]) == ("Off", "Europe/Amsterdam")
    assert told["disable_functions"] == "exec,system"
    assert changed(disable_functions="").to_php()["disable_functions"] == ""
    assert "open_basedir" not in changed(open_basedir="on").to_php()
    assert changed(open_basedir="off").to_php()["open_basedir"] == ""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "at least one setting"),
        ({"memory_limit": "lots"}, "memory_limit is 'lots': write a number and K, M or G"),
        ({"memory_limit": "128M\n"}, "write a number"),
        ({"memory_limit": "128M\nauto_prepend_file = /etc/passwd"}, "write a number"),
        ({"memory_limit": "-1"}, "write a number"),
        ({"memory_limit": "1K"}, "8M to 16G are allowed"),
        ({"memory_limit": "99999999999G"}, "8M to 16G are allowed"),
        ({"memory_limit": "\u0661\u0662\u0668M"}, "write a number"),
        ({"memory_limit": ""}, "write a number"),
        ({"post_max_size": "0"}, "write a number"),
        ({"post_max_size": "3G"}, "1K to 2G are allowed"),
        ({"upload_max_filesize": "1.5M"}, "write a number"),
        ({"upload_max_filesize": "64M"}, r"more than post_max_size \(8M\).*--post_max_size 64M"),
        ({"post_max_size": "1M"}, r"upload_max_filesize \(2M\) is more than post_max_size \(1M\)"),
        ({"max_execution_time": 0}, "1 to 3600 are allowed"),
        ({"max_execution_time": 3601}, "1 to 3600 are allowed"),
        ({"max_execution_time": "30"}, "int"),
        ({"display_errors": "On\nx"}, "display_errors"),
        ({"display_errors": "yes"}, "display_errors"),
        ({"log_errors": True}, "log_errors"),
        ({"disable_functions": "exec;system"}, "no name of a function"),
        ({"disable_functions": "exec\n"}, "no name of a function"),
        ({"disable_functions": ",".join(f"f{n}" for n in range(501))}, "at most 500"),
        ({"date_timezone": "Mars/Olympus"}, "no time zone"),
        ({"date_timezone": "Europe/Amsterdan"}, "Europe/Amsterdam"),
        ({"date_timezone": "../../etc/passwd"}, "no time zone"),
        ({"date_timezone": "UTC\n"}, "no time zone"),
        ({"open_basedir": "/"}, "open_basedir"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        changed(**given)


def test_two_sizes_may_rise_together() -> None:
    config = changed(upload_max_filesize="64M", post_max_size="65M")
    assert size_in_bytes(config.post_max_size) == 65 << 20


def test_a_store_keeps_what_differs_from_the_defaults() -> None:
    config = changed(memory_limit="1G", display_errors="on")
    assert to_store(config) == {"memory_limit": "1G", "display_errors": "on"}
    assert from_store(PhpConfig, to_store(config)) == config
    assert from_store(PhpConfig, {"gone": "x"}) == PhpConfig()


def test_the_first_code_is_a_page_at_the_top_and_always_the_same() -> None:
    with tarfile.open(fileobj=io.BytesIO(default_code())) as archive:
        assert archive.getnames() == ["index.php"]
        page = archive.extractfile("index.php")
        assert page is not None
        assert b"Welcome to ConPaaS!" in page.read()
    assert default_code() == default_code()
