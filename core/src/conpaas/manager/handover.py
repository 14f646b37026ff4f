"""Hands the manager's state to the director, so that another machine can take over."""

from __future__ import annotations

import io
import logging
import threading

from conpaas.api import ManagerDesk
from conpaas.errors import ConPaaSError
from conpaas.manager.book import Book
from conpaas.rpc import Upload

RETRY = 5.0  #: seconds until the next try after a failure
logger = logging.getLogger(__name__)


class Handover:
    """Sends a snapshot of the book after changes, from a thread of its own.

    Args:
        book: What is handed over.
        desk: The director.
    """

    def __init__(self, book: Book, desk: ManagerDesk) -> None:
        self._book = book
        self._desk = desk
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to send."""
        threading.Thread(target=self._run, name="handover", daemon=True).start()

    def stop(self) -> None:
        """Send no more; what is under way is finished first."""
        self._stopped.set()
        self._wake.set()
        with self._sending:
            pass

    def soon(self) -> None:
        """Note that there is something to send."""
        self._wake.set()

    def now(self) -> None:
        """Send, and return when the director has it.

        Raises:
            ConPaaSError: It could not be sent; it will be tried again.
        """
        with self._sending:
            if self._stopped.is_set():
                return
            self._wake.clear()
            try:
                # The states are read first: a change after that wakes the thread again.
                states = {str(n): state for n, state in self._book.states().items()}
                content = self._book.records.snapshot()
                self._desk.hand_over(
                    states=states,
                    snapshot=Upload(io.BytesIO(content), "manager.db", len(content)),
                )
            except BaseException:
                self._wake.set()
                raise

    def try_now(self) -> None:
        """Send now if possible; what fails is tried again by the thread."""
        try:
            self.now()
        except ConPaaSError as error:
            logger.warning("the state could not be handed over yet: %s", error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            try:
                self.now()
            except ConPaaSError as error:
                logger.warning("the state could not be handed over yet: %s", error)
                self._stopped.wait(RETRY)
            except Exception:
                logger.exception("the state could not be handed over")
                self._stopped.wait(RETRY)
