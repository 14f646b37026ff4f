"""Prometheus' text format: what a node answers is read with care, and passed on with its name."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Collection, Iterable

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from conpaas.errors import AgentError
from conpaas.features.monitoring.samples import Series

LONGEST = 1 << 20  #: bytes of what a node may answer
MOST = 1000  #: samples of one node that are read
_LONGEST_VALUE = 200  #: characters of a label's value
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")


def read(text: bytes) -> list[Metric]:
    """Return the metric families that a node answers with; no more samples than :data:`MOST`.

    Raises:
        AgentError: It is too long, or not in the format.
    """
    if len(text) > LONGEST:
        raise AgentError(f"its metrics are more than {LONGEST} bytes")
    found, room = [], MOST
    try:
        for family in text_string_to_metric_families(text.decode()):
            family.samples = [sample for sample in family.samples if _is_fine(sample)][:room]
            room -= len(family.samples)
            if family.samples and _NAME.fullmatch(family.name):
                found.append(family)
    except (ValueError, IndexError, KeyError) as error:
        raise AgentError(f"its metrics are not in Prometheus' format: {error}") from error
    return found


def chosen(
    families: Iterable[Metric], names: Collection[str]
) -> tuple[list[Series], array[float]]:
    """Return the series of these names, sorted, and their values; no infinity is among them."""
    found: dict[Series, float] = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name in names and math.isfinite(sample.value)
    }
    series = sorted(found)
    return series, array("d", (found[one] for one in series))


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
