"""Debian's chromium, as tests use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Error, Page, sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


def visit(page: Page, path: str) -> None:
    """Go to a page, again when tests with machines have changed this machine's networks."""
    for _ in range(10):
        try:
            page.goto(path)
        except Error as error:
            # The page that tells of it may itself come in between.
            if not any(text in error.message for text in ("NETWORK_CHANGED", "chrome-error")):
                raise
            page.wait_for_timeout(200)
        else:
            return
    raise TimeoutError(f"the networks change so often that {path} cannot be opened")
