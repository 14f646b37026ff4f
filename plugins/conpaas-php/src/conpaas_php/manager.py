"""The part of the PHP service that runs on the application's manager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from conpaas.errors import InvalidError
from conpaas.kept_settings import from_store, to_store
from conpaas.rpc import Job, expose
from conpaas.state import State
from conpaas_php.agent import BackendPart, PhpAgent
from conpaas_php.default_code import FILENAME, default_code
from conpaas_php.settings import (
    DisplayErrors,
    ExecutionTime,
    Functions,
    LogErrors,
    MemoryLimit,
    OpenBasedir,
    PhpConfig,
    PostMax,
    TimeZone,
    UploadMax,
    size_in_bytes,
)
from conpaas_web.goal import BackendTask, Goal, RequestLimits
from conpaas_web.manager import WebManager

if TYPE_CHECKING:
    from conpaas.features.monitoring.charts import Chart

_STORE = "php_settings"
_PHP_OWN = re.compile(
    "PHPRC|PHP_INI_SCAN_DIR|PHP_VALUE|PHP_ADMIN_VALUE|PHP_SELF|PHP_AUTH_.*|FPM_.*"
)
#: Seconds of a request in which it does not compute but waits, for a database for instance.
_WAITING = 30


@dataclass(frozen=True)
class DebugMode:
    """Whether visitors see errors of the code: ``On`` or ``Off``."""

    debug_mode: str


class PhpManager(WebManager[PhpAgent]):
    """Directs the nodes that host a PHP application."""

    index_names: ClassVar[tuple[str, ...]] = ("index.php", "index.html")

    # -- what the library asks for ------------------------------------------------------------

    def initial_code(self) -> tuple[str, bytes]:
        """Return a page that says that it works."""
        return FILENAME, default_code()

    @property
    def language_settings(self) -> Mapping[str, str]:
        """The settings by PHP's names."""
        return self._config.to_php()

    def check_variable(self, name: str) -> None:
        """Refuse names by which PHP takes its own settings, or tells the code something else."""
        super().check_variable(name)
        if _PHP_OWN.fullmatch(name):
            raise InvalidError(f"PHP itself uses the name {name}: choose another")

    def run_backend(self, agent: PhpAgent, task: BackendTask) -> bool:
        """Have a node run PHP."""
        return agent.run_backend(
            part=BackendPart(
                proxies=task.proxies,
                settings=dict(task.settings),
                environment=dict(task.environment),
                sessions=task.sessions,
                timeout=task.seconds,
            )
        )

    def request_limits(self, goal: Goal) -> RequestLimits:
        """Return what PHP's settings allow."""
        return RequestLimits(
            body=size_in_bytes(goal.settings["post_max_size"]),
            seconds=int(goal.settings["max_execution_time"]) + _WAITING,
        )

    # -- given to users -----------------------------------------------------------------------

    @expose(reads=True)
    def get_php_config(self) -> PhpConfig:
        """Show the settings of PHP."""
        return self._config

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
    )
    def set_php_config(
        self,
        memory_limit: MemoryLimit = None,
        upload_max_filesize: UploadMax = None,
        post_max_size: PostMax = None,
        max_execution_time: ExecutionTime = None,
        disable_functions: Functions = None,
        display_errors: DisplayErrors = None,
        log_errors: LogErrors = None,
        date_timezone: TimeZone = None,
        open_basedir: OpenBasedir = None,
    ) -> Job[PhpConfig]:
        """Set how PHP runs the code; what is not given stays as it is.

        Running requests are finished with the old settings.  The code cannot change these by
        itself.
        """
        config = self._config.changed(
            {
                "memory_limit": memory_limit,
                "upload_max_filesize": upload_max_filesize,
                "post_max_size": post_max_size,
                "max_execution_time": max_execution_time,
                "disable_functions": disable_functions,
                "display_errors": display_errors,
                "log_errors": log_errors,
                "date_timezone": date_timezone,
                "open_basedir": open_basedir,
            }
        )
        yield from self._put(config, "changing the settings of PHP")
        return config

    @expose(
        states=(State.INIT, State.STOPPED, State.RUNNING, State.ERROR),
        meanwhile=State.ADAPTING,
        resumes=True,
        done="Debug mode set to '{debug_mode}'.",
    )
    def debug(
        self, mode: Annotated[Literal["on", "off"], "Whether visitors see errors of the code"]
    ) -> Job[DebugMode]:
        """Switch debug mode on or off: whether visitors see errors of the code."""
        config = replace(self._config, display_errors=mode)
        yield from self._put(config, f"switching debug mode {mode}")
        return DebugMode(mode.capitalize())

    def charts(self) -> tuple[Chart, ...]:
        """Return what proxies see, PHP's workers, and the machines."""
        from conpaas.features.monitoring.charts import Chart, Gauge

        web = super().charts()
        workers = Chart("PHP workers", "workers", (Gauge("conpaas_php_workers", by="state"),))
        return (*web[:3], workers, *web[3:])

    # -- how it is done -----------------------------------------------------------------------

    @property
    def _config(self) -> PhpConfig:
        return from_store(PhpConfig, self.store.get(_STORE, {}))

    def _put(self, config: PhpConfig, message: str) -> Job[None]:
        yield from self.change(replace(self.goal, settings=config.to_php()), message)
        self.store[_STORE] = to_store(config)
