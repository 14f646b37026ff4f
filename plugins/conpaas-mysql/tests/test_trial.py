"""Settings with which a server does not start: real ones find out, and nobody else is troubled."""

from __future__ import annotations

import pytest

from conpaas.errors import AgentError, InvalidError
from conpaas_mysql import trial
from conpaas_mysql.settings import CHARACTER_SETS, MysqlConfig
from conpaas_mysql.testing import Databases, Node, eventually

TOO_MUCH = "1048576G"  #: the machine has not so much address space


def restarted_with(databases: Databases, node: Node, **settings: str) -> str:
    """Stop a member, and have it join with settings that it refuses; return what it says."""
    databases.configure(**settings)
    node.stop()
    with pytest.raises(AgentError) as refused:
        node.join()
    return str(refused.value)


def test_a_member_that_cannot_open_its_data_with_new_settings_leaves_the_others_in_peace(
    databases: Databases,
) -> None:
    first, second = databases.grow(2)
    first.rows("CREATE DATABASE shop")
    log, own = (node.supervisor.log_file("mariadb") for node in (first, second))
    length = log.stat().st_size
    told = restarted_with(databases, second, innodb_buffer_pool_size=TOO_MUCH)
    assert told.startswith(
        f"the database does not start with innodb_buffer_pool_size = {TOO_MUCH}: "
    )
    assert "innodb_buffer_pool_size" in told.partition("[ERROR]")[2]

    # It has left in order and was not seen again: who is there is the whole cluster.
    assert first.status().ready and first.status().members == ("mysql-1",)
    assert "NON_PRIM" not in log.read_bytes()[length:].decode()
    assert own.read_text().count("Starting MariaDB") == 1
    second.start_agent()
    assert not second.status().is_running, "nor is it started by itself"

    # It comes back with what it ran with, and gets only what it lacks.
    length = log.stat().st_size
    databases.configure()
    second.join()
    eventually(lambda: first.status().members == ("mysql-1", "mysql-2"))
    assert second.rows("SHOW DATABASES LIKE 'shop'") == [("shop",)]
    assert "--bypass" in log.read_bytes()[length:].decode()


def test_what_is_found_out_only_when_it_joins_ends_it_too_and_names_the_setting(
    databases: Databases,
) -> None:
    first, second = databases.grow(2)
    told = restarted_with(databases, second, **{"evs.suspect_timeout": "PT0S"})
    assert "does not start with evs.suspect_timeout = PT0S: " in told
    says_why = "parameter 'evs.suspect_timeout' value P" in told and "out of range" in told
    # Galera sometimes stumbles over another thing on the way to saying it.
    assert says_why or "Failed to read thread schedparams" in told
    assert first.status().ready and not second.status().is_running
    databases.configure()
    second.join()


def test_one_alone_says_so_at_once_and_takes_queries_again_with_what_it_had(
    databases: Databases,
) -> None:
    (node,) = databases.grow()
    databases.configure(innodb_buffer_pool_size=TOO_MUCH)
    node.stop()
    with pytest.raises(AgentError, match=f"innodb_buffer_pool_size = {TOO_MUCH}: .*ERROR"):
        node.bootstrap()
    assert not node.status().is_running
    databases.configure()
    node.bootstrap()
    assert node.status().ready


def test_the_program_takes_all_settings_that_users_may_make() -> None:
    for name in CHARACTER_SETS:
        trial.check_options(MysqlConfig(character_set=name).to_server())
    for config in (
        MysqlConfig(max_connections=10_000, wait_timeout=2_073_600, max_allowed_packet="1G"),
        MysqlConfig(max_connections=10, wait_timeout=10, max_allowed_packet="1M"),
        MysqlConfig(innodb_buffer_pool_size="1024G"),
    ):
        trial.check_options(config.to_server())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"wait_timeout": "soon"}, "refuses wait_timeout = soon: .*setting value 'soon'"),
        ({"character_set_server": "utf9"}, "refuses character_set_server = utf9: .*'utf9' is not"),
        ({"max_connections": "10", "frobnicate": "1"}, "refuses frobnicate = 1: .*unknown vari"),
    ],
)
def test_an_option_that_the_program_refuses_is_told_in_its_own_words(
    options: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidError, match=f"the database {told}"):
        trial.check_options(options)


def test_the_last_error_about_the_setting_is_the_cause_or_else_the_first_of_the_last_start() -> (
    None
):
    log = "\n".join(
        [
            "1 [ERROR] InnoDB: an old one about max_connections",
            "2 [Note] Starting MariaDB 10",
            "2 [ERROR] Out of memory",
            "2 [ERROR] InnoDB: innodb_buffer_pool_size is too much",
            "2 [ERROR] Aborting",
            "3 [Note] Starting MariaDB 10",
            "3 [Note] InnoDB",
        ]
    )
    settings = {"innodb_buffer_pool_size": "9G"}
    assert trial.cause(log, settings) == "2 [ERROR] InnoDB: innodb_buffer_pool_size is too much"
    assert trial.cause(log, {"wsrep_sync_wait": "1"}) == "2 [ERROR] Out of memory"
    assert trial.cause("", settings) == "it said nothing"
