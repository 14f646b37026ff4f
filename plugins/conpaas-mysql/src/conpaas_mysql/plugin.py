"""The MySQL service: a Galera cluster on nodes that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conpaas import hookimpl
from conpaas.service import Image, Panel, Role, Service
from conpaas_mysql.parts import USER
from conpaas_mysql.prepared import image_script

if TYPE_CHECKING:
    from conpaas.frontend.service_view import ServiceView


@hookimpl
def conpaas_panels(service: ServiceView) -> list[Panel]:
    """Show how to reach the databases, how their nodes are doing, dumps and settings."""
    from conpaas_mysql.panels import panels

    return panels(service)


@hookimpl
def conpaas_service() -> Service:
    """Return the MySQL service type."""
    return Service(
        name="mysql",
        title="MySQL",
        summary="Runs a database cluster (MariaDB, Galera) in which every node takes writes.",
        manager="conpaas_mysql.manager:MysqlManager",
        loses="That is every database, on all nodes, and every backup. Save what you need to a "
        "file of yours first, by dump, while the service runs.",
        agent="conpaas_mysql.agent:MysqlAgent",
        roles=(
            Role(
                "mysql",
                "Holds all data, and answers queries",
                replace_lost=True,
                keep_address=True,
            ),
            Role(
                "glb",
                "Takes the connections and shares them out",
                replace_lost=True,
                keep_address=True,
            ),
        ),
        image=Image(
            packages=(
                "galera-4",
                "haproxy",
                "iproute2",
                "mariadb-backup",
                "mariadb-client",
                "mariadb-server",
                "openssl",
                "procps",
                "rsync",
                "socat",
                "stunnel4",
            ),
            # Who loads dumps: the database knows it by its name, and nobody can log in as it.
            # The package's own database is nobody's: ours are on volumes.
            script=f"id {USER} >/dev/null 2>&1 || useradd --system --user-group "
            f"--no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {USER}\n"
            "rm -rf /var/lib/mysql/*\n" + image_script(),
        ),
    )
