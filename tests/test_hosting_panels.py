"""The panels of services that host web applications: where it is, PHP, how it is served."""

import io

import pytest
from hosting import hosting_plugins
from looking import logged_in

from conpaas.features.code.packing import packed
from conpaas.rpc import Upload
from conpaas.testing.cluster import Cluster


@pytest.fixture
def cluster():
    """A cluster with a PHP service that serves nothing."""
    with Cluster(hosting_plugins()) as made:
        yield made


@pytest.fixture
def browser(cluster):
    """A browser whose user is logged in."""
    return logged_in(cluster)


@pytest.fixture
def manager(cluster):
    """The manager of a PHP service that does not run yet."""
    return cluster.service("php", cluster.application("shop"))


@pytest.fixture
def running(cluster, manager):
    """The manager of one that runs."""
    cluster.run(manager.start())
    return manager


PATH = "/applications/1/services/1"


def archive(*names, **texts):
    """Return an archive of empty files, and of files with texts."""
    return packed({**dict.fromkeys(names, ""), **texts}, form="w:gz")


# -- where it is --------------------------------------------------------------------------


def test_the_address_is_a_link_to_a_new_tab_and_can_be_copied(browser, running):
    url = running.get_address().url
    page = browser.get(PATH)
    (link,) = [a for a in page.all("a") if a.get("href") == url]
    assert link["target"] == "_blank" and link["rel"] == "noopener"
    assert url in [a.get("data-copy") for a in page.all("button")]
    assert "Valid until the service is stopped" in page.text
    assert "other proxies" not in page.text


def test_the_addresses_of_other_proxies_are_told(browser, cluster, running):
    cluster.run(running.add_nodes(nodes={"backend": 1, "web": 1, "proxy": 1}))
    other = running.get_address().others[0]
    page = browser.get(PATH)
    assert other in [a.get("data-copy") for a in page.all("button")]


def test_a_service_that_does_not_run_has_no_address_and_says_when_it_gets_one(browser, manager):
    page = browser.get(PATH)
    assert "gets its address when the service starts" in page.text
    assert not page.all("a", target="_blank")


# -- its nodes ----------------------------------------------------------------------------


def test_a_node_shows_all_roles_that_it_plays_and_scaling_counts_those_of_their_own(
    browser, cluster, running
):
    page = browser.get(PATH)
    assert "proxy , web , backend" in page.text
    counts = {role: page.field(f"count.{role}")["value"] for role in ("backend", "web", "proxy")}
    assert counts == {"backend": "0", "web": "0", "proxy": "1"}
    assert "For now on the proxy" in page.text
    cluster.run(running.add_nodes(nodes={"backend": 2}))
    page = browser.get(PATH)
    assert page.field("count.backend")["value"] == "2"
    assert "proxy , web" in page.text and "web , backend" not in page.text


def test_a_second_proxy_is_refused_in_words_before_apply(browser, running):
    page = browser.get(f"{PATH}/scale?count.proxy=2")
    assert "without at least one stand-alone 'web' node" in page.text
    fine = browser.get(f"{PATH}/scale?count.proxy=2&count.web=1&count.backend=1")
    assert "Web moves from" in fine.text and "3 credits an hour more" in fine.text


# -- PHP ----------------------------------------------------------------------------------


def test_settings_are_shown_changed_and_emptied(browser, cluster, running):
    page = browser.get(PATH)
    assert page.field("memory_limit")["value"] == "128M"
    assert page.field("max_execution_time")["value"] == "30"
    assert "date.timezone" in page.text
    sent = {
        "memory_limit": "256M", "upload_max_filesize": "2M", "post_max_size": "8M",
        "max_execution_time": "30", "disable_functions": "", "filled.disable_functions": "yes",
        "log_errors": "on", "date_timezone": "Europe/Amsterdam", "back": PATH,
    }  # fmt: skip
    answer = browser.post(f"{PATH}/operations/set_php_config", sent)
    assert answer.location.startswith("/applications/1/jobs/")
    cluster.wait(lambda: "done" in browser.get(answer.location).text)
    assert running.get_php_config().memory_limit == "256M"
    assert running.get_php_config().disable_functions == ""
    assert running.get_php_config().log_errors == "on"


def test_a_setting_that_cannot_be_is_told_at_its_field_with_what_was_typed(browser, running):
    sent = {"memory_limit": "lots", "post_max_size": "9M"}
    page = browser.post(f"{PATH}/operations/set_php_config", sent)
    assert page.status == 400
    assert page.field("memory_limit")["value"] == "lots"
    assert page.field("memory_limit")["aria-invalid"] == "true"
    assert page.field("post_max_size")["value"] == "9M"
    assert "is 'lots': write a number and K, M or G" in page.text
    assert running.get_php_config().post_max_size == "8M"


def test_debug_mode_is_one_button_which_says_what_it_shows_to_whom(browser, cluster, running):
    page = browser.get(PATH)
    assert "Debug mode is off" in page.text and not page.all("select", name="display_errors")
    sent = {"mode": page.field("mode")["value"], "back": PATH}
    assert sent["mode"] == "on"
    answer = browser.post(f"{PATH}/operations/debug", sent)
    cluster.wait(lambda: "Debug mode set to 'On'." in browser.get(answer.location).text)
    page = browser.get(PATH)
    assert "Debug mode is on" in page.text and "Everybody who visits" in page.text
    assert page.field("mode")["value"] == "off"
    assert running.get_php_config().display_errors == "on"


# -- how it is served ---------------------------------------------------------------------


def test_how_it_is_served_is_shown_with_what_is_allowed_and_changed(browser, cluster, running):
    page = browser.get(PATH)
    assert page.field("health_path")["value"] == "/"
    assert "(0 or 100 to 599)" in page.text
    sent = {"permalinks": "off", "health_path": "/up", "health_status": "200"}
    sent |= {"kept_directories": "data, conf", "back": PATH}
    answer = browser.post(f"{PATH}/operations/set_web_config", sent)
    cluster.wait(lambda: "done" in browser.get(answer.location).text)
    config = running.get_web_config()
    assert (config.permalinks, config.health_path, config.health_status) == ("off", "/up", 200)
    page = browser.get(PATH)
    assert page.field("kept_directories")["value"] == "conf,data"
    sent |= {"kept_directories": "", "filled.kept_directories": "yes"}
    answer = browser.post(f"{PATH}/operations/set_web_config", sent)
    cluster.wait(lambda: "done" in browser.get(answer.location).text)
    assert running.get_web_config().kept_directories == ""


# -- the code -----------------------------------------------------------------------------


def test_an_archive_in_one_directory_is_noted_and_can_be_stripped(browser, running):
    box = browser.get(PATH).all("input", name="strip")
    assert box and box[0]["type"] == "checkbox"
    where = f"{PATH}/operations/upload_code"
    content = archive("wordpress/index.php", "wordpress/readme.html")
    sent = browser.upload(where, {"back": PATH}, "filename", "wp.tar.gz", content)
    assert sent.location == PATH
    page = browser.get(PATH)
    assert "uploaded. All files are in the directory 'wordpress/'" in page.text
    assert page.all("p", class_="notice warning", role="status")
    browser.upload(where, {"back": PATH, "strip": "on"}, "filename", "wp.tar.gz", content)
    page = browser.get(PATH)
    assert "uploaded." in page.text and "All files are in" not in page.text
    assert page.all("p", class_="notice done", role="status")


def test_a_version_that_fails_its_check_says_how_it_answered_line_by_line(
    browser, cluster, running
):
    content = archive("index.php", status="500\n<h1>Parse error</h1>\n  in line 3")
    code = running.upload_code(filename=Upload(io.BytesIO(content), "broken.tar.gz")).codeVersionId
    sent = {"code_version": code, "back": PATH}
    answer = browser.post(f"{PATH}/operations/enable_code", sent)
    cluster.wait(lambda: "failed" in browser.get(answer.location).text)
    page = browser.get(answer.location)
    assert "stays" in page.text and "500" in page.text
    assert "<h1>Parse error</h1>\n  in line 3" in page.texts
    assert page.all("pre", class_="log", tabindex="0")
    assert b"<h1>Parse" not in page.content
    (again,) = [link for link in page.links if "/operations/enable_code?" in link]
    assert browser.get(again).field("code_version")["value"] == code
