"""Calls over a network to a provider that may refuse, be slow, or answer into the void."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import TypeVar

import requests
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import MalformedResponseError

from conpaas.errors import CloudError, ConPaaSError

#: After these nobody knows whether the provider has done what was asked.
_LOST_ANSWERS = (
    requests.RequestException,
    http.client.HTTPException,
    MalformedResponseError,
    TimeoutError,
    ConnectionError,
)

T = TypeVar("T")


class Calls:
    """Carries out calls to one provider and quotes it when it refuses.

    Args:
        cloud: The name of the cloud, for messages.
        attempts: How often a call is tried that may be repeated.
        pause: Seconds between two attempts; doubled each time.
    """

    def __init__(self, cloud: str, attempts: int, pause: float) -> None:
        self._cloud = cloud
        self._attempts = attempts
        self._pause = pause

    def repeat(self, what: str, function: Callable[[], T]) -> T:
        """Ask something that may be asked twice, again after a lost answer or "slow down".

        Raises:
            CloudError: The provider refused, or did not answer after some attempts.
        """
        for attempt in range(1, self._attempts):
            try:
                return function()
            except Exception as error:
                if not (_is_lost(error) or _is_throttled(error)):
                    raise self._in_words(what, error) from error
            self._rest(attempt)
        try:
            return function()
        except Exception as error:
            raise self._in_words(what, error) from error

    def create(self, what: str, make: Callable[[], T], find: Callable[[], T | None]) -> T:
        """Ask for something to be made, once; when the answer is lost, look for it.

        Args:
            what: Completes "the cloud could not ...".
            make: Makes it; repeated only when the provider says that it has done nothing.
            find: Looks for what a lost answer was about.

        Raises:
            CloudError: The provider refused, or did not answer and it is not to be found.
        """
        for attempt in range(1, self._attempts + 1):
            try:
                return make()
            except Exception as error:
                if _is_lost(error):
                    return self._adopt(what, find, error)
                if attempt == self._attempts or not _is_throttled(error):
                    raise self._in_words(what, error) from error
            self._rest(attempt)
        raise AssertionError("attempts must be 1 or more")

    def _adopt(self, what: str, find: Callable[[], T | None], error: Exception) -> T:
        # Lists lag behind creations on some clouds, so one look is not enough.
        for attempt in range(1, self._attempts + 1):
            made = find()
            if made is not None:
                return made
            self._rest(attempt)
        raise self._in_words(what, error) from error

    def _rest(self, attempt: int) -> None:
        time.sleep(self._pause * 2 ** (attempt - 1))

    def _in_words(self, what: str, error: Exception) -> ConPaaSError:
        if isinstance(error, ConPaaSError):
            return error
        words = str(error).strip() or type(error).__name__
        if isinstance(error, requests.Timeout | TimeoutError):
            words = f"no answer in time ({words})"
        return CloudError(f"the cloud {self._cloud} could not {what}: {words}")


def _is_lost(error: Exception) -> bool:
    if isinstance(error, BaseHTTPError):
        return int(error.code or 0) >= 500
    return isinstance(error, _LOST_ANSWERS)


def _is_throttled(error: Exception) -> bool:
    return isinstance(error, RateLimitReachedError)
