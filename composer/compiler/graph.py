"""The graph of a pipeline file: every name, type and connection settled, and nothing loaded yet.

The nodes of sub-pipelines are among the others; they are called `outer/inner`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from composer.compiler.location import Location
from composer.compiler.params import Param
from composer.errors import Problem
from composer.models.weights import Weights
from composer.node.node import Node
from composer.pipeline.condition import Condition
from composer.pipeline.spec import Isolation, Options


@dataclass(frozen=True)
class GraphNode:
    """One node with its class, its checked settings and its options.

    when: the condition, its params by their full names. folder: where its files are found.
    layouts: port -> the pixel layouts that a run leaves to it, where it knows more than the node.
    stored: that in which a source's pictures are stored, "" where it is not known or does not
    matter (see ends.fitted).
    """

    name: str
    cls: type[Node]
    settings: Node
    options: Options
    folder: Path
    place: Location
    when: Condition | None = None
    scope: str = ""
    layouts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stored: str = ""

    @property
    def can_pass(self) -> bool:
        """Whether a frame can go by the node as it came: what it gives is what it takes."""
        inputs, outputs = self.cls.inputs, self.cls.outputs
        if not outputs:
            return bool(inputs)
        return bool(inputs) and len(outputs) == 1 and inputs[0].kind == outputs[0].kind


@dataclass(frozen=True)
class Edge:
    """ "This output feeds that input"."""

    start: str
    start_port: str
    end: str
    end_port: str

    def __str__(self) -> str:
        return f"{self.start}.{self.start_port} -> {self.end}.{self.end_port}"


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of one pipeline file after every name, type and cycle is checked.

    nodes are in topological order, and in the file's order where that leaves a choice. weights: all
    that the nodes load, each once. absent: a Problem for each of them that is not on this machine
    yet; it may be compiled, and not run. isolation: what its file says of it, if anything.
    """

    file: str
    capability: str
    nodes: Mapping[str, GraphNode]
    edges: tuple[Edge, ...]
    params: Mapping[str, Param]
    description: str = ""
    isolation: Isolation | None = None
    weights: tuple[Weights, ...] = ()
    absent: tuple[Problem, ...] = ()

    def into(self, node: str) -> Iterator[Edge]:
        return (edge for edge in self.edges if edge.end == node)

    def out_of(self, node: str) -> Iterator[Edge]:
        return (edge for edge in self.edges if edge.start == node)
