"""What the frontend tells monitoring, to whoever shows the token that its settings name."""

from __future__ import annotations

import hmac

import falcon

from conpaas.metrics import Metrics, Requests, send
from conpaas.web import Request, Response


class FrontendMetrics:
    """``/metrics``: its process and its requests.

    The frontend knows no users, so that it cannot ask for an administrator.  As long as no token
    is set there is nothing here.

    Args:
        token: Whoever shows it may read; empty: nobody.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._metrics = Metrics()
        self._metrics.add_process()
        self.requests = Requests(self._metrics.registry)

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with everything."""
        if not self._token:
            raise falcon.HTTPNotFound
        kind, _, shown = (req.get_header("Authorization") or "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token):
            send(resp, self._metrics.text())
            return
        # Programs ask here: no page to log in.
        resp.status = falcon.HTTP_401
        resp.set_header("WWW-Authenticate", "Bearer")
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "show the token metrics_token of the frontend's settings\n"
