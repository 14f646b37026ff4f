"""What a service type is, but for the classes that carry it out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A part that a node can play.

    Args:
        name: As users type it: ``add_nodes --<name> 2``.
        summary: What such a node does, in a few words.
        fixed: Users neither add nor remove nodes of this role; the service sees to them.
        replace_lost: A node of this role that is lost is replaced by a new one at once.
        keep_address: Who replaces a lost node of this role gets its address, where the cloud can
            give it again: for nodes whose address people and programs know.
    """

    name: str
    summary: str
    fixed: bool = False
    replace_lost: bool = False
    keep_address: bool = False


@dataclass(frozen=True)
class Image:
    """What a service needs on its machines.

    Args:
        packages: Debian packages.
        script: A shell script, run as root in the image when it is built, after the packages.
    """

    packages: tuple[str, ...] = ()
    script: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceType:
    """A service type as people see it.

    Args:
        name: As users type it; also the name of the entry point and of the ``cps-<name>`` script.
        title: As pages show it.
        summary: One sentence that helps to choose it.
        roles: The first is the default: what ``--count`` means.
        image: What its machines carry.
        loses: What is lost with a service of this type, and how to keep it: said before it is
            removed.
    """

    name: str
    title: str
    roles: tuple[Role, ...]
    summary: str = ""
    image: Image = Image()
    loses: str = ""

    @property
    def default_role(self) -> Role:
        """The role of a node when nobody says which."""
        return self.roles[0]

    def losing(self, text: str) -> str:
        """Return what is asked before a service is removed, with what this type loses."""
        return f"{text} {self.loses}".strip()

    def role(self, name: str) -> Role | None:
        """Return the role of that name, if there is one."""
        return next((role for role in self.roles if role.name == name), None)
