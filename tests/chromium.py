"""Debian's chromium, as tests use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

#: It is not told when this machine's networks change: other tests make machines meanwhile.
PROGRAM = Path(__file__).with_name("unaware_chromium.py")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
#: Milliseconds for what machines do; everything else is there at once.
PATIENCE = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(address: str) -> Iterator[Page]:
    """A browser's page of a director's address, on which nothing may go wrong in silence."""
    with chromium() as browser:
        context = browser.new_context(base_url=f"https://{address}", ignore_https_errors=True)
        context.set_default_timeout(60_000)
        made = context.new_page()
        wrong: list[str] = []
        made.on("pageerror", lambda error: wrong.append(str(error)))
        # The browser tells of everything that the policy on contents has kept out.
        made.on(
            "console",
            lambda said: wrong.append(said.text) if "Content Security" in said.text else None,
        )
        yield made
        assert wrong == []


def log_in(page: Page, username: str, password: str) -> None:
    """Log in to a director."""
    page.goto("/login")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    press(page, "Log in")
    expect(page.get_by_role("button", name="Log in")).to_have_count(0)


def press(page: Page, name: str) -> None:
    """Press a button or a link that looks like one, within the page."""
    main = page.locator("main")
    main.get_by_role("button", name=name, exact=True).or_(
        main.get_by_role("link", name=name, exact=True)
    ).first.click()


def job_done(page: Page) -> None:
    """Wait until the job whose page this is has ended well."""
    expect(page.locator("main .head .state")).to_have_text("done", timeout=PATIENCE)


def start_application(page: Page, name: str) -> str:
    """Create an application from the dashboard and start it; return the address of its page."""
    page.goto("/")
    page.get_by_label("Name").fill(name)
    press(page, "Create application")
    page.wait_for_url(re.compile(r"/applications/\d+$"))
    address = page.url
    press(page, "Start")
    job_done(page)
    page.goto(address)
    expect(page.locator("main .head .state").first).to_have_text("RUNNING")
    return address
