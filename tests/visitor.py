"""Somebody who visits web applications: keeps cookies, sends forms, and knows DokuWiki."""

from __future__ import annotations

import html.parser
import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """What came back at the end of all redirections."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str

    def field(self, name: str) -> str:
        """Return the value of the first field of that name."""
        fields = _Fields(self.text).values
        assert name in fields, f"{self.url} has no field {name!r} but {sorted(fields)}"
        return fields[name]


class Visitor:
    """Somebody with a browser's cookies.

    Args:
        url: Of the application, with a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        # Whatever proxies the environment names are not for these addresses.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def get(self, path: str = "", headers: Mapping[str, str] | None = None) -> Shown:
        """Ask for a path below the application's URL."""
        return self._request(path, None, headers)

    def post(self, path: str, fields: Mapping[str, str]) -> Shown:
        """Send a form."""
        return self._request(path, urllib.parse.urlencode(fields).encode(), None)

    def _request(self, path: str, body: bytes | None, headers: Mapping[str, str] | None) -> Shown:
        url = urllib.parse.urljoin(self.url, path.removeprefix("/"))
        request = urllib.request.Request(url, body, dict(headers or {}))
        try:
            with self._opener.open(request, timeout=30) as answer:
                text = answer.read().decode(errors="replace")
                return Shown(answer.url, answer.status, answer.headers, text)
        except urllib.error.HTTPError as error:
            return Shown(url, error.code, error.headers, error.read().decode(errors="replace"))


class WikiVisitor(Visitor):
    """Somebody who reads and writes a DokuWiki."""

    def log_in(self, username: str, password: str) -> None:
        """Log in, as the form does."""
        form = self.get("doku.php?id=start&do=login")
        shown = self.post(
            "doku.php?id=start&do=login",
            {"sectok": form.field("sectok"), "id": "start", "do": "login",
             "u": username, "p": password},
        )  # fmt: skip
        assert "Logged in as" in shown.text, shown.text[:2000]

    @property
    def is_logged_in(self) -> bool:
        """Whether the wiki still knows who this is."""
        return "Logged in as" in self.get("doku.php?id=start").text

    def save(self, page: str, text: str) -> None:
        """Edit a page and save it."""
        form = self.get(f"doku.php?id={page}&do=edit")
        names = ("sectok", "id", "rev", "date", "prefix", "suffix", "changecheck", "target")
        fields = {name: form.field(name) for name in names}
        shown = self.post(
            f"doku.php?id={page}", {**fields, "wikitext": text, "do[save]": "1", "summary": ""}
        )
        assert shown.status == 200, f"{shown.status} {shown.text[:500]}"

    def read(self, page: str) -> str:
        """Return the text of a page as it was written."""
        shown = self.get(f"doku.php?id={page}&do=export_raw")
        assert shown.status == 200, f"{shown.status} {shown.text[:500]}"
        return shown.text.strip()


class _Fields(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and (name := given.get("name")):
            self.values.setdefault(name, given.get("value") or "")
