"""A browser without a screen, and what it sees: for tests of the pages."""

import html.parser
import io
from urllib.parse import urlencode

from falcon import testing

from conpaas.director import tokens
from conpaas.testing.cluster import PASSWORD

VOID = {"input", "img", "meta", "link", "br", "hr", "source", "wbr"}


class Page(html.parser.HTMLParser):
    """An answer, and the elements of the page in it."""

    def __init__(self, result):
        super().__init__(convert_charrefs=True)
        self.status = result.status_code
        self.headers = result.headers
        self.content = result.content
        self.cookies = result.cookies
        self.elements = []
        self.texts = []
        self._open = []
        if "html" in result.headers.get("content-type", ""):
            self.feed(result.text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        """What can be read on it, with single blanks."""
        return " ".join(" ".join(self.texts).split())

    @property
    def location(self):
        """Where it sends the browser."""
        return self.headers.get("location")

    def all(self, tag, **attributes):
        """Return the attributes of all elements of a tag that have these."""
        wanted = {name.rstrip("_").replace("_", "-"): v for name, v in attributes.items()}
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]

    def field(self, name):
        """Return the first field of that name."""
        found = [a for t, a in self.elements if a.get("name") == name]
        assert found, f"no field {name!r}"
        return found[0]

    @property
    def links(self):
        """Every address that it leads to."""
        return [a["href"] for t, a in self.elements if t == "a" and "href" in a]


class Browser:
    """Keeps cookies, sends forms as a browser does, and follows nothing by itself."""

    def __init__(self, app):
        self.client = testing.TestClient(app)
        self.cookies = {}
        self.fetch_site = "same-origin"
        self.origin = None

    def request(self, method, path, body=None, headers=None):
        """Make a request."""
        sent = {"Host": "pages", "X-Real-IP": "192.0.2.7", **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if method == "POST":
            if self.fetch_site:
                sent.setdefault("Sec-Fetch-Site", self.fetch_site)
            if self.origin:
                sent.setdefault("Origin", self.origin)
        where, _, query = path.partition("?")
        result = self.client.simulate_request(
            method, where, query_string=query, body=body, headers=sent, protocol="https",
            host="pages",
        )  # fmt: skip
        for name, cookie in result.cookies.items():
            if cookie.value and cookie.max_age != 0:
                self.cookies[name] = cookie.value
            else:
                self.cookies.pop(name, None)
        return Page(result)

    def get(self, path, **headers):
        """Ask for a page."""
        return self.request(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    def post(self, path, fields=None, csrf=None, headers=None):
        """Send a form, with the right token unless told otherwise."""
        given = {"csrf": self.csrf if csrf is None else csrf, **(fields or {})}
        kind = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.request("POST", path, urlencode(given), kind)

    def upload(self, path, fields, name, filename, content, csrf=None, lost=0):
        """Send a form with a file at its end; the last ``lost`` bytes of it never arrive."""
        body, edge = io.BytesIO(), "xxEDGExx"
        given = {"csrf": self.csrf if csrf is None else csrf, **fields}
        for key, value in given.items():
            head = f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'
            body.write(f"{head}{value}\r\n".encode())
        body.write(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode()
        )
        body.write(content + f"\r\n--{edge}--\r\n".encode())
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        sent = body.getvalue()
        return self.request("POST", path, sent[: len(sent) - lost], kind)

    @property
    def csrf(self):
        """The token of the forms that this browser is shown."""
        page = self.get("/help" if "__Host-conpaas" in self.cookies else "/login")
        return page.field("csrf")["value"]

    def log_in(self, username="test", password=PASSWORD, **fields):
        """Log in."""
        return self.post("/login", {"username": username, "password": password, **fields})


def session_of(cluster, user=1):
    """Begin a session, without the time that a password takes."""
    return tokens.issue(user, "session", kind=tokens.SESSION)
