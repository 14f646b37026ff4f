"""Somebody who has a WordPress blog: sets it up and writes in a browser, or by XML-RPC."""

from __future__ import annotations

import http.client
import xmlrpc.client
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Locator, Page, expect

TITLE, ADMIN, PASSWORD = "Notes from the road", "anna", "correct horse 7"
_PATIENCE = 60_000


class Blogger:
    """Somebody in front of a browser.

    Args:
        page: Of the browser.
        url: Of the blog, with a slash at its end.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, path: str) -> None:
        """Go to a path of the blog."""
        self.page.goto(urljoin(self.url, path))

    def install(self) -> None:
        """Fill in what the installer asks for, and install."""
        self.open("wp-admin/install.php")
        self._go_on_from_languages()
        page = self.page
        # When it is sent, a script of the page repeats the password in a field that nobody sees.
        page.wait_for_load_state()
        page.locator("#weblog_title").fill(TITLE)
        page.locator("#user_login").fill(ADMIN)
        page.locator("#pass1").fill(PASSWORD)
        weak = page.locator("input[name=pw_weak]")
        if weak.is_visible():
            weak.check()
        page.locator("#admin_email").fill("anna@example.org")

    def finish_installing(self) -> None:
        """Press the button of the form that is filled in."""
        self.page.locator("#submit").click()
        expect(self.page.locator("h1", has_text="Success!")).to_be_visible(timeout=_PATIENCE)

    def log_in(self) -> None:
        """Log in by the form."""
        self.open("wp-login.php")
        self.page.locator("#user_login").fill(ADMIN)
        self.page.locator("#user_pass").fill(PASSWORD)
        self.page.locator("#wp-submit").click()
        expect(self.page.locator("#wpadminbar")).to_be_visible(timeout=_PATIENCE)

    def write(self, title: str, text: str) -> None:
        """Write a post in the editor, up to its publication."""
        page = self.page
        self.open("wp-admin/post-new.php")
        heading = page.get_by_role("textbox", name="Add title")
        # It explains itself first, once to everybody; then nothing else is there to be used.
        welcome = page.get_by_role("button", name="Close dialog")
        try:
            expect(heading.or_(welcome).first).to_be_visible(timeout=_PATIENCE)
        except AssertionError:
            # Many scripts make it up: a person whose editor stays empty loads the page again.
            page.reload()
            expect(heading.or_(welcome).first).to_be_visible(timeout=_PATIENCE)
        # It may come after the heading, and again while it is read what was chosen before.
        page.add_locator_handler(welcome, lambda: welcome.click())
        heading.fill(title)
        heading.press("Enter")
        # At once: the editor, which is still busy, may lose single keys.
        page.keyboard.insert_text(text)

    def publish(self) -> str:
        """Publish what was written; return the address of the post."""
        page = self.page
        page.get_by_role("button", name="Publish", exact=True).first.click()
        panel = page.get_by_role("region", name="Editor publish")
        panel.get_by_role("button", name="Publish", exact=True).click()
        link: Locator = panel.get_by_role("link", name="View Post")
        expect(link.first).to_be_visible(timeout=_PATIENCE)
        return link.first.get_attribute("href") or ""

    def upload(self, picture: Path) -> str:
        """Upload a picture to the library; return its address."""
        page = self.page
        self.open("wp-admin/media-new.php?browser-uploader")
        page.locator("#async-upload").set_input_files(picture)
        page.locator("#html-upload").click()
        page.wait_for_url("**/upload.php*", timeout=_PATIENCE)
        self.open("wp-admin/upload.php?mode=list")
        page.locator("table.media a", has_text=picture.stem).first.click()
        return page.locator("#attachment_url").input_value()

    def _go_on_from_languages(self) -> None:
        """Where the installer can fetch languages, it asks for one first."""
        button = self.page.locator("#language-continue")
        if button.count():
            button.click()


class Correspondent:
    """Somebody who writes posts by XML-RPC, as programs on telephones do.

    Args:
        url: Of the blog, with a slash at its end.
        seconds: To wait for an answer.
    """

    def __init__(self, url: str, seconds: float = 60.0) -> None:
        self._address, self._seconds = urljoin(url, "xmlrpc.php"), seconds

    def post(self, title: str, text: str) -> int:
        """Publish a post; return its number.

        Raises:
            OSError, xmlrpc.client.Error, http.client.HTTPException, ExpatError: It may not be
                there.
        """
        content = {"post_title": title, "post_content": text, "post_status": "publish"}
        with self._blog() as blog:
            return int(str(blog.wp.newPost(1, ADMIN, PASSWORD, content)))

    def delete(self, title: str) -> None:
        """Delete the posts of a title."""
        with self._blog() as blog:
            for post in self._posts(blog):
                if post["post_title"] == title:
                    blog.wp.deletePost(1, ADMIN, PASSWORD, post["post_id"])

    def titles(self) -> list[str]:
        """Return the titles of all posts that are published."""
        with self._blog() as blog:
            return [str(post["post_title"]) for post in self._posts(blog)]

    def _posts(self, blog: xmlrpc.client.ServerProxy) -> list[dict[str, str]]:
        wanted, fields = {"number": 10_000, "post_status": "publish"}, ["post_id", "post_title"]
        posts = blog.wp.getPosts(1, ADMIN, PASSWORD, wanted, fields)
        assert isinstance(posts, list)
        return posts

    def _blog(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(self._address, _Patient(self._seconds))


class _Patient(xmlrpc.client.Transport):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = super().make_connection(host)  # type: ignore[arg-type] # a tuple or a text
        connection.timeout = self._seconds
        return connection
