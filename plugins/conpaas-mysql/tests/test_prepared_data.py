"""First data that came with the image: they are copied, where they fit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pymysql
import pytest

from conpaas_mysql.directories import Directories
from conpaas_mysql.prepared import image_script
from conpaas_mysql.testing import Databases, Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="images are made by root")


def prepare(node: Node) -> Path:
    """Make what the node's image would have, with a file by which copies are known."""
    subprocess.run(["/bin/sh", "-eu"], input=image_script(node.root), text=True, check=True)
    prepared = Directories(node.root, node.volume).prepared
    (prepared / "data/witness").touch()
    return prepared


def is_copy(node: Node) -> bool:
    return (node.volume / "data/witness").exists()


def accounts_of(node: Node) -> list[tuple[object, ...]]:
    """Return all accounts and rights, but for the passwords that each cluster has of its own."""
    return [
        *node.rows("SELECT User, Host, JSON_REMOVE(Priv, '$.authentication_string', "
                   "'$.password_last_changed') FROM mysql.global_priv ORDER BY 1, 2"),
        *node.rows("SELECT User, Host, Db, Grant_priv, Select_priv FROM mysql.db ORDER BY 1, 2"),
        *node.rows("SHOW DATABASES"),
        *node.rows("SHOW CREATE DATABASE mysql"),
        *node.rows("SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2"),
    ]  # fmt: skip


def test_a_new_database_is_a_copy_that_is_like_one_made_on_the_spot(databases: Databases) -> None:
    node, other = databases.machine(), Databases(databases.directory)
    prepared = prepare(node)
    assert not {"grastate.dat", "gvwstate.dat"} & {p.name for p in (prepared / "data").iterdir()}
    databases.configure()
    node.create()
    assert node.status().ready and is_copy(node)
    try:
        (made,) = other.grow()
        assert not is_copy(made)
        assert accounts_of(node) == accounts_of(made)
    finally:
        other.close()


def test_a_copy_belongs_to_the_server_and_the_original_to_root_alone(databases: Databases) -> None:
    node = databases.machine()
    prepared = prepare(node)
    databases.configure()
    node.create()
    assert (node.volume / "data").owner() == (node.volume / "data/ibdata1").owner() == "mysql"
    assert prepared.owner() == "root" and prepared.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in prepared.iterdir()) == ["data", "made", "server"]


@pytest.mark.parametrize("name", ["made", "server"])
@pytest.mark.parametrize("content", ["another\n", None])
def test_what_another_server_or_version_has_made_is_not_taken(
    databases: Databases, name: str, content: str | None
) -> None:
    node = databases.machine()
    file = prepare(node) / name
    file.unlink()
    if content is not None:
        file.write_text(content)
    databases.configure()
    node.create()
    assert node.status().ready and not is_copy(node)


@pytest.mark.parametrize("with_image", [True, False])
def test_no_password_lets_the_user_in_before_there_is_one(
    databases: Databases, with_image: bool
) -> None:
    node = databases.machine()
    if with_image:
        prepare(node)
    databases.configure()
    node.create()
    for password in ("", "invalid", "mysqldb"):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(
                host=node.address, user="mysqldb", password=password, ssl_disabled=True
            )


def test_half_a_copy_is_begun_anew(databases: Databases) -> None:
    node = databases.machine()
    prepare(node)
    databases.configure()
    half = node.volume / "data.new"
    (half / "mysql").mkdir(parents=True)
    (half / "mysql/left").write_bytes(b"half")
    node.create()
    assert node.status().ready and is_copy(node) and not half.exists()
    assert not (node.volume / "data/mysql/left").exists()


def test_data_that_cannot_be_copied_leave_nothing_and_say_why(databases: Databases) -> None:
    node = databases.machine()
    prepared = prepare(node)
    (prepared / "data").rename(prepared / "gone")
    databases.configure()
    with pytest.raises(Exception, match=r"no database can be set up: .*No such file"):
        node.create()
    assert not node.status().has_data and not (node.volume / "data.new").exists()
    (prepared / "gone").rename(prepared / "data")
    node.create()
    assert node.status().ready
