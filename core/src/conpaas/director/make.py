"""Building a director from its configuration."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conpaas import config as files
from conpaas.certificates import Authority, Identity, Role, new_key
from conpaas.clouds.base import Cloud
from conpaas.director.api import objects
from conpaas.director.config import DirectorConfig
from conpaas.director.database import migrate, open_database
from conpaas.director.director import Director
from conpaas.director.queue import HueyQueue
from conpaas.director.ways import HttpManagerWays
from conpaas.errors import InvalidError
from conpaas.files import write
from conpaas.machine.places import IdentityFiles
from conpaas.nearest import did_you_mean
from conpaas.plugins import Plugins
from conpaas.transport import Peers, TlsFiles

#: Of the director's own certificate; it is renewed when a third of it is left.
CERTIFICATE_LIFETIME = dt.timedelta(days=90)
logger = logging.getLogger(__name__)


def load_config(path: Path) -> DirectorConfig:
    """Read the configuration.

    Raises:
        InvalidError: See :func:`conpaas.config.load`.
    """
    return files.load(DirectorConfig, path, os.environ)


def make_clouds(config: DirectorConfig, plugins: Plugins) -> dict[str, Cloud]:
    """Return the configured clouds by name.

    Raises:
        InvalidError: One has no driver, an unknown one or wrong settings.
    """
    clouds: dict[str, Cloud] = {}
    for name, section in config.clouds.items():
        where = f"[clouds.{name}]"
        settings: dict[str, Any] = dict(section)
        driver = settings.pop("driver", None)
        if driver is None:
            raise InvalidError(
                f"{where} must have the key 'driver'{did_you_mean('', plugins.clouds)}"
            )
        if driver not in plugins.clouds:
            near = did_you_mean(str(driver), plugins.clouds)
            raise InvalidError(f"{where}: there is no driver {driver!r}{near}")
        kind = plugins.clouds[driver]
        given = files.section(kind.Settings, settings, where)
        clouds[name] = kind(name, given, config.director.name)
    if config.director.default_cloud not in clouds:
        raise InvalidError(
            f"[director] default_cloud is {config.director.default_cloud!r}, and there is no "
            f"section [clouds.{config.director.default_cloud}]"
        )
    return clouds


def initialise(config: DirectorConfig) -> list[str]:
    """Make what a director needs that is not there: database, authority, certificate.

    Repeating it changes nothing.

    Returns:
        What was done, a sentence each.
    """
    done = []
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = not (config.data / "authority" / "ca.pem").exists()
    authority = Authority.create(config.data / "authority", config.director.name)
    if fresh:
        done.append(f"made the certificate authority of {config.director.name!r}")
    applied = migrate(open_database(config.director.database_url, config.data))
    if applied:
        done.append(f"brought the database up to date ({', '.join(applied)})")
    if renew_certificate(config, authority):
        done.append("issued the director's certificate")
    if config.frontend.enabled and renew_frontend(config, authority):
        done.append("issued the frontend's certificate")
    return done


def renew_certificate(config: DirectorConfig, authority: Authority) -> bool:
    """Issue the director's certificate if it is missing or a third of its life is left.

    Returns:
        Whether there is a new one.
    """
    hosts = {urlsplit(config.director.url).hostname or "", "localhost", "127.0.0.1"}
    hosts |= {socket.gethostname()}
    return issue(authority, Identity(Role.DIRECTOR), own_files(config), hosts - {""})


def renew_frontend(config: DirectorConfig, authority: Authority) -> bool:
    """Issue the certificate of the frontend beside this director, and write its configuration.

    Returns:
        Whether there is a new certificate.
    """
    identity = frontend_files(config)
    changed = issue(authority, Identity(Role.FRONTEND), identity, set())
    text = files.render(
        {
            "frontend": {
                "director_url": _own_url(config),
                "data_dir": str(identity.directory),
                "run_dir": str(config.run),
                "threads": config.frontend.threads,
                "metrics_token": config.frontend.metrics_token,
                "plugins": config.director.plugins,
            }
        }
    )
    write(identity.directory / "frontend.toml", text, 0o600)
    return changed


def issue(
    authority: Authority, identity_of: Identity, identity: IdentityFiles, hosts: set[str]
) -> bool:
    """Issue a server's certificate if it is missing or a third of its life is left.

    Args:
        authority: Who issues it.
        identity_of: Whose it is.
        identity: Where it is, with its key and the authority's own.
        hosts: Names and addresses that it must be good for.

    Returns:
        Whether there is a new one.
    """
    from cryptography import x509

    identity.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity.ca.write_text(authority.ca_pem)
    if identity.certificate.exists():
        present = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
        left = present.not_valid_after_utc - dt.datetime.now(dt.UTC)
        if left > CERTIFICATE_LIFETIME / 3 and hosts <= _hosts_of(present):
            return False
    key = new_key()
    pem = authority.issue(_public(key), identity_of, CERTIFICATE_LIFETIME, sorted(hosts))
    identity.replace(key, pem)
    return True


def own_files(config: DirectorConfig) -> IdentityFiles:
    """Return where the director's own certificate is."""
    return IdentityFiles(config.data / "identity")


def frontend_files(config: DirectorConfig) -> IdentityFiles:
    """Return where the certificate of the frontend beside this director is."""
    return IdentityFiles(config.data / "frontend")


def _own_url(config: DirectorConfig) -> str:
    """Return where this director is reached from its own machine."""
    host, _, port = config.director.listen[0].rpartition(":")
    return f"https://{'127.0.0.1' if host in ('0.0.0.0', '[::]', '') else host}:{port}"  # noqa: S104 - only compared


def make_director(config: DirectorConfig, worker: str = "") -> tuple[Director, HueyQueue, Peers]:
    """Build a director that works for real.

    Returns:
        The director, the queue of its jobs, its connections.
    """
    plugins = Plugins.installed(config.director.plugins or None)
    database = open_database(config.director.database_url, config.data)
    authority = Authority.load(config.data / "authority")
    files_ = own_files(config)
    peers = Peers(TlsFiles(files_.ca, files_.certificate, files_.key))
    queue = HueyQueue(database)
    director = Director(
        config,
        database,
        plugins,
        make_clouds(config, plugins),
        authority,
        HttpManagerWays(peers),
        queue,
        objects(plugins),
        worker,
    )
    queue.run = director.jobs.run
    return director, queue, peers


def _hosts_of(certificate: Any) -> set[str]:
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def _public(key_pem: str) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    public = load_pem_private_key(key_pem.encode(), None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
