"""A PHP service whose nodes serve nothing, for tests of its pages: its operations, and no more."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from conpaas import hookimpl
from conpaas.errors import AgentError, InvalidError
from conpaas.features.code.agent import CodeAgent
from conpaas.features.code.manager import CodeManager
from conpaas.manager.base import Node
from conpaas.plugins import Plugins
from conpaas.rpc import Job, Progress, expose
from conpaas.service import Role, Service
from conpaas.state import State

Switch = Literal["On", "Off"]
ANSWER = "HTTP 500 at / on node-2 (198.18.0.3); the old version stays.\n<h1>Parse error</h1>\n  x"


class IdleAgent(CodeAgent):
    """Keeps code and runs none."""


@dataclass(frozen=True)
class Address:
    """Where the application is."""

    url: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class PhpConfig:
    """What PHP is told."""

    memory_limit: str = "128M"
    upload_max_filesize: str = "2M"
    post_max_size: str = "8M"
    max_execution_time: int = 30
    disable_functions: str = "pcntl_exec,pcntl_fork"
    display_errors: str = "Off"
    log_errors: str = "Off"
    date_timezone: str = "UTC"


@dataclass(frozen=True)
class WebConfig:
    """How it is served."""

    permalinks: str = "on"
    health_path: str = "/"
    health_status: int | None = None
    kept_directories: tuple[str, ...] = ()


class HostingManager(CodeManager[IdleAgent]):
    """Has the operations of a PHP service."""

    first_roles = ("proxy",)

    def on_start(self, nodes: list[Node]) -> None:
        """Do nothing: nobody asks."""

    def initial_code(self) -> tuple[str, bytes]:
        """Return an archive without files."""
        packed = io.BytesIO()
        tarfile.open(fileobj=packed, mode="w").close()
        return "code-default.tar", packed.getvalue()

    def put_code(self, version: object, nodes: Sequence[Node]) -> Job[None]:
        """Refuse what is called broken."""
        yield Progress(20, "checking the new version")
        if self.active_code is not version and "broken" in version.filename:  # type: ignore[attr-defined]  # versions have it
            raise AgentError(ANSWER)

    def list_nodes(self):
        """Show what the first proxy does for others as well."""
        own = {node.role for node in self.nodes}
        rows = super().list_nodes()
        extra = [role for role in ("web", "backend") if role not in own]
        first = next((row for row in rows if row.role == "proxy"), None)
        return [
            dataclasses.replace(row, role=", ".join([row.role, *extra])) if row is first else row
            for row in rows
        ]

    def check_add(self, counts):
        """Refuse a second proxy while the first does everything."""
        own = {node.role for node in self.nodes} | set(counts)
        if "proxy" in counts and not {"web", "backend"} <= own:
            raise InvalidError(
                "Cannot add more proxy servers without at least one stand-alone 'web' node and "
                "one stand-alone 'backend' node"
            )

    def foresee(self, more, fewer):
        """Say what moves."""
        first = self.nodes[0]
        own = {node.role for node in self.nodes}
        return [
            f"the {role} moves from {first.id} ({first.address}) to a node of its own"
            for role in more
            if role not in own
        ]

    @expose(reads=True)
    def get_address(self) -> Address:
        """Show where the application is."""
        proxies = [f"http://{n.address}/" for n in self.nodes if n.role == "proxy"]
        return Address(proxies[0], tuple(proxies[1:]))

    @expose(reads=True)
    def get_php_config(self) -> PhpConfig:
        """Show the settings of PHP."""
        return PhpConfig(**self.store.get("php", {}))

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING), meanwhile=State.ADAPTING,
        resumes=True, done="PHP settings changed.",
    )  # fmt: skip
    def set_php_config(
        self,
        memory_limit: Annotated[str | None, "Memory of one request: 64M, 1G"] = None,
        upload_max_filesize: Annotated[str | None, "Largest file that is uploaded"] = None,
        post_max_size: Annotated[str | None, "Largest request; not below the file"] = None,
        max_execution_time: Annotated[int | None, "Seconds of one request"] = None,
        disable_functions: Annotated[str | None, "Functions that code cannot call"] = None,
        display_errors: Annotated[Switch | None, "Whether visitors see errors"] = None,
        log_errors: Annotated[Switch | None, "Whether errors go to the log"] = None,
        date_timezone: Annotated[str | None, "For dates: Europe/Amsterdam"] = None,
    ) -> Job[None]:
        """Change settings of PHP."""
        given = {
            k: v for k, v in locals().items() if k in PhpConfig.__annotations__ and v is not None
        }
        if given.get("memory_limit") == "lots":
            raise InvalidError("memory_limit: 'lots' is no size: say for example 256M or 1G")
        yield Progress(0, "telling the backends")
        self.store["php"] = {**self.store.get("php", {}), **given}

    @expose(states=(State.RUNNING,), done="Debug mode set to '{mode}'.")
    def debug(self, mode: Annotated[Literal["on", "off"], "Whether visitors see errors"]) -> None:
        """Show errors to visitors, or hide them."""
        self.store["php"] = {**self.store.get("php", {}), "display_errors": mode.capitalize()}

    @expose(reads=True)
    def get_web_config(self) -> WebConfig:
        """Show how the application is served."""
        kept = self.store.get("web", {})
        return WebConfig(**{**kept, "kept_directories": tuple(kept.get("kept_directories", ()))})

    @expose(done="Settings changed.")
    def set_web_config(
        self,
        permalinks: Annotated[Literal["on", "off"] | None, "Pretty addresses"] = None,
        health_path: Annotated[str | None, "What is asked of a new version"] = None,
        health_status: Annotated[int | None, "The status it must answer with"] = None,
        kept_directories: Annotated[tuple[str, ...] | None, "What all versions share"] = None,
    ) -> None:
        """Change how the application is served."""
        given = {
            k: v for k, v in locals().items() if k in WebConfig.__annotations__ and v is not None
        }
        self.store["web"] = {**self.store.get("web", {}), **given}


def hosting_plugins() -> Plugins:
    """Return what is installed, with this in the place of the PHP service."""
    from conpaas_php import plugin

    class _Php:
        # Its templates and pictures are found beside it.
        __file__ = plugin.__file__
        conpaas_panels = staticmethod(plugin.conpaas_panels)

        @hookimpl
        def conpaas_service(self) -> Service:
            return Service(
                name="php", title="PHP", summary="Hosts PHP applications.",
                manager=HostingManager, agent=IdleAgent,
                roles=(
                    Role("backend", "Runs PHP"), Role("web", "Serves files"),
                    Role("proxy", "Is asked by browsers"),
                ),
            )  # fmt: skip

    made = Plugins.installed()
    others = {name: module for name, module in made.modules.items() if name != "php"}
    return Plugins(**others, php=_Php())
