"""DokuWiki on the PHP service, all of it in a browser: one story on real machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dokuwiki
import pytest
from chromium import PATIENCE, job_done, press, start_application, watched_page
from e2e import Nutshell
from playwright.sync_api import Locator, Page, expect

USERNAME, PASSWORD = "clara", "correct horse"


@pytest.fixture(scope="module")
def page(nutshell: Nutshell) -> Iterator[Page]:
    """A browser in which a new user has logged in."""
    with watched_page(nutshell.address) as made:
        made.goto("/register")
        made.get_by_label("Username").fill(USERNAME)
        made.get_by_label("E-mail").or_(made.get_by_label("Email")).fill("clara@example.org")
        made.get_by_label("Password", exact=True).fill(PASSWORD)
        made.get_by_label("Password again").fill(PASSWORD)
        made.get_by_role("button", name="Register").click()
        expect(made.get_by_role("heading", level=1)).to_contain_text("first application")
        yield made


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What later steps must know of earlier ones."""
    return {}


def section(page: Page, seen: dict[str, Any], title: str) -> Locator:
    """Go to the page of the service, and return one of its sections."""
    page.goto(seen["service"])
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator("section", has=heading).first


def test_a_php_service_is_added_by_its_tile_and_started(page: Page, seen: dict[str, Any]) -> None:
    seen["application"] = start_application(page, "Wiki of Clara")
    press(page, "Add a service")
    page.locator("main form .tile", has=page.get_by_text("PHP", exact=True)).click()
    press(page, "Add service")
    page.wait_for_url(re.compile(r"/services/\d+$"))
    seen["service"] = page.url
    press(page, "Start")
    job_done(page)
    link = section(page, seen, "Access").get_by_role("link", name="Access application")
    seen["url"] = link.get_attribute("href")
    assert re.fullmatch(r"http://[\d.]+/", seen["url"])


def test_dokuwiki_is_uploaded_and_set_active(
    page: Page, seen: dict[str, Any], tmp_path: Path
) -> None:
    serving = section(page, seen, "Serving")
    serving.get_by_label(re.compile("kept.directories", re.IGNORECASE)).fill("data,conf")
    serving.get_by_role("button", name="Save").click()
    job_done(page)
    page.goto(seen["service"])
    page.locator("#upload-code summary").click()
    form = page.locator("#upload-code form")
    archive = dokuwiki.archive(tmp_path / "dokuwiki.tar.gz")
    form.locator("input[type=file]").set_input_files(archive)
    form.get_by_label("Description").fill("DokuWiki of Debian")
    form.get_by_role("button", name="Upload").click()
    row = page.locator("#code-versions tr", has_text="DokuWiki of Debian")
    expect(row).to_be_visible(timeout=PATIENCE)  # it passes through three servers
    row.get_by_role("button", name="Set active").click()
    job_done(page)
    page.goto(seen["service"])
    expect(page.locator("#code-versions tr", has_text="DokuWiki of Debian")).to_contain_text(
        "active"
    )


def test_the_wiki_is_opened_edited_and_saved(page: Page, seen: dict[str, Any]) -> None:
    access = section(page, seen, "Access")
    with page.context.expect_page() as opened:
        access.get_by_role("link", name="Access application").click()
    wiki = seen["wiki"] = opened.value
    wiki.wait_for_load_state()
    wiki.locator("a", has_text="Log In").first.click()
    wiki.locator("main, #dokuwiki__content").locator("input[name=u]").fill(dokuwiki.ADMIN)
    wiki.locator("#dokuwiki__content input[name=p]").fill(dokuwiki.PASSWORD)
    wiki.locator("#dokuwiki__content button[type=submit]").first.click()
    expect(wiki.locator("body")).to_contain_text("Logged in as")
    wiki.goto(f"{seen['url']}doku.php?id=holidays&do=edit")
    wiki.locator("#wiki__text").fill("====== Holidays ======\nIn the **mountains**.")
    wiki.locator("button[name='do[save]']").click()
    expect(wiki.get_by_role("heading", name="Holidays")).to_be_visible()
    expect(wiki.locator("strong")).to_have_text("mountains")
    # Its scripts and styles are there, too.
    assert wiki.evaluate("typeof jQuery") == "function"
    assert wiki.evaluate(
        "document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 10"
    )


def test_its_settings_are_changed(page: Page, seen: dict[str, Any]) -> None:
    php = section(page, seen, "PHP")
    php.get_by_label("memory_limit").fill("lots")
    php.get_by_role("button", name="Save").click()
    expect(page.locator("main [role=alert]").first).to_contain_text("lots")
    php = section(page, seen, "PHP")
    php.get_by_label("memory_limit").fill("192M")
    php.get_by_role("button", name="Save").click()
    job_done(page)
    php = section(page, seen, "PHP")
    expect(php.get_by_label("memory_limit")).to_have_value("192M")
    php.get_by_role("button", name="Switch debug mode on").click()
    job_done(page)
    php = section(page, seen, "PHP")
    expect(php).to_contain_text("Debug mode is on")
    php.get_by_role("button", name="Switch debug mode off").click()
    job_done(page)


def test_variables_are_set_and_secrets_not_shown(page: Page, seen: dict[str, Any]) -> None:
    for name, value, secret in (("GREETING", "hello", False), ("API_KEY", "canary-7d1", True)):
        section(page, seen, "Environment").locator("#set-variable summary").click()
        form = page.locator("#set-variable form")
        form.get_by_label("Name").fill(name)
        form.get_by_label("Value").first.fill(value)
        if secret:
            form.get_by_label("Secret").check()
        form.get_by_role("button").last.click()
        job_done(page)
    environment = section(page, seen, "Environment")
    expect(environment).to_contain_text("hello")
    expect(environment).to_contain_text("API_KEY")
    assert "canary-7d1" not in page.content()


def test_it_is_scaled_by_role_and_the_wiki_goes_on(page: Page, seen: dict[str, Any]) -> None:
    wiki = seen["wiki"]
    for backend, moved in (("1", "backend"), ("0", "backend")):
        scale = section(page, seen, "Scale")
        scale.locator("#count-backend").fill(backend)
        expect(scale.locator(".scale-summary")).to_contain_text(moved)
        scale.get_by_role("button", name="Apply").click()
        if backend == "0":  # losing nodes asks first
            page.get_by_role("button", name=re.compile("^Remove")).click()
        job_done(page)
        wiki.goto(f"{seen['url']}doku.php?id=holidays")
        expect(wiki.locator("strong")).to_have_text("mountains")
        expect(wiki.locator("body")).to_contain_text("Logged in as")


def test_requests_are_seen_in_the_charts(page: Page, seen: dict[str, Any]) -> None:
    charts = section(page, seen, "Charts")
    expect(charts).to_contain_text("Requests", timeout=PATIENCE)
    expect(charts.locator("svg").first).to_be_visible(timeout=PATIENCE)


def test_a_service_that_is_stopped_has_no_address(page: Page, seen: dict[str, Any]) -> None:
    page.goto(seen["service"])
    press(page, "Stop…")
    page.locator("main form button.danger").click()
    job_done(page)
    access = section(page, seen, "Access")
    expect(access).to_contain_text("cannot be reached")
    page.goto(seen["application"])
    press(page, "Delete…")
    page.locator("main form").get_by_role("textbox").fill("Wiki of Clara")
    page.locator("main form button.danger").click()
    job_done(page)
