"""What a manager tells a node about its parts: proxy, web, and where sessions are kept."""

from __future__ import annotations

from dataclasses import dataclass

PROXY_PORT = 80
WEB_PORT = 8080
FILES_PORT = 8081
BACKEND_PORT = 9000


@dataclass(frozen=True)
class ProxyPart:
    """What a proxy does.

    Args:
        version: The code version that every request gets.
        web: Addresses of the nodes that serve files, sorted.
        backends: Addresses of the nodes that run code, sorted.
        permalinks: What is neither a file nor code goes to the application's ``index`` script.
        body_limit: Bytes of a request's body.
        timeout: Seconds that a backend may take for one request.
        private: Directories of the code in which nothing answers, as paths, sorted.
    """

    version: str
    web: tuple[str, ...]
    backends: tuple[str, ...]
    permalinks: bool
    body_limit: int
    timeout: int
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class WebPart:
    """What a web node does: it serves files to its proxies, which name the version.

    Args:
        proxies: Their addresses, sorted; nobody else is answered.
        permalinks: As for the proxy.
        asked: Addresses of the backends that are asked for files that are not here, sorted.
        kept: Kept directories of the code, as paths, sorted: for what is in them the backends,
            which write there, are asked first.
    """

    proxies: tuple[str, ...]
    permalinks: bool
    asked: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilesPart:
    """What a backend does for web nodes on other machines: it gives them files that they lack.

    Args:
        askers: Addresses of who may ask, sorted; nobody else is answered.
        private: Directories of the code from which nothing is given, as paths, sorted.
    """

    askers: tuple[str, ...]
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionStore:
    """Where all backends of a service keep their sessions: one redis."""

    address: str
    port: int
    password: str


@dataclass(frozen=True)
class CodeCheck:
    """How a version of the code answered on one backend, before anybody else was sent there.

    Args:
        status: Of the HTTP answer; 0 when there was none.
        lines: The first lines of the answer, or why there was none.
    """

    status: int
    lines: tuple[str, ...]
