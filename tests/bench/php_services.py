"""PHP services for benches: code for them, and who asks for it."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from harness import BenchError, wait_until
from machines import Service

from conpaas.features.code.packing import packed
from conpaas.rpc import Upload, finish

#: Says on which machine it runs.
WHO = "<?php echo gethostname();"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, body: bytes | None = None) -> str:
    """Return what is there, or what is answered to a form; "" when there is none."""
    with contextlib.suppress(OSError), _NO_PROXY.open(url, body, timeout=60) as answer:
        return str(answer.read().decode())
    return ""


def address_of(service: Service) -> str:
    """Return the service's URL."""
    return str(service.manager.get_address().url)


def put_code(service: Service, files: Mapping[str, str]) -> str:
    """Upload code and enable it; return the version."""
    content = packed(files, form="w:gz")
    upload = Upload(io.BytesIO(content), "code.tar.gz", len(content))
    version = str(service.manager.upload_code(filename=upload).codeVersionId)
    finish(service.manager.enable_code(code_version=version))
    return version


def wait_for_text(url: str, text: str) -> None:
    """Ask until a text is there."""
    wait_until(lambda: text in fetch(url), f"{url} does not say {text!r}", pause=0.002)


def wrk(url: str, seconds: int, connections: int = 8) -> float:
    """Ask for a URL as fast as it goes on these connections; return the answers in a second."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if rate is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise BenchError(f"wrk {url}: {done.stdout}{done.stderr}")
    return float(rate[1])


def inside(init: int, path: str) -> Path:
    """Return where a file of a machine is, as seen from here."""
    return Path(f"/proc/{init}/root") / path.lstrip("/")
