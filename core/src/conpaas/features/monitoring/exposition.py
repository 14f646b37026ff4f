"""Prometheus' text format: what a node answers is read with care, and passed on with its name."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from conpaas.errors import AgentError
from conpaas.features.monitoring.samples import Series

LONGEST = 1 << 20  #: bytes of what a node may answer
MOST = 1000  #: samples of one node that are read
_MOST_KNOWN = 50_000  #: series that a reader remembers
_LONGEST_VALUE = 200  #: characters of a label's value
_NONSENSE = (ValueError, IndexError, KeyError)  #: what the parser says of it
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")


def read(text: bytes) -> list[Metric]:
    """Return the metric families that a node answers with; no more samples than :data:`MOST`.

    Raises:
        AgentError: It is too long, or not in the format.
    """
    found, room = [], MOST
    try:
        for family in text_string_to_metric_families(_checked(text)):
            family.samples = [sample for sample in family.samples if _is_fine(sample)][:room]
            room -= len(family.samples)
            if family.samples and _NAME.fullmatch(family.name):
                found.append(family)
    except _NONSENSE as error:
        raise AgentError(f"its metrics are not in Prometheus' format: {error}") from error
    return found


class Reader:
    """Reads samples by the thousand, every few seconds.

    Nodes say nearly the same each time: what stands before the number is parsed when it is seen
    for the first time.
    """

    def __init__(self) -> None:
        self._known: dict[str, Series | None] = {}

    def values(self, text: bytes, names: Collection[str]) -> dict[Series, float]:
        """Return the samples of these names; what is no number is left out.

        Raises:
            AgentError: It is too long, or not in the format.
        """
        found: dict[Series, float] = {}
        try:
            for line in _checked(text).splitlines()[: 3 * MOST]:
                if not line or line[0] == "#":
                    continue
                before, _, number = line.rpartition(" ")
                series = self._series(before, line)
                value = float(number)
                if series is not None and series[0] in names and math.isfinite(value):
                    found[series] = value
                    if len(found) == MOST:
                        break
        except _NONSENSE as error:
            raise AgentError(f"its metrics are not in Prometheus' format: {error}") from error
        return found

    def _series(self, before: str, line: str) -> Series | None:
        if before not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            ((sample,),) = (family.samples for family in text_string_to_metric_families(line))
            if sample.timestamp is not None:
                raise ValueError(f"there is a time in {line[:80]!r}")
            labels = tuple(sorted(sample.labels.items()))
            self._known[before] = (sample.name, labels) if _is_fine(sample) else None
        return self._known[before]


def _checked(text: bytes) -> str:
    if len(text) > LONGEST:
        raise AgentError(f"its metrics are more than {LONGEST} bytes")
    return text.decode()


def merged(parts: Iterable[tuple[dict[str, str], Iterable[Metric]]]) -> list[Metric]:
    """Return the families of several nodes as one list, each sample with its node's labels.

    Args:
        parts: The labels and the families of each node.  A family that another node told of as
            something else is left out.
    """
    found: dict[str, Metric] = {}
    for labels, families in parts:
        for family in families:
            whole = found.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            if whole.type != family.type:
                continue
            whole.samples += [
                sample._replace(labels={**sample.labels, **labels}) for sample in family.samples
            ]
    return list(found.values())


def _is_fine(sample: object) -> bool:
    name, labels = sample[0], sample[1]  # type: ignore[index]  # a named tuple without types
    return _NAME.fullmatch(name) is not None and all(
        _NAME.fullmatch(key) and len(value) <= _LONGEST_VALUE for key, value in labels.items()
    )
