"""Where a web service is to be brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conpaas.features.code.versions import CodeVersion
from conpaas_web.parts import SessionStore
from conpaas_web.web_settings import WebSettings


@dataclass(frozen=True)
class Goal:
    """What all nodes of a service are to do together.

    Args:
        version: The code that requests get.
        web: What is set for every web service.
        settings: What is set for the language, by the names that the language gives.
        environment: Variables that the code sees.
    """

    version: CodeVersion
    web: WebSettings
    settings: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class RequestLimits:
    """What a request may take.

    Args:
        body: Bytes.
        seconds: Until a backend ends it.
    """

    body: int
    seconds: int


@dataclass(frozen=True)
class BackendTask:
    """What every backend is told, whatever runs the code.

    Args:
        proxies: Addresses of those that may send requests, sorted.
        settings: What is set for the language.
        environment: Variables that the code sees.
        sessions: Where sessions are kept.
        seconds: Until a request is ended.
    """

    proxies: tuple[str, ...]
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    sessions: SessionStore
    seconds: int
