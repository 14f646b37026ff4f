"""The settings of the command line: options, before the environment, before the files."""

from __future__ import annotations

import os
import sys

from conpaas.cli.failure import Failure

SECTION = "cps-tools"
PORT = 5555
KEYS = (
    "director_url",
    "username",
    "password",
    "token",
    "ca_cert",
    "cert",
    "key",
    "debug",
)
SYSTEM_FILE = "/etc/cps-tools.conf"


class Settings:
    """What was configured; text that is empty was not."""

    def __init__(self, values: dict[str, str], options: dict[str, str]) -> None:
        home = directory()
        self.host, self.port, self.base = _split(values.get("director_url", ""))
        self.username = values.get("username", "")
        self.password = values.get("password", "")
        self.token = values.get("token", "")
        self.ca_cert = _path(values.get("ca_cert")) or os.path.join(home, "ca_cert.pem")
        self.cert = _path(values.get("cert")) or os.path.join(home, "cert.pem")
        self.key = _path(values.get("key")) or os.path.join(home, "key.pem")
        self.debug = _truth(values.get("debug", "false"))
        #: A name on the command line says that it shall be used, whatever else is there.
        self.wants_password = "username" in options


def directory() -> str:
    """Return the directory of a user's own files."""
    return os.path.expanduser("~/.conpaas")


def read(options: dict[str, str]) -> Settings:
    """Return the settings.

    Args:
        options: Global options that were typed, by name.

    Raises:
        Failure: A file cannot be read or a value is wrong.
    """
    if only := options.get("conf_file"):
        values = _read(only, must_exist=True)
    else:
        own = _read(os.path.join(directory(), "cps-tools.conf"))
        values = _read(SYSTEM_FILE) | own
    for key in KEYS:
        if (text := os.environ.get(f"CONPAAS_{key.upper()}")) is not None:
            values[key] = text
    return Settings(values | {k: v for k, v in options.items() if k in KEYS}, options)


def _read(path: str, *, must_exist: bool = False) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except FileNotFoundError:
        if must_exist:
            raise Failure(f"there is no configuration file {path}") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the configuration file {path} cannot be read: {error}") from None
    import configparser

    # Passwords may hold a percent sign: nothing is interpolated.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, path)
    except configparser.Error as error:
        told = str(error).replace("\n", " ")
        raise Failure(f"the configuration file {path} is wrong: {told}") from None
    for section in parser.sections():
        if section != SECTION:
            _warn(path, f"section [{section}]", section, (SECTION,))
    values = (
        dict(parser.items(SECTION)) if parser.has_section(SECTION) else dict(parser.defaults())
    )
    for key in values.keys() - set(KEYS):
        _warn(path, f"setting {key!r}", key, KEYS)
    return {key: value.strip() for key, value in values.items() if key in KEYS and value.strip()}


def _warn(path: str, what: str, given: str, known: tuple[str, ...]) -> None:
    from conpaas.nearest import did_you_mean

    print(f"WARNING: {path}: unknown {what}{did_you_mean(given, known)}", file=sys.stderr)


def _path(text: str | None) -> str:
    return os.path.expanduser(text) if text else ""


def _truth(text: str) -> bool:
    if text.lower() in ("true", "yes", "on", "1"):
        return True
    if text.lower() in ("false", "no", "off", "0"):
        return False
    raise Failure(f"the setting debug must be true or false, not {text!r}")


def _split(url: str) -> tuple[str, int, str]:
    """Return host, port and path of the director's address, of which only the host must be told.

    Raises:
        Failure: It is no such address.
    """
    if not url:
        return "", PORT, ""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise Failure(f"the director_url {url!r} is wrong: {error}") from None
    if parts.scheme != "https" or not host or parts.query or parts.username:
        raise Failure(f"the director_url {url!r} is wrong: it looks like https://HOST:{PORT}")
    return host, port, parts.path.rstrip("/")
