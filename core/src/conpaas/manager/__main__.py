"""The manager's process: ``python -m conpaas.manager``, run by the machine's supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from conpaas import config, files
from conpaas.api import ManagerDesk
from conpaas.certificates import Identity, Role, Verifier
from conpaas.machine.places import Places
from conpaas.machine.renew import Renewal
from conpaas.manager.application import ApplicationManager
from conpaas.manager.book import STEPS
from conpaas.manager.config import ManagerConfig
from conpaas.manager.server import make_app
from conpaas.manager.watch import Watch
from conpaas.manager.ways import HttpWays, Ways
from conpaas.plugins import Plugins
from conpaas.records import Records
from conpaas.rpc import stub
from conpaas.serving import serve
from conpaas.transport import Peers, TlsFiles
from conpaas.web import App


def main(root: Path = Path("/")) -> None:
    """Serve this machine's manager, whose files are all under ``root``."""
    places = Places(root)
    settings = config.load(ManagerConfig, places.configuration / "manager.toml", os.environ)
    section = settings.manager
    own = places.identity
    verifier = Verifier(own.ca.read_text(), section.deployment)
    peers = Peers(TlsFiles(own.ca, own.certificate, own.key), expect=Identity(Role.DIRECTOR))
    ways = HttpWays(peers, section.director_url, section.application)

    def build() -> App:
        database = places.state / "manager.db"
        fetch_state(ways, database)
        manager = ApplicationManager(
            settings,
            Plugins.installed(),
            Records(database, STEPS),
            ways,
            places.state,
            places.supervisor.log_file("manager"),
            places.supervisor,
            places,
        )
        manager.start()
        Watch(manager).start()
        manager.sampler.start()
        return make_app(manager, verifier)

    serve(
        build,
        places.sockets / "manager.sock",
        started=lambda app: Renewal(
            section.director_url, peers, verifier, own, places.supervisor
        ).start(),
    )


def fetch_state(ways: Ways, database: Path) -> None:
    """Take over what an earlier manager handed to the director, unless this one has its own."""
    if database.exists():
        return
    desk: ManagerDesk = stub(ManagerDesk, ways.desk())  # type: ignore[type-abstract]
    with files.receive(desk.take_over().pieces, database.parent, sys.maxsize) as received:
        if received.size:
            received.keep(database)


if __name__ == "__main__":
    main()
