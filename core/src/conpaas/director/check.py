"""``cps-director check``: what is wrong with a configuration, and what to do about it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from conpaas.certificates import Authority
from conpaas.director.config import DirectorConfig
from conpaas.director.database import open_database, pending
from conpaas.director.make import make_clouds, own_files
from conpaas.errors import ConPaaSError
from conpaas.plugins import Plugins

PROGRAMS = {"nginx": "nginx-light", "s6-svscan": "s6"}
MIN_FREE = 1 << 30  #: bytes


def problems(config: DirectorConfig) -> list[str]:
    """Return what is wrong, a sentence each; empty when all is well."""
    found = []
    for check in (
        _url,
        _listen,
        _numbers,
        _programs,
        _directories,
        _clock,
        _authority,
        _database,
        _plugins,
        _clouds,
    ):
        try:
            found += list(check(config))
        except ConPaaSError as error:
            found.append(str(error))
    return found


def _url(config: DirectorConfig) -> Iterator[str]:
    parts = urlsplit(config.director.url)
    try:
        port = parts.port or 443
    except ValueError as error:
        yield f"[director] url is {config.director.url!r}: {error}"
        return
    if parts.scheme != "https" or not parts.hostname:
        yield f"[director] url is {config.director.url!r}: it must look like https://host:5555"
        return
    if parts.path not in ("", "/"):
        yield f"[director] url must have no path, not {parts.path!r}"
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(parts.hostname, None)}
    except OSError as error:
        yield f"[director] url: the host {parts.hostname!r} cannot be resolved: {error}"
        return
    if any(ipaddress.ip_address(address).is_loopback for address in addresses):
        yield (
            f"[director] url: {parts.hostname!r} is this machine's loopback: the machines that "
            "the director starts cannot reach it there"
        )
    ports = {text.rpartition(":")[2] for text in config.director.listen}
    if str(port) not in ports:
        yield (
            f"[director] url says port {port}, and listen has "
            f"{', '.join(sorted(ports)) or 'none'}: right only behind a proxy"
        )


def _listen(config: DirectorConfig) -> Iterator[str]:
    if not config.director.listen:
        yield "[director] listen is empty: name at least one address with port"
    for text in config.director.listen:
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            yield f"[director] listen has {text!r}: it must look like 0.0.0.0:5555"


def _numbers(config: DirectorConfig) -> Iterator[str]:
    for name in ("workers", "threads", "job_workers"):
        if getattr(config.director, name) < 1:
            yield f"[director] {name} must be at least 1"
    for name in ("boot_timeout", "token_lifetime", "certificate_lifetime"):
        if getattr(config.machines, name) <= 0:
            yield f"[machines] {name} must be more than 0 seconds"
    if config.machines.token_lifetime < config.machines.boot_timeout:
        yield "[machines] token_lifetime must not be shorter than boot_timeout"
    for name in vars(config.limits):
        if getattr(config.limits, name) < 1:
            yield f"[limits] {name} must be at least 1"


def _programs(config: DirectorConfig) -> Iterator[str]:
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            yield f"the program {program} is missing: apt install {package}"


def _directories(config: DirectorConfig) -> Iterator[str]:
    for key, path in (("data_dir", config.data), ("run_dir", config.run)):
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        if not there.is_dir():
            yield f"[director] {key}: {there} is not a directory"
        elif not os.access(there, os.W_OK):
            yield f"[director] {key}: {there} is not writable"
    there = next(parent for parent in (config.data, *config.data.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < MIN_FREE:
        yield f"[director] data_dir: only {free >> 20} MB are free under {there}"
    if config.data.exists() and config.data.stat().st_mode & 0o077:
        yield f"[director] data_dir: others may look into {config.data}: chmod 700 {config.data}"


def _clock(config: DirectorConfig) -> Iterator[str]:
    if time.time() < dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp():
        yield "this machine's clock is wrong: no certificate will be valid"


def _authority(config: DirectorConfig) -> Iterator[str]:
    if not (config.data / "authority" / "ca.pem").exists():
        yield "there is no certificate authority yet: run cps-director init"
        return
    authority = Authority.load(config.data / "authority")
    if authority.deployment != config.director.name:
        yield (
            f"[director] name is {config.director.name!r} and the authority in data_dir is that "
            f"of {authority.deployment!r}: a deployment cannot be renamed"
        )
    if not own_files(config).certificate.exists():
        yield "the director has no certificate: run cps-director init"


def _database(config: DirectorConfig) -> Iterator[str]:
    if not config.director.database_url and not (config.data / "director.db").exists():
        yield "there is no database yet: run cps-director init"
        return
    missing = pending(open_database(config.director.database_url, config.data))
    if missing:
        yield f"the database is behind by {', '.join(missing)}: run cps-director init"


def _plugins(config: DirectorConfig) -> Iterator[str]:
    plugins = Plugins.installed(config.director.plugins or None)
    for broken in plugins.broken:
        yield f"the plugin {broken.name} ({broken.distribution or '?'}): {broken.reason}"
    if not plugins.services:
        yield "no service type is installed: pip install a plugin that brings one"


def _clouds(config: DirectorConfig) -> Iterator[str]:
    if not config.clouds:
        yield 'no cloud is configured: add a section such as [clouds.local] with driver = "local"'
        return
    for name, cloud in make_clouds(config, Plugins.installed()).items():
        for problem in cloud.problems():
            yield f"[clouds.{name}] {problem}"
