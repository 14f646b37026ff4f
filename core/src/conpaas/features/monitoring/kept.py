"""What was kept of one service: what its manager object is given to make charts of."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from conpaas.features.monitoring.rates import Figures, Grid, Memory
from conpaas.features.monitoring.samples import Round, Samples, Series

#: When nodes were asked, in seconds since 1970, and what each that answered said, by its id.
RoundFigures = tuple[float, dict[str, dict[Series, float]]]


class ServiceSamples:
    """The samples of one service.

    Args:
        samples: Of the whole manager.
        service: The service's number.
        every: Seconds between two rounds.
        now: Seconds since 1970.
    """

    def __init__(
        self, samples: Samples, service: int, every: float, now: Callable[[], float] = time.time
    ) -> None:
        self._samples = samples
        self._service = service
        self.every = every
        self.now = now
        self._memory: Memory = {}

    def last(self, seconds: float, points: int) -> tuple[Grid, Figures]:
        """Return spans for the last seconds, at most ``points``, and what computes lines for them.

        A span begins at the same times whoever asks, so that a chart moves and does not flicker.
        """
        # Whole rounds: shorter spans would have holes.
        step = max(1, math.ceil(seconds / points / self.every)) * self.every
        count = max(1, round(seconds / step))
        now = self.now()
        rounds = self._samples.rounds(self._service, now - (count + 1) * step - 60.0)
        end = now
        if rounds and now - rounds[-1].time < 2 * self.every:
            end = rounds[-1].time  # what comes after it is not known yet
        begin = math.ceil(end / step) * step - count * step
        grid = Grid(begin, step, count)
        self._forget_old()
        return grid, Figures(rounds, grid, self.every, self._memory)

    def _forget_old(self) -> None:
        there = self._samples.numbers()
        for pair in [pair for pair in list(self._memory) if not there.issuperset(pair)]:
            self._memory.pop(pair, None)

    def heard(self) -> dict[str, float]:
        """Return when each node of the last hour last answered."""
        found: dict[str, float] = {}
        for one in self._samples.rounds(self._service, 0.0):
            found.update(dict.fromkeys(one.samples, one.time))
        return found

    def latest(self) -> RoundFigures:
        """Return when nodes were asked last, and what each that answered said; 0 if never."""
        return next(iter(self.recent(1)), (0.0, {}))

    def recent(self, count: int) -> list[RoundFigures]:
        """Return what nodes said in the latest rounds, newest first, none older than a minute.

        Args:
            count: Of how many rounds, at most.
        """
        rounds = self._samples.rounds(self._service, self.now() - 60.0)
        return [(one.time, _figures(one)) for one in rounds[: -count - 1 : -1]]

    def forget(self) -> None:
        """Forget everything: the service is gone."""
        self._samples.forget(self._service)


def _figures(one: Round) -> dict[str, dict[Series, float]]:
    return {
        node: dict(zip(sample.layout, sample.values, strict=True))
        for node, sample in one.samples.items()
    }
