"""The agent's process: ``python -m conpaas.agent``, run by the machine's supervisor."""

from __future__ import annotations

import os
from pathlib import Path

from conpaas import config
from conpaas.agent.config import AgentConfig
from conpaas.agent.host import AgentHost
from conpaas.agent.server import make_app
from conpaas.certificates import Identity, Role, Verifier
from conpaas.machine.places import Places
from conpaas.machine.renew import Renewal
from conpaas.plugins import Plugins
from conpaas.records import Records
from conpaas.serving import serve
from conpaas.transport import Peers, TlsFiles
from conpaas.web import App


def main(root: Path = Path("/")) -> None:
    """Serve this machine's agent, whose files are all under ``root``."""
    places = Places(root)
    section = config.load(AgentConfig, places.configuration / "agent.toml", os.environ).agent
    files = places.identity
    verifier = Verifier(files.ca.read_text(), section.deployment)
    peers = Peers(TlsFiles(files.ca, files.certificate, files.key), expect=Identity(Role.DIRECTOR))

    def build() -> App:
        host = AgentHost(
            section,
            Plugins.installed(only=[section.service_type], for_agents=True),
            root,
            places.supervisor,
            Records(places.state / "agent.db"),
        )
        host.start()
        return make_app(host, verifier, section.application)

    serve(
        build,
        places.sockets / "agent.sock",
        started=lambda app: Renewal(
            section.director_url, peers, verifier, files, places.supervisor
        ).start(),
    )


if __name__ == "__main__":
    main()
