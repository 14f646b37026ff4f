"""A plugin with every kind of parameter, and a command of its own, as texts."""

PLUGIN = '''\
"""A service type that has every kind of parameter."""

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.manager.base import ServiceManager
from conpaas.rpc import Download, Job, Upload, expose
from conpaas.schema import DETAIL, Option
from conpaas.service import Role, Service


class Flour(enum.StrEnum):
    WHEAT = "wheat"
    RYE = "rye"


@dataclass(frozen=True)
class Cake:
    number: int
    name: str
    note: str | None
    recipe: Annotated[str, DETAIL] = ""


class Manager(ServiceManager[ServiceAgent]):
    @expose()
    def bake(
        self,
        name: Annotated[str, "What to bake"],
        weight: float,
        flour: Flour,
        warm: bool,
        pieces: Annotated[int, "How many"] = 12,
        size: Annotated[Literal["small", "large"], "How big", Option("-s")] = "small",
        with_cream: bool = False,
        glaze: bool = True,
        toppings: tuple[str, ...] = (),
        oven_settings: dict[str, Any] | None = None,
        fresh: bool | None = None,
    ) -> Cake:
        """Bake a cake.

        It takes as long as it takes.

        Args:
            name: Not shown.
        """

    @expose(reads=True)
    def list_cakes(self) -> list[Cake]:
        """List the cakes."""

    @expose(reads=True)
    def list_keys(self) -> list[str]:
        """List the keys."""

    @expose(reads=True)
    def get_recipe(self, format: Annotated[str, "Which", Option("-f")] = "short") -> str:
        """Show the recipe."""

    @expose(done="Cake '{result}' uploaded to {service} as {description}.")
    def upload_cake(self, cake: Annotated[Upload, "It"], description: str = "none") -> str:
        """Upload a cake."""

    @expose(reads=True)
    def download_cake(
        self, version: Annotated[str | None, "Which", Option("-v")] = None
    ) -> Download:
        """Download a cake."""

    @expose(reads=True, prints=True)
    def print_cake(self) -> Download:
        """Print a cake."""

    @expose(done="Password of '{user}' updated.")
    def set_password(
        self,
        password: Annotated[str, Option("-p", secret=True, positional=False)],
        user: str = "baker",
    ) -> None:
        """Set the password."""

    @expose(done="Label '{name}' written.")
    def write_label(
        self,
        name: str,
        text: Annotated[str | None, Option(secret=True, positional=True, asked="secret")] = None,
        secret: bool = False,
    ) -> None:
        """Write a label."""

    @expose(confirm="The cake is lost.", done="Cake {name} eaten.")
    def eat(self, name: str) -> None:
        """Eat a cake."""

    @expose()
    def rest(self, minutes: Annotated[int, Option(positional=True)] = 5) -> Job[None]:
        """Let the dough rest."""

    @expose(hidden=True)
    def secret_of_the_house(self) -> str:
        """Be silent."""

    def on_start(self, nodes: list[Any]) -> None:
        pass


@hookimpl
def conpaas_service() -> Service:
    return Service(
        name="bakery",
        title="Bakery",
        manager=Manager,
        agent=ServiceAgent,
        roles=(Role("oven", "Bakes"), Role("counter", "Sells"), Role("cellar", "", fixed=True)),
    )


@hookimpl
def conpaas_commands(commands: Any) -> None:
    commands.add("bakery taste", "conpaas_bakery.written:Taste")
'''
WRITTEN = '''\
"""A hand-written command."""

from cliff.command import Command


class Taste(Command):
    """Taste a cake."""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument("cake")
        parser.add_argument("--twice", action="store_true", help="Once more")
        return parser

    def take_action(self, parsed_args):
        answer = self.app.director.call("/application/list", {})
        again = " Again." if parsed_args.twice else ""
        print(f"{parsed_args.cake} for {len(answer.result)}.{again}")
        return 3 if parsed_args.cake == "mouldy" else 0
'''
