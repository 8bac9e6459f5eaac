"""A graph while it grows, with all that is known to be wrong with it so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from composer.compiler.graph import GraphNode
from composer.compiler.location import Location
from composer.compiler.params import Param
from composer.errors import Problem
from composer.models.weights import Weights
from composer.node.registry import Registry
from composer.pipeline.document import Document

Load = Callable[[Path, str], Document]
"""(path, shown name) -> Document; raises OSError."""


@dataclass(frozen=True)
class Ref:
    """A reference to an output: a node and, where written, its port."""

    node: str
    port: str = ""


@dataclass(frozen=True)
class Intake:
    """What an input takes: what `in` says, or the node above. port: "" for whichever fits.

    place: of the `in`, or of the whole node.
    """

    node: str
    port: str
    ref: Ref
    place: Location

    @property
    def is_written(self) -> bool:
        """Whether an `in` names it; else it is the node above."""
        return "in" in self.place.path[2:]

    def problem(self, code: str, message: str, hint: str = "") -> Problem:
        if self.is_written:
            return self.place.problem(code, message, hint=hint)
        hint = hint or "it takes the node above it; write `in:` to take another"
        return self.place.problem(code, message, key=True, hint=hint)


@dataclass
class Draft:
    """The graph while it grows. Owned by build(); the readers of its files add to it."""

    registry: Registry
    load: Load
    problems: list[Problem] = field(default_factory=list)
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    intakes: list[Intake] = field(default_factory=list)
    params: dict[str, Param] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    """Nodes whose inputs were written as a mapping."""
    loose: set[str] = field(default_factory=set)
    """Nodes with a problem at one of their inputs: what else reaches them is not judged."""
    unset: set[str] = field(default_factory=set)
    """Nodes with a problem in their settings."""
    odd: set[str] = field(default_factory=set)
    """Nodes with an unknown field, or an option that cannot be used: what it would do is open."""
    weights: dict[Weights, None] = field(default_factory=dict)
    """The files of weights that nodes name, in the order of the file."""
    absent: list[Problem] = field(default_factory=list)
    vague: bool = False
    """Some node could not be read, so nobody knows what it would take and give."""
    includes: int = 0
    """How many nodes are sub-pipelines."""

    @property
    def sure(self) -> bool:
        """Whether a node that nothing takes is the mistake, and not what follows from another."""
        return not (self.vague or self.loose or self.unset)
