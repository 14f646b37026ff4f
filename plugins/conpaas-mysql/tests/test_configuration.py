"""What a server is configured with, and what of it changes while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from conpaas_mysql.configuration import Configuration, Room, buffer_pool, configuration
from conpaas_mysql.directories import Directories
from conpaas_mysql.hosts import write_hosts
from conpaas_mysql.parts import DatabasePart, Member
from conpaas_mysql.secrets import new_secrets
from conpaas_mysql.testing import Databases

MB = 1 << 20
SECRETS = new_secrets("shop")
MEMBERS = (Member("mysql-1", "10.0.0.1"), Member("mysql-2", "10.0.0.2"))


def made(memory: int = 1024 * MB, disk: int = 4096 * MB, **settings: str) -> Configuration:
    """Return the configuration of the first of two members."""
    part = DatabasePart("shop", "mysql-1", MEMBERS, "data", settings, "rsync")
    directories = Directories(Path("/"), Path("/media/data"))
    return configuration(part, SECRETS, directories, "0.0.0.0", Room(memory, 4096 * MB, disk))


def test_members_that_share_a_machine_get_their_copies_at_ports_of_their_own() -> None:
    directories, room = (
        Directories(Path("/"), Path("/media/data")),
        Room(1 << 30, 1 << 32, 1 << 32),
    )
    ports = set()
    for member in MEMBERS:
        part = DatabasePart("shop", member.name, MEMBERS, "data", {}, "mariabackup")
        made = configuration(part, SECRETS, directories, "127.0.0.9", room)
        ports.add(made.server["wsrep_sst_receive_address"].rpartition(":")[2])
    assert len(ports) == len(MEMBERS)


def test_what_is_promised_is_configured() -> None:
    server = made().server
    assert server["innodb_flush_log_at_trx_commit"] == "1"
    assert server["wsrep_sync_wait"] == "1"
    assert server["wsrep_cluster_address"] == "gcomm://10.0.0.1,10.0.0.2"
    assert server["wsrep_node_address"] == "10.0.0.1"
    assert "wsrep-new-cluster" not in made().text


def test_the_memory_of_the_machine_is_shared_out() -> None:
    assert buffer_pool(256 * MB) == 32 * MB
    assert buffer_pool(1024 * MB) == 460 * MB
    assert made().server["innodb_buffer_pool_size"] == str(460 * MB)
    assert made(innodb_buffer_pool_size="auto").server["innodb_buffer_pool_size"] == str(460 * MB)
    assert made(innodb_buffer_pool_size="64M").server["innodb_buffer_pool_size"] == "64M"


def test_what_galera_keeps_for_others_fits_the_disk() -> None:
    assert f"gcache.size={204 * MB};" in made().server["wsrep_provider_options"]
    small = made(disk=256 * MB).server["wsrep_provider_options"]
    assert f"gcache.size={32 * MB};" in small
    chosen = made(**{"gcache.size": "1M", "evs.suspect_timeout": "PT9S"})
    assert "gcache.size=1M;" in chosen.server["wsrep_provider_options"]
    assert "evs.suspect_timeout=PT9S" in chosen.server["wsrep_provider_options"]
    assert "gcache.size" not in chosen.server


def test_a_file_is_read_as_it_was_written() -> None:
    written = made(max_connections="100")
    assert Configuration.parse(written.text) == written
    assert written.news(written) == []


def test_other_members_do_not_make_a_server_outdated() -> None:
    more = Configuration({"mysqld": {**made().server, "wsrep_cluster_address": "gcomm://x"}})
    assert more.news(made()) == []
    assert made(max_connections="7").news(made()) == ["max_connections"]


def test_settings_change_at_once_where_they_can(databases: Databases) -> None:
    (node,) = databases.grow()
    node.agent.configure_database(databases.part(node, [node]), databases.secrets)
    assert not node.agent.configure_database(databases.part(node, [node]), databases.secrets)
    databases.configure(max_connections="55", innodb_buffer_pool_size="64M")
    with node.sql() as connection:
        assert connection.variable("max_connections") == "55"
        assert connection.variable("innodb_buffer_pool_size") == str(64 * MB)
    assert not node.status().outdated
    databases.configure()
    with node.sql() as connection:
        assert connection.variable("max_connections") == "40"

    databases.configure(character_set_server="latin1", wait_timeout="99")
    with node.sql() as connection:
        assert connection.variable("character_set_server") == "latin1"
        assert connection.variable("wait_timeout") == "99"
    databases.configure()
    with node.sql() as connection:
        # Back to what they are without any word.
        assert connection.variable("character_set_server") == "utf8mb4"
        assert connection.variable("wait_timeout") == "28800"
    assert not node.status().outdated


def test_others_take_effect_at_the_next_start(databases: Databases) -> None:
    (node,) = databases.grow()
    databases.configure(innodb_ft_min_token_size="2")
    assert node.status().outdated
    node.start_agent()
    assert node.status().outdated
    node.stop()
    assert not node.status().outdated
    node.bootstrap()
    assert not node.status().outdated
    assert node.rows("SELECT @@innodb_ft_min_token_size") == [(2,)]
    # Somebody else's certificate, and another member: none needs a start.
    databases.machine()
    databases.configure()
    assert node.status().outdated  # the token size again
    databases.configure(innodb_ft_min_token_size="2")
    assert not node.status().outdated


def test_names_of_the_members_are_written_beside_those_that_are_there(tmp_path: Path) -> None:
    hosts = tmp_path / "etc/hosts"
    assert write_hosts(tmp_path, "mysql-1", MEMBERS)
    assert hosts.read_text().startswith("127.0.0.1 localhost\n")
    hosts.write_text("127.0.0.1 localhost\n10.9.9.9 mine\n")
    assert write_hosts(tmp_path, "mysql-1", MEMBERS)
    assert not write_hosts(tmp_path, "mysql-1", MEMBERS)
    hosts.write_text(hosts.read_text() + "10.9.9.8 later\n")
    assert write_hosts(tmp_path, "mysql-1", MEMBERS[:1])
    lines = hosts.read_text().splitlines()
    assert lines[:3] == ["127.0.0.1 localhost", "10.9.9.9 mine", "10.9.9.8 later"]
    named = [line for line in lines if line.startswith("10.0.0.")]
    assert len(named) == 1 and named[0].startswith("10.0.0.1 mysql-1 ")


@pytest.mark.parametrize("text", ["", "127.0.0.1 localhost\n# the database cluster: begin\n"])
def test_a_file_that_was_cut_off_is_mended(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text(text)
    assert write_hosts(tmp_path, "mysql-2", MEMBERS)
    assert "10.0.0.1 mysql-1\n" in (tmp_path / "etc/hosts").read_text()
