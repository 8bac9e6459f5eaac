"""What the names in one pipeline file mean: its nodes, its ends, its sub-pipelines."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from composer.compiler.draft import Ref
from composer.compiler.location import Location
from composer.errors import Problem
from composer.pipeline.hints import did_you_mean


@dataclass
class Namespace:
    """The names of one file while its nodes are read, from top to bottom.

    prefix: what the full names of its nodes begin with. nodes, params: all names that are written.
    """

    prefix: str
    nodes: Collection[str]
    params: Collection[str]
    unusable: set[str] = field(default_factory=set)
    """Nodes that could not be read: nothing is said of what takes from them."""
    inlets: dict[str, Ref] = field(default_factory=dict)
    """Nodes that stand for what the file around feeds to this one."""
    outlets: dict[str, Ref] = field(default_factory=dict)
    """Nodes that stand for what this file gives to the one around it."""
    included: dict[str, "Namespace"] = field(default_factory=dict)
    """Sub-pipelines."""
    last: Ref | None = None
    """The newest node that gives something."""

    @property
    def gives(self) -> Ref | None:
        """What the whole file gives, as a sub-pipeline."""
        return next(iter(self.outlets.values()), self.last)

    def full(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def resolved(self, written: str, place: Location) -> Ref | Problem | None:
        """What `node` or `node.port` means here; None where its node could not be read."""
        name, dot, port = written.partition(".")
        if name in self.unusable or written in self.unusable:
            return None
        if name in self.inlets:
            ref = self.inlets[name]
            return Ref(ref.node, port or ref.port)
        if name in self.included:
            return self._output_of(name, port, place)
        if name not in self.nodes:
            message = place.as_written(f"{place.name}: there is no node {name!r}", name)
            return place.problem("unknown-node", message, hint=did_you_mean(name, self.nodes))
        if dot and not port:
            message = place.as_written(f"{place.name}: {written!r} names no output", written)
            return place.problem("unknown-port", message, hint=f"did you mean {name!r}?")
        return Ref(self.full(name), port)

    def _output_of(self, name: str, port: str, place: Location) -> Ref | Problem:
        included = self.included[name]
        if port and port in included.outlets:
            return included.outlets[port]
        main = included.gives
        if main is None:
            message = f"sub-pipeline {name!r} gives nothing"
            return place.problem("missing-input", message, key="in" not in place.path[2:])
        return Ref(main.node, port or main.port)

    def unknown_inputs(self, written: Iterable[str], place: Location) -> list[Problem]:
        """A Problem for each of these inputs that this file, as a sub-pipeline, does not have."""
        problems = []
        for name in written:
            if name not in self.inlets:
                message = f"{place.name} has no input {name!r}"
                hint = did_you_mean(name, self.inlets) or f"it takes {', '.join(self.inlets)}"
                at = place.below("in", name)
                problems.append(at.problem("unknown-port", message, key=True, hint=hint))
        return problems
