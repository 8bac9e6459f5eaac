"""The ends of a run: the files that it reads and writes, and what a plan has to know of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from composer.compiler.graph import Graph
from composer.node.formats import has_alpha
from composer.node.node import Node
from composer.node.roles import Role


@dataclass(frozen=True)
class Ends:
    """What a run reads and writes: by node name, "" for every end that is not named here.

    What writes records has a name here or writes where its settings say: "" is the output.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    sinks: Mapping[str, str] = field(default_factory=dict)

    def source(self, node: str) -> str:
        return self.sources.get(node, self.sources.get("", ""))

    def sink(self, node: str, settings: Node | None = None) -> str:
        records = settings is not None and type(settings).role == Role.DATA
        return self.sinks.get(node, "" if records else self.sinks.get("", ""))


NO_ENDS: Final = Ends()


def fitted(graph: Graph, ends: Ends, *, live: bool) -> Graph:
    """The graph with the layouts of its ends, as far as they are known and matter.

    They do where a source has alpha or whole colours, or where what is written keeps them, as a PNG
    does. Everywhere else the layouts of codecs are the cheapest, and the graph stays as it is.
    """
    stored = {
        name: node.settings.stored_layout(ends.source(name), node.folder)
        for name, node in graph.nodes.items()
        if not node.cls.inputs
    }
    held = {
        name: node.layouts
        or _layouts(
            node.cls.inputs[0].name,
            node.settings.held_layouts(ends.sink(name, node.settings), live=live),
        )
        for name, node in graph.nodes.items()
        if node.cls.inputs and not node.cls.outputs
    }
    if not any(map(_is_more, stored.values())) and not any(map(keeps_chroma, held.values())):
        return graph
    nodes = {
        name: replace(node, stored=stored.get(name, ""), layouts=held.get(name, node.layouts))
        for name, node in graph.nodes.items()
    }
    return replace(graph, nodes=nodes)


def _layouts(port: str, names: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {port: names} if names else {}


def _is_more(layout: str) -> bool:
    """Whether pictures of a source hold more than codecs usually do."""
    return has_alpha(layout) or layout in ("rgb24", "yuv444p")


def keeps_chroma(layouts: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether an end would rather take colours that no pixels share."""
    return any(names[0] not in ("yuv420p", "yuv422p") for names in layouts.values())
