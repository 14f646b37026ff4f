"""Keeping a machine's certificate young, and its list of revoked ones."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from conpaas.certificates import Identity, Role, Verifier, keys, new_key, signing_request
from conpaas.errors import AgentError, ConPaaSError
from conpaas.machine.places import IdentityFiles
from conpaas.supervisor.base import BaseSupervisor
from conpaas.transport import Peers, raise_for_error

log = logging.getLogger(__name__)

_DIRECTOR = Identity(Role.DIRECTOR)
_REVOKED_EVERY = 60.0
_LONGEST_PAUSE = 300.0
_SHORTEST_PAUSE = 5.0


class Renewal:
    """Renews the certificate of a manager or agent when two thirds of its life are over.

    The front (nginx) and our own connections take the new one without dropping a call.  Every
    minute the numbers of revoked certificates are fetched, too; when the director does not
    answer, those known so far stay in force.

    Args:
        director: ``https://<host>:<port>``.
        peers: Calls the director, with the certificate that is to be renewed.
        verifier: Gets the revoked numbers.
        identity: The files to replace.
        supervisor: Has the front read them again.
        on_renewed: Called afterwards; :meth:`Peers.reload` of ``peers`` is not needed in it.
        front: The name of the front's program.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        director: str,
        peers: Peers,
        verifier: Verifier,
        identity: IdentityFiles,
        supervisor: BaseSupervisor,
        on_renewed: Callable[[], None] = lambda: None,
        *,
        front: str = "front",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._director = director
        self._peers = peers
        self._verifier = verifier
        self._identity = identity
        self._supervisor = supervisor
        self._on_renewed = on_renewed
        self._front = front
        self._clock = clock
        self._revoked_at = float("-inf")
        self._retry_at = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, wait: float = 5.0) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(wait)

    def step(self) -> float:
        """Do what is due now, and return the seconds until something is due again."""
        now = self._clock()
        if now < self._revoked_at or now >= self._revoked_at + _REVOKED_EVERY:
            self._revoked_at = now
            try:
                self._fetch_revoked()
            except ConPaaSError as error:
                log.warning("The revoked certificates are not known anew: %s", error)
        begin, end = self._life()
        due = begin + (end - begin) * 2 / 3
        if now >= max(due, self._retry_at):
            try:
                self._renew()
            except ConPaaSError as error:
                pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, (end - now) / 20))
                self._retry_at = now + pause
                log.error(
                    "The certificate is not renewed, it ends in %.0f s: %s", end - now, error
                )
            begin, end = self._life()
            due = begin + (end - begin) * 2 / 3
        next_step = min(max(due, self._retry_at), self._revoked_at + _REVOKED_EVERY)
        return max(1.0, next_step - now)

    def _run(self) -> None:
        # A front that runs may hold a certificate of before a crash of this process.
        if self._identity.was_replaced:
            with suppress(ConPaaSError):
                self._supervisor.reload(self._front)
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = self.step()
            except Exception:
                log.exception("The renewal has failed and goes on.")
                pause = _LONGEST_PAUSE

    def _life(self) -> tuple[float, float]:
        certificate = keys.load_certificate(self._identity.certificate.read_text())
        return (
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
        )

    def _renew(self) -> None:
        key = new_key()
        body = json.dumps({"csr": signing_request(key)}).encode()
        result = self._ask("POST", "/api/v1/renew", body)
        try:
            pem = str(result["certificate"])
        except (KeyError, TypeError) as error:
            raise AgentError(f"The director's answer has a fault: {error!r}") from error
        if keys.load_certificate(pem).public_key() != keys.load_key(key).public_key():
            raise AgentError("The director's certificate is not for the key that was sent.")
        self._identity.replace(key, pem)
        self._peers.reload()
        self._supervisor.reload(self._front)
        self._on_renewed()
        log.info("The certificate has been renewed.")

    def _fetch_revoked(self) -> None:
        result = self._ask("GET", "/api/v1/revoked", None)
        if not isinstance(result, list):
            raise AgentError(f"The director's answer has a fault: {result!r:.80}")
        self._verifier.revoked = frozenset(str(serial) for serial in result)

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        answer = self._peers.request(
            self._director,
            method,
            path,
            expect=_DIRECTOR,
            body=body,
            headers={"Content-Type": "application/json"},
        )
        raise_for_error(answer)
        try:
            return answer.json()["result"]
        except (KeyError, TypeError) as error:
            raise AgentError(f"The director's answer has a fault: {error!r}") from error
