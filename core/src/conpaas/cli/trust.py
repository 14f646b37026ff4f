"""Come to trust a director's authority: asked for once, then kept."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import sys

from conpaas.cli.ask import yes
from conpaas.cli.call import CONNECT_TIMEOUT, NO_DIRECTOR
from conpaas.cli.config import Settings
from conpaas.cli.failure import Failure, Unreachable


def establish(
    settings: Settings,
    fingerprint: str | None,
    otherwise: str = "give it with --fingerprint {shown}",
) -> None:
    """Make sure that ``settings.ca_cert`` holds the authority of the director.

    Args:
        settings: Where the director is and where its authority is kept.
        fingerprint: SHA-256 that the user knows the authority by; else the user is asked about
            an authority that is new.
        otherwise: What to do where nobody can be asked.

    Raises:
        Failure: It is not trusted, or cannot be had.
    """
    offered = _fetch(settings)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(offered)).hexdigest()
    shown = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2)).upper()
    if fingerprint is not None:
        if fingerprint.replace(":", "").strip().lower() != digest:
            raise Failure(
                f"the authority of the director has the fingerprint {shown}, not the one given: "
                "somebody may be in between"
            )
    elif not _is_known(offered, settings.ca_cert):
        _ask(settings, shown, otherwise)
    write(settings.ca_cert, offered)


def write(path: str, text: str) -> None:
    """Write a file that only the user may read, whole or not at all."""
    scratch = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.replace(scratch, path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from None


def _fetch(settings: Settings) -> str:
    if not settings.host:
        raise Failure(NO_DIRECTOR)
    # Nothing secret goes over this connection: what it brings is what others are verified with.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        settings.host, settings.port, context=context, timeout=CONNECT_TIMEOUT
    )
    address = f"https://{settings.host}:{settings.port}"
    try:
        connection.request("GET", f"{settings.base}/api/v1/ca")
        offered = json.loads(connection.getresponse().read())["result"]
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(offered))
    except (OSError, http.client.HTTPException) as error:
        told = getattr(error, "strerror", None) or error
        raise Unreachable(f"the director at {address} does not answer: {told}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(f"what answers at {address} is not a director") from None
    finally:
        connection.close()


def _is_known(offered: str, path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            known = file.read().strip()
        return ssl.PEM_cert_to_DER_cert(known) == ssl.PEM_cert_to_DER_cert(offered)
    except (OSError, ValueError):
        return False


def _ask(settings: Settings, shown: str, otherwise: str) -> None:
    known = os.path.exists(settings.ca_cert)
    told = (
        f"The authority of the director at {settings.host} is "
        f"{'ANOTHER THAN BEFORE' if known else 'not known yet'}. Its SHA-256 fingerprint is\n"
        f"  {shown}"
    )
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(f"{told}\nIf that is right, {otherwise.format(shown=shown)}")
    print(told, file=sys.stderr)
    if not yes("Ask the administrator whether that is right. Do you trust it?"):
        raise Failure("the authority is not trusted: nothing was done")
