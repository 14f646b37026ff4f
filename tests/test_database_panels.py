"""The panels of a database: where it is, how its nodes are doing, settings, dumps."""

import pytest
from hosting import hosting_plugins
from looking import logged_in

from conpaas.testing.cluster import Cluster
from conpaas_mysql.rehearsal import Stage

PATH = "/applications/1/services/1"


@pytest.fixture
def stage():
    """What the databases do."""
    return Stage()


@pytest.fixture
def cluster(stage):
    """A cluster with databases that are rehearsed."""
    with Cluster(hosting_plugins(stage)) as made:
        yield made


@pytest.fixture
def browser(cluster):
    """A browser whose user is logged in."""
    return logged_in(cluster)


@pytest.fixture
def manager(cluster):
    """The manager of a MySQL service that does not run yet."""
    return cluster.service("mysql", cluster.application("shop"))


@pytest.fixture
def running(cluster, manager):
    """The manager of one that runs."""
    cluster.run(manager.start())
    return manager


def copied(page):
    return [button.get("data-copy") for button in page.all("button")]


# -- where it is --------------------------------------------------------------------------


def test_host_port_user_and_the_clients_command_can_be_copied(browser, running):
    address = running.get_address()
    page = browser.get(PATH)
    for text in (
        address.host,
        "3306",
        "mysqldb",
        f"mysql -h {address.host} -P 3306 -u mysqldb -p",
    ):
        assert text in copied(page)
    assert page.text.count("Access") == 1, "that of web services is not shown"


def test_with_a_balancer_the_access_is_the_balancers_and_the_others_are_told(
    browser, cluster, running
):
    cluster.run(running.add_nodes(nodes={"glb": 2}))
    nodes = {n.role: n.ip for n in reversed(running.list_nodes())}
    page = browser.get(PATH)
    assert f"mysql -h {nodes['glb']} -P 3306 -u mysqldb -p" in copied(page)
    assert running.get_address().others[0] in copied(page)
    assert "These answer too" in page.text


def test_a_service_that_does_not_run_says_when_it_gets_an_address(browser, cluster, manager):
    page = browser.get(PATH)
    assert "gets its address when the service starts" in page.text
    assert "Performance monitor" not in page.text
    cluster.run(manager.start())
    cluster.run(manager.stop())
    assert "Its data is kept meanwhile" in browser.get(PATH).text


# -- how its nodes are doing ----------------------------------------------------------------


def test_each_node_is_a_row_and_what_is_abnormal_is_marked_in_words_too(
    browser, cluster, running, stage
):
    cluster.run(running.add_nodes(nodes={"mysql": 1, "glb": 1}))
    first, second = [n.ip for n in running.list_nodes() if n.role == "mysql"]
    stage.figures[first] = {"conpaas_mysql_connections": 37.0}
    stage.figures[second] = {"conpaas_galera_receive_queue": 20.0}
    for _ in range(3):
        cluster.sample(5.0)
    page = browser.get(PATH)
    assert "Performance monitor" in page.text
    assert "synced" in page.text and "balancing" in page.text and "37" in page.text
    assert "it lags behind the others: 20 writes waiting, above 8" in page.text
    assert "20.0 (abnormal)" in page.text or "20 (abnormal)" in page.text


def test_when_nothing_is_abnormal_that_is_said(browser, cluster, running, monkeypatch):
    monkeypatch.setattr("conpaas_mysql.performance.MOST_CPU", 1e9)
    monkeypatch.setattr("conpaas_mysql.performance.MOST_MEMORY", 101.0)
    monkeypatch.setattr("conpaas_mysql.performance.MOST_DISK", 101.0)
    cluster.sample(5.0)
    cluster.sample(5.0)
    assert "Nothing is abnormal." in browser.get(PATH).text


def test_before_the_first_figures_no_zero_is_shown(browser, running):
    page = browser.get(PATH)
    assert "no figures (abnormal)" in page.text


# -- settings -------------------------------------------------------------------------------


def test_settings_are_shown_and_changed(browser, cluster, running):
    page = browser.get(PATH)
    assert page.field("max_connections")["value"] == "151"
    sent = {"max_connections": "300", "single_writer": "on", "back": PATH}
    answer = browser.post(f"{PATH}/operations/set_mysql_config", sent)
    cluster.wait(lambda: "done" in browser.get(answer.location).text)
    assert running.get_mysql_config().max_connections == 300
    assert running.get_mysql_config().single_writer == "on"


def test_a_setting_that_cannot_be_is_told_at_its_field(browser, running):
    sent = {"max_connections": "3", "innodb_buffer_pool_size": "lots"}
    page = browser.post(f"{PATH}/operations/set_mysql_config", sent)
    assert page.status == 400
    assert page.field("max_connections")["value"] == "3"
    assert "is 3: 10 to 10000 are allowed" in page.text
    assert "is 'lots': write a number and K, M or G" in page.text


# -- when nobody answers ----------------------------------------------------------------------


def test_without_its_manager_the_page_says_so_and_shows_no_panel(browser, cluster, running):
    machine = next(m for m in cluster.machines.values() if m.manager is not None)
    cluster.cut(machine)
    page = browser.get(PATH)
    assert page.status == 200 and "The manager does not answer" in page.text
    assert "Performance monitor" not in page.text and "Database settings" not in page.text


def test_what_is_said_of_nodes_and_typed_into_settings_is_text_and_no_html(
    browser, cluster, running, monkeypatch
):
    evil = "<script>alert(1)</script>"
    monkeypatch.setattr("conpaas_mysql.performance._STATES", {4: evil})
    cluster.sample(5.0)
    page = browser.get(PATH)
    assert evil in page.text and evil.encode() not in page.content
    sent = {"innodb_buffer_pool_size": evil, "back": PATH}
    page = browser.post(f"{PATH}/operations/set_mysql_config", sent)
    assert page.field("innodb_buffer_pool_size")["value"] == evil
    assert evil.encode() not in page.content


# -- the password and dumps -----------------------------------------------------------------


def test_a_new_password_is_typed_twice_and_shown_nowhere(browser, running):
    page = browser.get(PATH)
    assert "set one before you connect" in page.text
    assert {f["type"] for f in page.all("input") if "password" in f.get("name", "")} == {
        "password"
    }
    sent = {"password": "a new secret", "password.again": "another one", "back": PATH}
    page = browser.post(f"{PATH}/operations/set_password", sent)
    assert page.status == 400 and "the two are not the same" in page.text
    assert b"a new secret" not in page.content
    sent["password.again"] = "a new secret"
    answer = browser.post(f"{PATH}/operations/set_password", sent)
    assert answer.location == PATH
    assert "MySQL password successfully updated for user 'mysqldb'." in browser.get(PATH).text


def test_a_password_against_the_rule_is_told_at_its_field(browser, running):
    sent = {"password": "x", "password.again": "x", "back": PATH}
    page = browser.post(f"{PATH}/operations/set_password", sent)
    assert page.status == 400 and "too short" in page.text
    assert page.field("password")["aria-invalid"] == "true"


def test_a_dump_is_loaded_after_it_was_said_what_that_does_and_downloaded(
    browser, cluster, running
):
    page = browser.get(PATH)
    assert "of up to 4,096 MB" in page.text and "takes the place of" in page.text
    (link,) = [a["href"] for a in page.all("a") if a.get("href", "").endswith("operations/dump")]
    here = f"{PATH}/operations/load_dump"
    dump = b"CREATE DATABASE shop;\n"
    answer = browser.upload(here, {"confirmed": "yes"}, "filename", "shop.sql", dump)
    cluster.wait(lambda: "loaded successfully" in browser.get(answer.location).text)
    assert browser.get(link).content == dump


def test_who_removes_a_service_is_offered_a_dump_first(browser, manager, cluster):
    offered = f"{PATH}/operations/dump"
    asked = f"{PATH}/operations/remove"
    assert offered not in browser.get(asked).links
    cluster.run(manager.start())
    page = browser.get(asked)
    assert "all its data are lost" in page.text
    assert offered in page.links
    assert browser.get(offered).status == 200


def test_only_volumes_that_may_be_are_offered_for_backups_and_those_with_data_cannot_be_detached(
    browser, cluster, running
):
    cluster.run(running.create_volume(vol_name="shelf", vol_size=300, agent_id="node-2"))
    page = browser.get(PATH)
    offered = {one.get("value") for one in page.all("option")}
    assert {"manager", "shelf"} <= offered
    assert "mysql-1-1" not in offered
    assert len(page.all("form", action=f"{PATH}/operations/detach_volume")) == 1
    assert "Detach shelf" in page.text
    assert "Delete… shelf" in page.text
    assert "Grow… mysql-1-1" in page.text
    assert "Delete… mysql-1-1" not in page.text


def test_while_a_service_does_not_run_its_dumps_say_so(browser, manager):
    page = browser.get(PATH)
    assert "there is nothing to download" in page.text
    assert "can be loaded while the service is RUNNING" in page.text
