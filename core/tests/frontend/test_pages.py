"""What pages show, and what can be done on them."""

import gzip
import json
from urllib.parse import quote

import pytest

from conpaas.api import Applications, Services
from conpaas.rpc import finish
from conpaas.state import State


def test_the_first_page_of_a_new_user_says_what_to_do(browser):
    page = browser.get("/")
    assert page.text.count("Your first application") == 1
    assert page.field("name")["value"] == "New application 1"


def test_the_dashboard_has_everything_with_its_state(browser, service):
    page = browser.get("/")
    assert f"{service}" in page.links
    assert "shop" in page.text and page.text.count("RUNNING") == 2
    assert "1 application · 2 machines, 2 credits an hour" in page.text


def test_an_application_is_created_and_started_and_its_job_can_be_watched(browser, cluster):
    made = browser.post("/applications/new", {"name": "shop"})
    assert made.location == "/applications/1"
    assert "Application &#39;shop&#39; created" in browser.get("/applications/1").content.decode()
    started = browser.post("/applications/1/operations/start", {"back": "/applications/1"})
    assert started.location == "/jobs/1?back=/applications/1"
    cluster.wait(lambda: "is running." in browser.get(started.location).text)
    page = browser.get(started.location)
    assert "/applications/1" in page.links
    assert "Application 'shop' with id 1 is running." in page.text
    assert "asking the cloud memory for a machine" in page.text
    assert not page.all("main", data_busy=None) and not page.all("progress")


def test_a_name_that_is_taken_is_told_above_the_form_and_stays_in_it(browser, aid):
    page = browser.post("/applications/new", {"name": "shop"})
    assert page.status == 400
    assert page.field("name")["value"] == "shop"
    assert page.all("div", role="alert") and "called 'shop' already" in page.text


def test_a_wrong_name_is_told_at_its_field(browser):
    page = browser.post("/applications/new", {"name": "123"})
    assert page.status == 400
    assert page.field("name")["aria-invalid"] == "true"
    assert "numbers are ids" in page.text


def test_a_service_is_chosen_from_tiles(browser, aid):
    page = browser.get(f"/applications/{aid}/add")
    assert "Keeps a word." in page.text
    added = browser.post(f"/applications/{aid}/add", {"service_type": "simple", "name": "words"})
    assert added.location == f"/applications/{aid}/services/1"
    page = browser.get(added.location)
    assert "words" in page.text and "INIT" in page.text


def test_a_service_that_cannot_be_added_is_told_and_nothing_typed_is_lost(browser, aid):
    page = browser.post(f"/applications/{aid}/add", {"service_type": "simple", "name": "7"})
    assert page.status == 400
    assert page.field("name")["value"] == "7"
    assert browser.post(f"/applications/{aid}/add", {"service_type": "nil"}).status == 404


def test_the_page_of_a_service_has_its_nodes_and_every_operation(browser, service):
    page = browser.get(service)
    assert "198.18.0." in page.text and "ready" in page.text
    for operation in ("set_word", "get_words", "put_file", "get_file", "stop", "remove"):
        assert any(f"/operations/{operation}" in link for link in page.links), operation
    node = next(link for link in page.links if "/nodes/" in link)
    assert browser.get(node).status == 200


def test_what_runs_is_live_and_what_rests_is_not(browser, cluster, aid):
    page = browser.get(f"/applications/{aid}")
    assert page.all("section", id="services", data_live=None)
    assert "data-busy" not in page.all("main")[0]
    from conpaas.director.models import Application

    Application.update(state="EPILOGUE").execute()
    assert "data-busy" in browser.get(f"/applications/{aid}").all("main")[0]


def test_a_live_page_that_has_not_changed_is_not_sent_again(browser, service):
    first = browser.get(service, X_Live="1")
    tag = first.headers["etag"]
    again = browser.get(service, X_Live="1", If_None_Match=tag)
    assert (again.status, again.content) == (304, b"")
    browser.post("/applications/1/operations/rename", {"new_name": "mall"})
    assert browser.get(service, X_Live="1", If_None_Match=tag).status == 200


def test_a_live_page_does_not_take_the_message_for_the_next_page(browser):
    browser.post("/applications/new", {"name": "shop"})
    assert "created" not in browser.get("/applications/1", X_Live="1").text
    assert "created" in browser.get("/applications/1").text
    assert "created. Start" not in browser.get("/applications/1").text


def test_a_message_that_somebody_made_up_is_not_shown(browser):
    browser.cookies["__Host-conpaas-flash"] = "WyJkb25lIiwgImh1aCJd." + "0" * 64
    assert "huh" not in browser.get("/").text
    browser.cookies["__Host-conpaas-flash"] = "ü.ü"
    assert browser.get("/").status == 200


def test_a_long_message_fits_into_a_cookie(browser, aid, monkeypatch):
    monkeypatch.setattr(
        "conpaas.frontend.results.sentence", lambda *arguments: "\u00fc\U0001f600" * 2000
    )
    browser.post(f"/applications/{aid}/operations/rename", {"new_name": "mall"})
    assert len(browser.cookies["__Host-conpaas-flash"]) < 3800
    assert "\U0001f600" in browser.get("/").text


def test_renaming_is_shown_at_once(browser, aid):
    page = browser.get(f"/applications/{aid}/operations/rename?new_name=shop")
    assert page.field("new_name")["value"] == "shop"
    done = browser.post(f"/applications/{aid}/operations/rename", {"new_name": "mall"})
    assert done.location == f"/applications/{aid}"
    assert "has been renamed to 'mall'" in browser.get(f"/applications/{aid}").text


# -- losing something -------------------------------------------------------------------------


def test_deleting_asks_for_the_name_and_says_what_is_lost(browser, cluster, aid):
    path = f"/applications/{aid}/operations/delete"
    page = browser.get(path)
    assert "all their data are lost" in page.text
    for fields in ({}, {"confirmed": "yes"}, {"confirmed": "yes", "confirm-name": "shoq"}):
        assert browser.post(path, fields).location is None
    assert cluster.api(Applications).list()
    gone = browser.post(path, {"confirmed": "yes", "confirm-name": "shop"})
    assert gone.location.startswith("/jobs/")
    cluster.wait(lambda: not cluster.api(Applications).list())
    page = browser.get(gone.location)
    assert page.status == 200
    assert "/" in page.links and "done" in page.text


def test_stopping_asks_first(browser, cluster, service):
    path = f"{service}/operations/stop"
    page = browser.post(path)
    assert page.status == 200 and "are given back" in page.text
    assert cluster.state(1, 1) is State.RUNNING
    assert not page.all("input", name="confirm-name")
    assert browser.post(path, {"confirmed": "yes"}).status == 303
    cluster.wait(lambda: cluster.state(1, 1) is State.STOPPED)
    assert "Start" in browser.get(service).text


# -- operations -------------------------------------------------------------------------------


def test_an_operation_says_that_it_went_well(browser, cluster, service):
    page = browser.post(f"{service}/operations/set_word", {"word": "ahoy"})
    assert page.location == service
    assert "Set word: done." in browser.get(service).text
    assert cluster.service_stub("simple", 1, 1).list_nodes()


def test_what_an_operation_needs_and_did_not_get_is_told(browser, service):
    page = browser.post(f"{service}/operations/set_word", {"word": " "})
    assert page.status == 400
    assert "Word: this is needed" in page.text


def test_a_question_is_answered_as_a_table(browser, service):
    page = browser.get(f"{service}/operations/get_words")
    assert page.all("table") and "node-2" in page.text and "hi" in page.text


def test_a_question_never_changes_anything_by_get(browser, cluster, service):
    before = cluster.service_stub("simple", 1, 1).get_history()
    for operation in ("stop", "remove", "set_word", "add_nodes", "repair", "rename"):
        page = browser.get(f"{service}/operations/{operation}?word=x&confirmed=yes&new_name=y")
        assert page.status == 200 and page.all("form", method="post")
    assert cluster.service_stub("simple", 1, 1).get_history() == before
    assert cluster.api(Services).get_state(application=1, service=1).name == "New simple service"


def test_an_operation_that_there_is_not_is_a_page_of_ours(browser, service):
    for operation in ("nothing", "replace_lost_nodes", "__init__"):
        assert browser.get(f"{service}/operations/{operation}").status == 404
        assert browser.post(f"{service}/operations/{operation}").status == 404


def test_a_file_goes_up_and_comes_down_again(browser, service):
    content = gzip.compress(bytes(range(256)) * 4000)
    sent = browser.upload(f"{service}/operations/put_file", {}, "content", "ü.bin", content)
    assert sent.status == 200  # what it answers is shown
    got = browser.get(f"{service}/operations/get_file")
    assert got.content == content
    assert "attachment" in got.headers["content-disposition"]


@pytest.mark.parametrize("lost", [3, 40, 5000])
def test_a_file_that_breaks_off_in_the_browser_is_not_taken_for_a_whole_one(
    browser, service, lost
):
    content = gzip.compress(bytes(range(256)) * 4000)
    browser.upload(f"{service}/operations/put_file", {}, "content", "whole", content)
    other = content[::-1]
    page = browser.upload(
        f"{service}/operations/put_file", {}, "content", "part", other, lost=lost
    )
    assert page.status == 400
    assert browser.get(f"{service}/operations/get_file").content == content


def test_a_file_without_the_right_token_is_not_taken(browser, service):
    path = f"{service}/operations/put_file"
    assert browser.upload(path, {}, "content", "a", b"x", csrf="0").status == 403


def test_no_file_is_told(browser, service):
    page = browser.upload(f"{service}/operations/put_file", {}, "content", "", b"")
    assert page.status == 400
    assert "choose a file" in page.text


def test_a_script_that_sends_a_file_is_told_where_to_go(browser, service):
    fields = {"word": "ahoy"}
    page = browser.post(f"{service}/operations/set_word", fields, headers={"X-Upload": "1"})
    assert (page.status, page.location) == (204, service)


def test_a_secret_is_shown_once_and_never_typed_again(browser):
    page = browser.post("/objects/user/operations/create_token", {"name": "laptop"})
    assert page.status == 200
    assert "cps_" in page.text and "shown once" in page.text
    page = browser.get("/objects/user/operations/passwd")
    assert page.field("new_password")["type"] == "password"
    page = browser.post(
        "/objects/user/operations/passwd",
        {"current_password": "wrong one", "new_password": "another secret"},
    )
    assert page.status in (400, 401, 403)
    assert "another secret" not in page.content.decode()
    assert "wrong one" not in page.content.decode()


def test_a_log_is_followed_from_where_it_was_read_to(browser, cluster, service):
    path = f"{service}/nodes/node-2?file=word.log"
    page = browser.get(path)
    (shown,) = page.all("pre")
    machine = next(m for m in cluster.machines.values() if m.agent)
    with (machine.directory / "root" / "word.log").open("a") as log:
        log.write("<ahoy>\n")
    more = browser.get(f"{path}&after={quote(shown['data-after'])}")
    assert json.loads(more.content)["text"] == "<ahoy>\n"
    for path in (f"{service}/log", "/applications/1/log"):
        page = browser.get(path)
        after = page.all("pre")[0]["data-after"]
        assert page.status == 200
        assert json.loads(browser.get(f"{path}?after={quote(after)}").content).keys() == {
            "text", "after",
        }  # fmt: skip


# -- when things do not answer ------------------------------------------------------------------


def test_a_manager_that_does_not_answer_leaves_a_page_with_what_is_known(
    browser, cluster, service
):
    cluster.cut(next(m for m in cluster.machines.values() if m.manager))
    page = browser.get(service)
    assert page.status == 200
    assert "unreachable" in page.text and "does not answer" in page.text
    assert browser.get("/applications/1").status == 200
    assert browser.get("/applications/1/log").status == 200


def test_a_service_of_a_stopped_application_says_what_to_do(browser, cluster, service):
    finish(cluster.api(Applications).stop(application=1))
    page = browser.get(service)
    assert page.status == 200
    assert "is STOPPED: start it" in page.text


def test_a_job_that_failed_says_why_and_can_be_tried_again(browser, cluster, service):
    stub = cluster.service_stub("simple", 1, 1)
    stub.set_word("broken")
    page = browser.post(f"{service}/scale", {"count.node": "2", "count.keeper": "0"})
    cluster.wait(lambda: "failed" in browser.get(page.location).text)
    page = browser.get(page.location)
    assert "the node burns" in page.text
    (again,) = [a for a in page.links if a.startswith(f"{service}/operations/add_nodes?")]
    form = browser.get(again)
    assert form.field("nodes.node")["value"] == "1"
    assert form.field("nodes.keeper")["value"] == "0"


def test_the_pages_of_the_system_show_what_there_is(browser, service):
    for path, words in {
        "/clouds": ("memory", "default"),
        "/machines": ("cluster-u1-a1-mgr-1", "manager", "running"),
        "/about": ("simple", "ConPaaS"),
        "/help": ("PROLOGUE", "credit"),
        "/jobs": ("Start", "application 1"),
        "/objects/user": ("Create token",),
        f"/objects/{quote('audit')}": ("List",),
    }.items():
        page = browser.get(path)
        assert page.status == 200
        for word in words:
            assert word.lower() in page.text.lower(), (path, word)


def test_every_link_leads_somewhere(browser, service):
    browser.upload(f"{service}/operations/put_file", {}, "content", "a", b"x")
    seen, waiting = set(), ["/", service, "/help", "/objects/user"]
    while waiting:
        path = waiting.pop().partition("#")[0]
        if path in seen or not path or path.startswith("/api"):
            continue
        seen.add(path)
        page = browser.get(path)
        # A question may have no answer yet; then the page says so.
        assert page.status == 200 or (page.status == 404 and "/operations/get_" in path), path
        here = path.partition("?")[0]
        waiting += [here + link if link.startswith("?") else link for link in page.links]
    assert len(seen) > 20


def test_pages_are_made_for_every_reader(browser, service):
    for path in ("/", "/applications/1", service, f"{service}/operations/remove", "/machines"):
        page = browser.get(path)
        assert len(page.all("h1")) == 1
        assert page.all("html", lang="en") and page.all("main") and page.all("header")
        labelled = {a["for"] for t, a in page.elements if t == "label" and "for" in a}
        for tag, field in page.elements:
            if tag in ("input", "select", "textarea") and field.get("type") != "hidden":
                assert field.get("id") in labelled or field.get("type") in ("checkbox", "radio")
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))


def test_a_page_weighs_little(browser, service):
    page = browser.get(service)
    files = [a["src"] for t, a in page.elements if "src" in a]
    files += [a["href"] for a in page.all("link")]
    whole = len(page.content) + sum(len(browser.get(file).content) for file in set(files))
    assert whole <= 100_000
