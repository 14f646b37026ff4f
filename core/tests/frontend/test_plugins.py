"""What plugins bring to the pages."""

import types

import pytest
from browsing import Browser
from looking import frontend_of

from conpaas import hookimpl
from conpaas.errors import AgentError
from conpaas.frontend.page import Page
from conpaas.plugins import Plugins
from conpaas.service import Panel


@pytest.fixture
def plugins(plugins, tmp_path):
    """The simple service type, and a plugin with panels, pages, templates and a picture."""
    simple = plugins.modules["simple"]
    return Plugins(simple=simple, extra=extra(tmp_path))


def extra(directory):
    """Return a plugin whose module lies in a directory."""
    (directory / "templates").mkdir()
    (directory / "templates" / "word.html").write_text(
        '{% from "macros.html" import form, state with context %}'
        "<p>It says {{ said }} on {{ service.nodes | length }} node.</p>"
        '{{ form(service.form("set_word", back="/machines")) }}'
    )
    (directory / "templates" / "page.html").write_text(
        '{% extends "base.html" %}{% block content %}<h1>Extra</h1>{{ clouds }}{% endblock %}'
    )
    (directory / "static").mkdir()
    (directory / "static" / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (directory / "static" / "page.html").write_text("<script>no()</script>")
    module = types.ModuleType("extra")
    module.__file__ = str(directory / "plugin.py")
    module.mode = "good"

    @hookimpl
    def conpaas_panels(service):
        if module.mode == "refused":
            raise AgentError("the node does not tell")
        if module.mode == "broken":
            raise RuntimeError("a bug")
        if module.mode == "lost":
            return [Panel("Word", "extra/nothing.html")]
        values = {} if module.mode == "forgot" else {"said": "<b>ahoy</b>"}
        return [Panel("Word", "extra/word.html", values, operations=("set_word",), live=True)]

    @hookimpl
    def conpaas_pages():
        return [
            Page(
                "more", "More", "page.html", lambda api, query: {"clouds": len(api.clouds.list())}
            ),
            Page("secret", "Secret", "page.html", lambda api, query: {"clouds": 0}, admin=True),
        ]

    module.conpaas_panels, module.conpaas_pages = conpaas_panels, conpaas_pages
    return module


def test_a_panel_stands_on_the_page_and_its_operations_are_not_listed_again(browser, service):
    page = browser.get(service)
    assert "It says <b>ahoy</b> on 1 node." in page.text
    assert page.all("form", action=f"{service}/operations/set_word")
    assert f"{service}/operations/set_word" not in page.links
    assert page.all("section", id="panel-extra-1", data_live=None)


def test_a_form_in_a_panel_works_and_leads_back_to_where_it_says(browser, service):
    page = browser.get(service)
    back = page.all("input", name="back", value="/machines")
    assert back
    done = browser.post(f"{service}/operations/set_word", {"word": "x", "back": "/machines"})
    assert done.location == "/machines"
    evil = {"word": "x", "back": "//evil.example"}
    assert browser.post(f"{service}/operations/set_word", evil).location == service


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("refused", "the node does not tell"),
        ("broken", "has failed"),
        ("lost", "has failed"),
        ("forgot", "has failed"),
    ],
)
def test_a_panel_that_fails_does_not_take_the_page_along(browser, cluster, service, mode, told):
    cluster.plugins.modules["extra"].mode = mode
    page = browser.get(service)
    assert page.status == 200
    assert told in page.text and "a bug" not in page.text


def test_pages_that_cannot_be_told_keep_no_others_from_being_served(cluster):
    def fails():
        raise RuntimeError("a bug")

    module = types.ModuleType("bad")
    module.conpaas_pages = hookimpl(fails, specname="conpaas_pages")
    cluster.plugins = Plugins(bad=module)
    assert Browser(frontend_of(cluster)).get("/login").status == 200


def test_a_page_of_a_plugin_is_linked_and_shown(browser):
    page = browser.get("/")
    assert "/plugins/extra/more" in page.links
    assert "/plugins/extra/secret" not in page.links
    assert "Extra 1" in browser.get("/plugins/extra/more").text
    assert browser.get("/plugins/extra/nothing").status == 404


def test_a_page_for_administrators_is_for_them_only(browser):
    from conpaas.director.models import User

    assert browser.get("/plugins/extra/secret").status == 404
    User.update(admin=True).execute()
    assert browser.get("/plugins/extra/secret").status == 200
    assert "/plugins/extra/secret" in browser.get("/").links


def test_a_plugin_brings_pictures_but_no_pages_past_ours(browser):
    assert browser.get("/static/plugins/extra/icon.svg").headers["content-type"] == "image/svg+xml"
    assert browser.get("/static/plugins/extra/page.html").status == 404
    assert browser.get("/static/plugins/extra/../../style.css").status == 404
