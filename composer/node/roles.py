"""Roles: what a source or a sink is to the run or session around it, by whatever name."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from composer.node.node import Node


class Role(StrEnum):
    """What a class declares as its `role`; a node plays it where Node.plays_role() says so."""

    INPUT = "input"
    """A source that reads the input: ctx.ingress in a session, the file ctx.source in a run."""

    OUTPUT = "output"
    """A sink that writes the output: to ctx.egress in a session, to the file ctx.sink in a run."""

    DATA = "data"
    """A sink that writes lines of JSON: to ctx.data in a session, to the file ctx.sink in a job."""


class Member(Protocol):
    """A node of a graph, or a step of a plan; settings: None for a conversion."""

    @property
    def settings(self) -> "Node | None": ...


P = TypeVar("P", bound=Member)


def having(parts: Mapping[str, P], role: Role) -> dict[str, P]:
    """The parts whose class has a role, by name: also those that have an end of their own."""
    return {
        name: part
        for name, part in parts.items()
        if part.settings is not None and type(part.settings).role == role
    }


def playing(parts: Mapping[str, P], role: Role) -> dict[str, P]:
    """The parts that play a role, as their settings are, by name."""
    return {
        name: part
        for name, part in having(parts, role).items()
        if part.settings is not None and part.settings.plays_role()
    }
