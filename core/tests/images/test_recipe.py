"""A recipe is what core and the plugins declare, and its name says what is in it."""

import pytest

from conpaas import hookimpl
from conpaas.agent.base import ServiceAgent
from conpaas.errors import NotFoundError
from conpaas.images.recipe import PACKAGES, Recipe
from conpaas.manager.base import ServiceManager
from conpaas.plugins import Plugins
from conpaas.service import Image, Role, Service


class Greeter:
    @hookimpl
    def conpaas_service(self):
        image = Image(packages=("cowsay", "curl"), script="echo made > /etc/made\n")
        return Service(
            name="greeter",
            title="Greeter",
            manager=ServiceManager,
            agent=ServiceAgent,
            roles=(Role("node", "Greets"),),
            image=image,
        )


class Everywhere:
    @hookimpl
    def conpaas_image(self, image):
        assert image.packages == PACKAGES
        return Image(packages=("rsync",))


def test_a_recipe_has_the_packages_of_core_the_services_and_the_hooks_once_each():
    recipe = Recipe.of(["greeter"], Plugins(greeter=Greeter(), everywhere=Everywhere()))
    assert recipe.packages == tuple(sorted({*PACKAGES, "cowsay", "rsync"}))
    assert recipe.scripts == ("echo made > /etc/made\n",)


def test_services_that_are_not_asked_for_bring_nothing():
    assert Recipe.of([], Plugins(greeter=Greeter())) == Recipe()


def test_an_unknown_service_is_refused():
    with pytest.raises(NotFoundError, match="did you mean 'greeter'"):
        Recipe.of(["greter"], Plugins(greeter=Greeter()))


def test_the_name_follows_what_is_in_it_and_nothing_else():
    assert Recipe(("a", "b")).name == Recipe(("a", "b")).name
    names = {Recipe(("a",)).name, Recipe(("a", "b")).name, Recipe(("a",), ("true",)).name}
    assert len(names) == 3


def test_a_recipe_can_be_read():
    lines = str(Recipe(("a", "b"), ("true\n",))).splitlines()
    assert lines[0].startswith("# base-")
    assert lines[1:] == ["a", "b", "# script", "true"]
