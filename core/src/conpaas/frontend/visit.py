"""One request of one browser: its session, its forms' token, and the message for the next page.

Nothing of it is kept here.  The session's token, which the director gave, is in a cookie; the
forms' token and the signature of messages are made of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from conpaas.errors import DeniedError
from conpaas.front import ADDRESS_HEADER
from conpaas.frontend.calls import Api, Director
from conpaas.web import Request, Response

SESSION_COOKIE = "__Host-conpaas"
#: Of browsers that are not logged in, so that forms have something to be bound to.
FORM_COOKIE = "__Host-conpaas-form"
FLASH_COOKIE = "__Host-conpaas-flash"
CSRF_FIELD = "csrf"
LIVE_HEADER = "X-Live"  #: our script asks for the page again: nobody has gone anywhere
_LONGEST_FLASH = 1500  #: bytes; a cookie holds 4096, of which a third is for its encoding


@dataclass(frozen=True)
class Flash:
    """What is told on the next page; ``kind`` is ``done``, ``warning`` or ``error``."""

    kind: str
    text: str


class Visit:
    """Who is calling, from where, and what the answer must carry.

    Args:
        director: Where calls go.
        req: The request.
        resp: The answer to come.
    """

    def __init__(self, director: Director, req: Request, resp: Response) -> None:
        self._resp = resp
        self._req = req
        self.address = req.get_header(ADDRESS_HEADER) or "unknown"
        self.token = req.cookies.get(SESSION_COOKIE, "")
        self.form_secret = self.token or req.cookies.get(FORM_COOKIE, "")
        self.director = director
        self.api: Api = director.with_session(self.token, self.address)
        self.is_live = req.get_header(LIVE_HEADER) is not None
        self.path = req.path

    # -- sessions -----------------------------------------------------------------------------

    def begin(self, token: str) -> None:
        """Give the browser a new session."""
        self._set(SESSION_COOKIE, token)
        self._forget(FORM_COOKIE)
        self.token = self.form_secret = token

    def end(self) -> None:
        """Have the browser forget its session."""
        self._forget(SESSION_COOKIE)
        self.token = ""

    # -- forms --------------------------------------------------------------------------------

    @property
    def csrf(self) -> str:
        """The token that every form of this visit must carry."""
        if not self.form_secret:
            self.form_secret = secrets.token_urlsafe(32)
            self._set(FORM_COOKIE, self.form_secret)
        return _mac(self.form_secret, "form")

    def check_origin(self) -> None:
        """Raise DeniedError when a form was sent by a page of another site."""
        # Our pages send no referrer, so browsers call their origin null: what counts then is
        # what the browser says of the site that the request came from.
        site = self._req.get_header("Sec-Fetch-Site")
        origin = self._req.get_header("Origin")
        own = f"https://{self._req.get_header('Host')}"
        foreign = origin is not None and origin != own and (origin != "null" or site is None)
        if foreign or site not in (None, "same-origin"):
            raise DeniedError("this form was sent by a page of another site, and was not followed")

    def check_csrf(self, given: str) -> None:
        """Raise DeniedError when a form does not carry this visit's token."""
        right = _mac(self.form_secret, "form") if self.form_secret else ""
        if not right or not hmac.compare_digest(given.encode(), right.encode()):
            raise DeniedError(
                "this form is not valid any more, because you logged in or out meanwhile: "
                "go back, reload the page and send it again"
            )

    # -- where to go next ---------------------------------------------------------------------

    def go(self, path: str) -> None:
        """Answer that the browser goes on at another of our pages."""
        if self._req.get_header("X-Upload") is not None:
            # Our script sends files to show how far they are, and then goes there itself.
            self._resp.status = 204
            self._resp.set_header("Location", path)
        else:
            self._resp.status = 303
            self._resp.set_header("Location", path)
        self._resp.set_header("Cache-Control", "no-store")

    def tell_next(self, text: str, kind: str = "done") -> None:
        """Have the next page tell something."""
        # What is cut off in the middle of a character loses that character.
        cut = text.encode(errors="replace")[:_LONGEST_FLASH].decode(errors="ignore")
        content = json.dumps([kind, cut], ensure_ascii=False).encode()
        encoded = base64.urlsafe_b64encode(content).decode()
        self._set(FLASH_COOKIE, f"{encoded}.{_mac(self.form_secret, encoded)}", max_age=60)

    def take_flash(self) -> Flash | None:
        """Return what the page before wanted to be told here, this once."""
        cookie = self._req.cookies.get(FLASH_COOKIE, "")
        if not cookie or self.is_live:
            return None
        self._forget(FLASH_COOKIE)
        encoded, _, mac = cookie.partition(".")
        if not self.form_secret or not hmac.compare_digest(
            mac.encode(), _mac(self.form_secret, encoded).encode()
        ):
            return None
        try:
            kind, text = json.loads(base64.urlsafe_b64decode(encoded))
        except (binascii.Error, ValueError):
            return None
        return Flash(str(kind), str(text))

    def _set(self, name: str, value: str, max_age: int | None = None) -> None:
        self._resp.set_cookie(
            name, value, max_age=max_age, secure=True, http_only=True, same_site="Lax", path="/"
        )

    def _forget(self, name: str) -> None:
        if name in self._req.cookies:
            self._resp.set_cookie(
                name, "", max_age=0, secure=True, http_only=True, same_site="Lax", path="/"
            )


def within_site(path: str | None, otherwise: str = "/") -> str:
    """Return a path of this site, whatever was asked for: never another site's address."""
    if not path or not path.startswith("/") or len(path) > 2000:
        return otherwise
    # Browsers take a backslash for a slash and drop tabs and line ends.
    if path.startswith("//") or "\\" in path or any(ord(c) < 33 or ord(c) == 127 for c in path):
        return otherwise
    try:
        parts = urlsplit(path)
    except ValueError:
        return otherwise
    if parts.scheme or parts.netloc:
        return otherwise
    return quote(path, safe="/?&=%:@!$'()*+,;~#-._")


def _mac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
