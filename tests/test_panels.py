"""The panels that features and plugins put on a service's page: code, git, volumes, scripts."""

import io

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from looking import logged_in

from conpaas.features.code.packing import packed
from conpaas.rpc import Upload
from conpaas.testing.cluster import Cluster

SLEEPS = {"run": "sleep 60 & wait", "interrupt": "sleep 60 & wait"}


def archive(**scripts):
    """Return an archive of scripts."""
    return packed({f"{name}.sh": text for name, text in scripts.items()}, form="w:gz")


@pytest.fixture
def cluster():
    """A cluster with everything that is installed."""
    with Cluster() as made:
        yield made


@pytest.fixture
def browser(cluster):
    """A browser whose user is logged in."""
    return logged_in(cluster)


@pytest.fixture
def aid(cluster):
    """A running application."""
    return cluster.application("shop")


@pytest.fixture
def manager(cluster, aid):
    """The manager of a generic service that does not run yet."""
    return cluster.service("generic", aid)


@pytest.fixture
def running(cluster, manager):
    """The manager of one that runs."""
    cluster.run(manager.start())
    return manager


@pytest.fixture
def path(aid):
    """The page of the service."""
    return f"/applications/{aid}/services/1"


def done(cluster, browser, answer):
    """Wait until the job that an answer leads to has ended, and return its page."""
    assert "/jobs/" in (answer.location or ""), answer.text
    where = answer.location
    cluster.wait(lambda: "data-busy" not in dict(browser.get(where).all("main", id="main")[0]))
    return browser.get(where)


# -- code ---------------------------------------------------------------------------------


def test_an_archive_is_uploaded_made_active_and_taken_back(browser, cluster, running, path):
    sent = browser.upload(
        f"{path}/operations/upload_code", {"description": "first <b>", "back": path},
        "filename", "app.tar.gz", archive(run="true"),
    )  # fmt: skip
    assert sent.location == path
    page = browser.get(path)
    assert "app.tar.gz" in page.text and "first <b>" in page.text
    version = page.field("code_version")["value"]
    ended = done(
        cluster,
        browser,
        browser.post(f"{path}/operations/enable_code", {"code_version": version, "back": path}),
    )
    assert f"Code version '{version}' enabled." in ended.text
    page = browser.get(path)
    assert page.field("code_version")["value"] == "code-default"
    file = browser.get(f"{path}/operations/download_code?version={version}")
    assert file.content == archive_of(running, version)
    assert "attachment" in file.headers["content-disposition"]


def archive_of(manager, version):
    """Return the archive of a version as the command line gets it."""
    return b"".join(manager.download_code(version=version).pieces)


def test_the_limits_of_an_archive_are_told(browser, manager, path, cluster):
    limits = manager.get_code_limits()
    assert limits.members == cluster.config.limits.members
    text = browser.get(path).text
    assert "GiB" in text and f"{limits.members:,} files" in text


def test_a_version_is_deleted_when_its_name_is_typed(browser, manager, path):
    info = manager.upload_code(filename=Upload(io.BytesIO(archive(run="")), "old.tar.gz"))
    where = next(link for link in browser.get(path).links if "/delete_code?" in link)
    form = browser.get(where)
    sent = {"code_version": info.codeVersionId, "confirmed": "yes", "back": path}
    address = where.partition("?")[0]
    assert browser.post(address, {**sent, "confirm-name": "x"}).status == 400
    assert form.field("confirm-name")
    answer = browser.post(address, {**sent, "confirm-name": info.codeVersionId})
    assert answer.location == path
    assert "old.tar.gz" not in browser.get(path).text


def test_what_is_no_archive_is_told_with_what_was_typed(browser, manager, path):
    page = browser.upload(
        f"{path}/operations/upload_code", {"description": "mine"}, "filename", "x.tar", b"no tar"
    )
    assert page.status == 400
    assert "x.tar is refused" in page.text
    assert page.field("description")["value"] == "mine"


# -- git ----------------------------------------------------------------------------------


def test_the_panel_of_git_says_where_to_push_and_whose_keys_may(browser, manager, path):
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    page = browser.get(path)
    clone = manager.get_repository().clone
    assert clone in [a.get("data-copy") for a in page.all("button")]
    assert "/account/keys" in page.links
    sent = browser.upload(
        f"{path}/operations/upload_key", {"back": path}, "filename", "id.pub", line + b" bob@desk"
    )
    assert sent.location == path
    page = browser.get(path)
    assert "bob@desk" in page.text and "Keys of this application: 1" in page.text
    where = next(link for link in page.links if "/remove_key?" in link)
    assert browser.get(where).status == 200


# -- volumes ------------------------------------------------------------------------------


def test_a_volume_is_made_detached_attached_and_deleted(browser, cluster, running, path):
    node = running.list_nodes()[0].agent_id
    page = browser.get(path)
    assert "No volumes." in page.text
    assert [a["value"] for a in page.all("option") if a["value"] == node]
    sent = {"vol_name": "data", "vol_size": "64", "agent_id": node, "back": path}
    ended = done(cluster, browser, browser.post(f"{path}/operations/create_volume", sent))
    assert "Creating volume 'data'" in ended.text
    assert "attached" in browser.get(path).text
    name = {"vol_name": "data", "back": path}
    done(cluster, browser, browser.post(f"{path}/operations/detach_volume", name))
    page = browser.get(path)
    assert "detached" in page.text
    done(
        cluster,
        browser,
        browser.post(f"{path}/operations/attach_volume", {**name, "agent_id": node}),
    )
    where = next(link for link in browser.get(path).links if "/delete_volume?" in link)
    assert "lost forever" in browser.get(where).text
    wrong = {**name, "confirmed": "yes", "confirm-name": "dat"}
    assert browser.post(f"{path}/operations/delete_volume", wrong).status == 400
    right = {**name, "confirmed": "yes", "confirm-name": "data"}
    done(cluster, browser, browser.post(f"{path}/operations/delete_volume", right))
    assert "No volumes." in browser.get(path).text


def test_a_volume_that_cannot_be_is_told_with_what_was_typed(browser, running, path):
    node = running.list_nodes()[0].agent_id
    sent = {"vol_name": "../etc", "vol_size": "64", "agent_id": node}
    page = browser.post(f"{path}/operations/create_volume", sent)
    assert page.status == 400
    assert page.field("vol_name")["value"] == "../etc"


def test_volumes_wait_until_the_service_runs(browser, manager, path):
    page = browser.get(path)
    assert "Volumes can be added while the service is RUNNING." in page.text
    assert not page.all("input", name="vol_name")


# -- the startup script -------------------------------------------------------------------


def test_the_startup_script_is_uploaded_shown_and_removed(browser, manager, path):
    hostile = b"echo '</pre><script>zqx()</script>'\n"
    sent = browser.upload(
        f"{path}/operations/set_script", {"back": path}, "filename", "s.sh", hostile
    )
    assert sent.location == path
    page = browser.get(path)
    assert "echo '</pre><script>zqx()</script>'" in page.text
    assert b"<script>zqx" not in page.content
    browser.post(f"{path}/operations/unset_script", {"back": path})
    assert "zqx" not in browser.get(path).text


# -- the scripts of a generic service -----------------------------------------------------


def bar(page):
    """Return the buttons of the scripts: label, whether it can be pressed, its class."""
    return [
        (a["formaction"].rsplit("/", 1)[-1], "disabled" not in a, a.get("class", ""))
        for a in page.all("button")
        if "formaction" in a
    ]


def test_scripts_are_run_interrupted_and_then_killed(browser, cluster, running, path):
    version = running.upload_code(filename=Upload(io.BytesIO(archive(**SLEEPS)), "a.tar.gz"))
    cluster.run(running.enable_code(code_version=version.codeVersionId))
    page = browser.get(path)
    assert bar(page) == [("run", True, "primary"), ("interrupt", False, ""), ("cleanup", True, "")]
    assert "Interrupt: nothing runs" in page.text
    sent = browser.post(f"{path}/operations/run", {"parameters": "'two words'", "back": path})
    assert sent.location == path
    page = browser.get(path)
    assert bar(page) == [("run", False, ""), ("interrupt", True, ""), ("cleanup", False, "")]
    assert "Run and Cleanup: not while run.sh runs" in page.text
    assert page.all("span", title="run.sh: running now", class_="state state-passing")
    assert page.all("main", **{"data-busy": None})
    refused = browser.post(f"{path}/operations/run", {"parameters": "--again", "back": path})
    assert refused.status == 409
    assert "--again" in refused.text
    browser.post(f"{path}/operations/interrupt", {"parameters": "", "back": path})
    page = browser.get(path)
    assert bar(page)[1] == ("interrupt", True, "danger")
    assert "Kill ends all scripts at once" in page.text
    browser.post(f"{path}/operations/interrupt", {"parameters": "", "back": path})
    cluster.wait(lambda: not bar(browser.get(path))[1][1])
    page = browser.get(path)
    assert not page.all("main", **{"data-busy": None})
    assert not page.all("span", title="run.sh: running now")


def test_a_script_that_has_ended_shows_its_code_in_words_and_colour(
    browser, cluster, running, path
):
    version = running.upload_code(filename=Upload(io.BytesIO(archive(run="exit 3")), "a.tar.gz"))
    cluster.run(running.enable_code(code_version=version.codeVersionId))
    never = browser.get(path)
    assert never.all(
        "span", title="run.sh: this version's script was never run", class_="state state-new"
    )
    running.run()
    cluster.wait(lambda: "ended (3)" in browser.get(path).text)
    page = browser.get(path)
    assert page.all("span", title="run.sh: ended with return code 3", class_="state state-bad")
    assert page.all("span", class_="shape shape-still")


def test_nothing_can_be_run_before_the_service_runs_and_the_page_says_why(browser, manager, path):
    page = browser.get(path)
    assert [pressable for _, pressable, _ in bar(page)] == [False, False, False]
    assert "not while the service is INIT" in page.text


def test_a_service_without_panels_of_its_own_has_those_of_all_services(browser, cluster, aid):
    cluster.service("helloworld", aid)
    page = browser.get(f"/applications/{aid}/services/1")
    assert "Startup script" in page.text
    assert "Push with git" not in page.text and "Volumes" not in page.text
