"""The settings of databases: refused, applied one database after the other, taken back."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas.kept_settings import from_store, to_store
from conpaas.state import State
from conpaas_mysql.charts import MEMORY_LIMIT
from conpaas_mysql.settings import MysqlConfig
from conpaas_mysql.theatre import Theatre


def server_settings(theatre: Theatre) -> list[dict[str, str]]:
    parts = [agent.database_part for agent in theatre.agents()]
    return [part.settings for part in parts if part]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("max_connections", 0, "10 to 10000 are allowed"),
        ("innodb_buffer_pool_size", "much", "write a number and K, M or G, as in 128M, or auto"),
        ("innodb_buffer_pool_size", "1M", "16M to 1024G are allowed"),
        ("character_set", "utf8mb5", "no character set.*utf8mb4"),
        ("single_writer", "maybe", "single_writer"),
        ("wait_timeout", 1, "10 to 2073600"),
        ("max_allowed_packet", "2G", "1M to 1G"),
        ("volume_size", 1, "256 to"),
        ("volume_size", 1 << 25, "a volume may have at most"),
        ("dump_limit", 0, "1 to"),
        ("suspect_after", 1, "2 to 60"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    theatre: Theatre, setting: str, value: Any, said: str
) -> None:
    with pytest.raises(InvalidError, match=said):
        theatre.user.set_mysql_config(**{setting: value})
    assert theatre.user.get_mysql_config() == MysqlConfig()


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("max_connections", (10, 10_000)),
        ("innodb_buffer_pool_size", ("16M", "1024G", "auto")),
        ("wait_timeout", (10, 2_073_600)),
        ("max_allowed_packet", ("1M", "1G")),
        ("dump_limit", (1, 1 << 30)),
        ("suspect_after", (2, 60)),
    ],
)
def test_the_least_and_the_most_are_allowed(
    theatre: Theatre, setting: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        theatre.run(theatre.user.set_mysql_config(**{setting: value}))
        assert getattr(theatre.user.get_mysql_config(), setting) == value


def test_a_volume_may_have_all_that_volumes_may_have(theatre: Theatre) -> None:
    most = theatre.host.volume_limit
    theatre.run(theatre.user.set_mysql_config(volume_size=most))
    assert theatre.user.get_mysql_config().volume_size == most
    with pytest.raises(InvalidError, match=f"at most {most} MB, not {most + 1}"):
        theatre.user.set_mysql_config(volume_size=most + 1)


def test_how_long_a_silent_database_is_waited_for_is_told_to_all(theatre: Theatre) -> None:
    theatre.start(mysql=2)
    theatre.run(theatre.user.set_mysql_config(suspect_after=15))
    for agent in theatre.agents():
        settings = agent.database_part.settings
        assert settings["evs.suspect_timeout"] == "PT15S"
        assert settings["evs.inactive_timeout"] == "PT45S"


def test_the_page_about_databases_tells_every_setting_and_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/run-a-database.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", page, re.MULTILINE)
    assert rows == [(name, str(value)) for name, value in asdict(MysqlConfig()).items()]


def test_more_memory_for_data_than_a_machine_has_is_refused_and_no_database_is_stopped(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    for name, memory in (("mysql-1", 2 << 30), ("mysql-2", 1 << 30)):
        stage.figures[theatre.address(name)] = {MEMORY_LIMIT: float(memory)}
    theatre.look()
    stage.events.clear()
    with pytest.raises(InvalidError, match=r"innodb_buffer_pool_size is 1G: .* has 1024 MB"):
        theatre.user.set_mysql_config(innodb_buffer_pool_size="1G")
    assert stage.events == []
    theatre.run(theatre.user.set_mysql_config(innodb_buffer_pool_size="1023M"))


def test_nothing_to_set_is_refused(theatre: Theatre) -> None:
    with pytest.raises(InvalidError, match="at least one setting"):
        theatre.user.set_mysql_config()


def test_settings_are_kept_before_a_start_and_the_defaults_are_not_noted() -> None:
    config = MysqlConfig().changed({"max_connections": 300, "innodb_buffer_pool_size": "512m"})
    assert to_store(config) == {"max_connections": 300, "innodb_buffer_pool_size": "512M"}
    assert from_store(MysqlConfig, to_store(config)) == config
    assert "innodb_buffer_pool_size" not in MysqlConfig().to_server()


def test_what_can_change_while_they_run_restarts_nobody(theatre: Theatre, stage: Any) -> None:
    theatre.start(mysql=2, glb=1)
    stage.events.clear()
    theatre.run(theatre.user.set_mysql_config(max_connections=300, single_writer="on"))
    assert {settings["max_connections"] for settings in server_settings(theatre)} == {"300"}
    assert [part.single_writer for _, part, _ in stage.balancers()] == [True]
    assert "stop_database" not in [what for _, what, _ in stage.events]


def test_what_needs_a_restart_is_applied_one_by_one_and_no_query_fails(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=3, glb=1)
    failed = []
    stage.events.clear()
    stage.before = lambda number: failed.append(number) if not theatre.write() else None
    theatre.run(theatre.user.set_mysql_config(innodb_buffer_pool_size="512M"))
    stage.before = lambda number: None
    assert failed == []
    told = [what for _, what, _ in stage.events if what in ("stop_database", "join_database")]
    assert told == ["stop_database", "join_database"] * 3
    assert {s["innodb_buffer_pool_size"] for s in server_settings(theatre)} == {"512M"}
    theatre.look()
    assert not [line for line in theatre.history() if "rejoined" in line]


def test_a_single_database_is_away_for_a_moment_and_that_is_said(theatre: Theatre) -> None:
    theatre.start()
    theatre.write()
    theatre.run(theatre.user.set_mysql_config(character_set="latin1"))
    assert "starting mysql-1 again; it is the only one: nobody answers" in theatre.told
    assert theatre.primary() == ["mysql-1"]
    assert theatre.write()
    assert not [line for line in theatre.history() if "no database took" in line]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_value_that_the_server_refuses_is_taken_back_on_all_while_the_others_answer(
    theatre: Theatre, stage: Any, count: int
) -> None:
    theatre.start(mysql=count, glb=int(count > 1))
    theatre.write()
    before = theatre.seen(), server_settings(theatre)
    stage.refused.add("512G")
    failed: list[int] = []
    stage.before = lambda number: failed.append(number) if not theatre.write() else None
    with pytest.raises(AgentError, match=r"node-\d+ \(.*\): .* 512G is refused"):
        theatre.run(theatre.user.set_mysql_config(innodb_buffer_pool_size="512G"))
    theatre.idle()
    stage.before = lambda number: None
    assert bool(failed) == (count == 1)
    assert (theatre.seen(), server_settings(theatre)) == before
    assert theatre.state is State.RUNNING
    assert theatre.user.get_mysql_config() == MysqlConfig()
    assert theatre.write()
    assert not theatre.host.manager.is_outdated()


def test_a_value_that_the_database_program_does_not_know_is_refused_before_anything_is_done(
    theatre: Theatre, stage: Any
) -> None:
    theatre.start(mysql=2)
    stage.unknown.add("koi8r")
    stage.events.clear()
    address = theatre.address("mysql-1")
    with pytest.raises(InvalidError, match=rf"mysql-1 \({address}\): the database refuses koi8r"):
        theatre.user.set_mysql_config(character_set="koi8r")
    assert stage.events == [] and theatre.state is State.RUNNING
    assert theatre.user.get_mysql_config() == MysqlConfig()
