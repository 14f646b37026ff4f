"""One nutshell: where it is, what belongs to it, and its life from start to destroy."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conpaas.certificates import Identity, Role
from conpaas.clouds.local import LocalCloud
from conpaas.config import render
from conpaas.director import make, registration, serve, users
from conpaas.director.config import DirectorConfig
from conpaas.director.database import open_database
from conpaas.director.models import Token, User
from conpaas.errors import ConPaaSError, InvalidError, UnreachableError
from conpaas.images.build import DIRECTORY as IMAGES
from conpaas.images.build import build_local_image
from conpaas.images.prune import prune_images
from conpaas.nutshell.client import LINKS, Client
from conpaas.nutshell.first_commands import first_commands
from conpaas.plugins import Plugins
from conpaas.supervisor.s6 import Supervisor
from conpaas.transport import Peers, TlsFiles

PORT = 5555
USERNAME = "test"
TOKEN = "nutshell"  # noqa: S105 - its name
ANSWER_TIMEOUT = 60.0  #: seconds
PRUNING_TIME = 5.0  #: seconds of a start, in which more images go than a start ever makes
Say = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where a nutshell is; two with different names live side by side."""

    name: str = "nutshell"
    images: Path = IMAGES
    links: Path = LINKS

    @property
    def home(self) -> Path:
        """Everything of the nutshell, but the images."""
        return Path("/var/lib/conpaas") / self.name

    @property
    def config(self) -> Path:
        """The director's configuration."""
        return self.home / "director.toml"

    @property
    def bridge(self) -> str:
        """The network's bridge: at most 15 characters."""
        return f"cps-{self.name[:11]}"

    @property
    def prefix(self) -> str:
        """What the machines' names begin with."""
        return f"{self.name[:6]}-"


class Nutshell:
    """A director, its user and a local cloud on this machine.

    Args:
        places: Where.
        say: Told what happens, a line at a time.
    """

    def __init__(self, places: Places, say: Say) -> None:
        self._places = places
        self._say = say

    # -- start --------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up that is not; safe to repeat.

        Raises:
            ConPaaSError: Something is in the way; says what to do.
        """
        _require_root()
        image = self._image()
        self._say("bringing the network up")
        self._places.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._cloud(image).up()
        config = self._configure(image)
        for sentence in make.initialise(config):
            self._say(sentence)
        serve.define_processes(config, self._places.config)
        self._run_processes(config)
        self._wait_answer(config)
        password = self._first_user(config)
        self._client().install(config, self._token(config), make.own_files(config).ca)
        self._prune(image)
        self._tell(config, password)

    def _image(self) -> str:
        names = sorted(Plugins.installed().services)
        self._say(f"looking for a machine image with {', '.join(names) or 'no service types'}")
        return build_local_image(self._places.images, names, lambda text: self._say(f"  {text}"))

    def _prune(self, image: str) -> None:
        """Have updates not fill the disk with what their images leave behind."""
        try:
            prune_images(
                self._places.images, keep=[image], seconds=PRUNING_TIME, progress=self._say
            )
        except (ConPaaSError, OSError) as error:
            self._say(f"old machine images are still there: {error}")

    def _configure(self, image: str) -> DirectorConfig:
        cloud = self._cloud(image)
        address = f"{cloud.gateway}:{PORT}"
        text = render(
            {
                "director": {
                    "name": self._places.name,
                    "url": f"https://{address}",
                    "listen": [address],
                    "data_dir": str(self._places.home / "director"),
                    "run_dir": str(self._places.home / "run"),
                    "default_cloud": "local",
                },
                # Nobody reaches it but from this machine.
                "accounts": {"registration": "open"},
                "clouds.local": {"driver": "local", **self._cloud_section(image)},
            }
        )
        if self._places.config.exists():
            # Whoever added a cloud or a limit to it keeps that.
            text = _with_image(self._places.config.read_text(), image)
        self._places.config.touch(mode=0o600)
        self._places.config.write_text(text)
        return make.load_config(self._places.config)

    def _run_processes(self, config: DirectorConfig) -> None:
        keeper = serve.supervisor(config)
        if keeper.is_active():
            # A newer configuration, or newer code.
            self._say("starting the director anew")
            keeper.scan()
            for name in keeper.names():
                keeper.restart(name)
            return
        self._say("starting the director")
        with (self._places.home / "supervisor.log").open("ab") as log:
            subprocess.Popen(
                keeper.run_command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _wait_answer(self, config: DirectorConfig) -> None:
        peers = Peers(TlsFiles(make.own_files(config).ca), expect=Identity(Role.DIRECTOR))
        until = time.monotonic() + ANSWER_TIMEOUT
        while True:
            try:
                if peers.request(config.director.url, "GET", "/api/v1/version").status == 200:
                    return
                problem = "it is not ready"
            except UnreachableError as error:
                problem = str(error)
            if time.monotonic() > until:
                raise UnreachableError(
                    f"the director does not answer after {ANSWER_TIMEOUT:.0f} s ({problem}); its "
                    f"logs are in {config.data / 'log'}"
                )
            time.sleep(0.1)

    def _first_user(self, config: DirectorConfig) -> str | None:
        """Make the first user; return the password, None when there is a user already."""
        with open_database(config.director.database_url, config.data).connection_context():
            if User.get_or_none(User.username == USERNAME) is not None:
                return None
            password = secrets.token_urlsafe(12)
            registration.add_user(
                config, Plugins.installed(), registration.Profile(USERNAME), password, admin=True
            )
            return password

    def _token(self, config: DirectorConfig) -> str:
        with open_database(config.director.database_url, config.data).connection_context():
            user = User.get(User.username == USERNAME).id
            # The one before is nobody's from now on: only its hash is known.
            Token.delete().where(Token.user == user, Token.name == TOKEN).execute()
            return users.new_token(user, TOKEN)

    def _tell(self, config: DirectorConfig, password: str | None) -> None:
        self._say("")
        self._say(f"ConPaaS runs at {config.director.url}")
        if config.frontend.enabled:
            self._say(f"Open {config.director.url}/ in a browser to use its pages")
        if password is not None:
            self._say(f"User '{USERNAME}', password '{password}' (shown this once)")
        if password is None:
            self._say("cps-tools is set up for it. What you have: cps-tools application list")
            return
        self._say("cps-tools is set up for it. Try next:")
        self._say("")
        for command in first_commands(Plugins.installed()):
            self._say(f"  {command}")

    # -- status, stop, destroy ----------------------------------------------------------------

    def status(self) -> bool:
        """Tell what runs; return whether all of it does."""
        _require_root()
        if not self._places.config.exists():
            self._say(f"there is no nutshell {self._places.name!r}: make one with make nutshell")
            return False
        config = make.load_config(self._places.config)
        keeper = serve.supervisor(config)
        running = {name: keeper.pid(name) for name in keeper.names()} if keeper.is_active() else {}
        self._say(f"director: {config.director.url}")
        for name in keeper.names():
            self._say(
                f"  {name}: {f'running, pid {running[name]}' if running.get(name) else 'stopped'}"
            )
        machines = self._cloud().list_machines()
        self._say(f"machines: {len(machines)}")
        for machine in machines:
            self._say(f"  {machine.name}: {machine.state}, {machine.address}")
        return bool(running) and all(running.values())

    def stop(self) -> None:
        """Stop the director and its machines; start brings them back as they were."""
        _require_root()
        self._require_there()
        config = make.load_config(self._places.config)
        self._stop_processes(config)
        self._say("stopping the machines")
        self._cloud().halt()
        self._say("the nutshell is stopped; cps-nutshell start brings it back as it was")

    def destroy(self, keep_images: bool) -> None:
        """Destroy the nutshell with all its machines and data."""
        _require_root()
        if self._places.config.exists():
            self._stop_processes(make.load_config(self._places.config))
        if self._places.home.exists():
            self._say("destroying the machines and the network")
            self._cloud().down()
        self._client().remove()
        if self._places.home.exists():
            shutil.rmtree(self._places.home)
        if not keep_images and self._places.images.exists():
            self._remove_images()
        self._say("nothing of the nutshell is left")

    def _remove_images(self) -> None:
        others = self._places.images / ".users"
        if others.is_dir() and any(others.iterdir()):
            self._say(f"{self._places.images} is kept: other machines use its images")
            return
        self._say("removing the machine images")
        shutil.rmtree(self._places.images)

    def _stop_processes(self, config: DirectorConfig) -> None:
        keeper: Supervisor = serve.supervisor(config)
        if keeper.is_active():
            self._say("stopping the director")
            keeper.shutdown()

    # -- its parts ----------------------------------------------------------------------------

    def _cloud_section(self, image: str) -> dict[str, Any]:
        return {
            "directory": str(self._places.home / "local"),
            "images": str(self._places.images),
            "image": image,
            "bridge": self._places.bridge,
            "prefix": self._places.prefix,
        }

    def _cloud(self, image: str = "") -> LocalCloud:
        settings = LocalCloud.Settings(**self._cloud_section(image))
        return LocalCloud("local", settings, self._places.name)

    def _client(self) -> Client:
        return Client(self._places.home / "client.json", self._say, self._places.links)

    def _require_there(self) -> None:
        if not self._places.config.exists():
            raise InvalidError(f"there is no nutshell {self._places.name!r}")


def _with_image(text: str, image: str) -> str:
    """Return the configuration with another image for the local cloud."""
    section = r'(?m)^(\[clouds\.local\]\n(?:[^\[\n].*\n|\n)*?image = )".*"$'
    return re.sub(section, lambda found: f'{found[1]}"{image}"', text, count=1)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise InvalidError("a nutshell makes machines and a network: run it as root (sudo)")
