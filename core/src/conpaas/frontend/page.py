"""A page that a plugin brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Page:
    """A page beside the derived ones.

    Args:
        path: Below ``/plugins/<plugin>/``.
        title: Of the page; it also stands in the link to it.
        template: In the plugin's ``templates`` directory.
        values: Returns what the template shows, given the caller's stubs of the director and
            what stands in the address behind the question mark.
        admin: Only administrators see it.
    """

    path: str
    title: str
    template: str
    values: Callable[[Any, Mapping[str, str]], dict[str, Any]] = lambda api, query: {}
    admin: bool = False
