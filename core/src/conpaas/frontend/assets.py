"""Static files: ours, and those that plugins bring, with the content's hash in their address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from conpaas.errors import NotFoundError
from conpaas.web import Request, Response

OWN = Path(__file__).parent / "static"
#: What a plugin may bring, and as what it is served: no pages.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    content: bytes
    media_type: str
    digest: str


class Assets:
    """All static files, read once.

    Args:
        plugins: The ``static`` directory of each plugin that has one, by the plugin's name.
    """

    def __init__(self, plugins: dict[str, Path]) -> None:
        self._files: dict[str, Asset] = {}
        self._read(OWN, "")
        for name, directory in plugins.items():
            self._read(directory, f"plugins/{name}/")

    def url(self, name: str) -> str:
        """Return the address of a file, which changes with its content."""
        if name not in self._files:
            raise NotFoundError(f"there is no static file {name!r}")
        return f"/static/{name}?v={self._files[name].digest}"

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._files

    def on_get(self, req: Request, resp: Response, name: str) -> None:
        """Answer with a file."""
        found = self._files.get(name)
        if found is None:
            raise NotFoundError("there is no such file")
        resp.content_type = found.media_type
        resp.data = found.content
        fresh = req.get_param("v") == found.digest
        resp.set_header(
            "Cache-Control", "public, max-age=31536000, immutable" if fresh else "no-cache"
        )
        resp.etag = found.digest

    def _read(self, directory: Path, prefix: str) -> None:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and path.suffix in TYPES:
                content = path.read_bytes()
                digest = hashlib.sha256(content).hexdigest()[:12]
                name = prefix + path.relative_to(directory).as_posix()
                self._files[name] = Asset(content, TYPES[path.suffix], digest)
