"""What is lost with a service is told by its type, before anything is."""

from dataclasses import replace

from conpaas import hookimpl
from conpaas.cli.build import _type_commands
from conpaas.plugins import Plugins


def test_a_type_adds_to_what_is_asked_before_a_service_is_removed(plugins):

    simple = plugins.service("simple")

    class Precious:
        @hookimpl
        def conpaas_service(self):
            return replace(simple, name="precious", loses="The jewels too: take them out first.")

    known = Plugins(precious=Precious())
    plain = _type_commands(simple)["remove"]["confirm"]
    told = _type_commands(known.service("precious"))["remove"]["confirm"]
    assert plain.startswith("The service, its code, its backups and all its data are lost")
    assert told == f"{plain} The jewels too: take them out first."
