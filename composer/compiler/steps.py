"""A graph and the Formats on its edges -> steps, converters among them, and the links between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from composer.compiler import options
from composer.compiler.conversions import conversion, same
from composer.compiler.graph import Edge, Graph, GraphNode
from composer.compiler.negotiation import Formats, end_of, start_of
from composer.compiler.plan import Link, Mode, Step
from composer.node.formats import Carrier, Kind
from composer.pipeline.spec import OnError


@dataclass(frozen=True)
class Wiring:
    """Steps in an order in which they can run, and the links between them, without inboxes yet."""

    steps: dict[str, Step] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    def into(self, step: str) -> Iterator[Link]:
        return (link for link in self.links if link.end == step)

    def feeds_one(self, step: str) -> bool:
        """Whether what a step gives goes over one link only."""
        return sum(link.start == step for link in self.links) == 1


def wired(graph: Graph, formats: Formats, mode: Mode) -> Wiring:
    """Each node as a step; where an edge needs a converter, this stands right before its end."""
    wiring = Wiring()
    for name, node in graph.nodes.items():
        for edge in graph.into(name):
            _link(wiring, edge, formats, graph)
        wiring.steps[name] = _step(graph, node, formats, mode)
    return wiring


def _link(wiring: Wiring, edge: Edge, formats: Formats, graph: Graph) -> None:
    start, end = formats[start_of(edge)], formats[end_of(edge)]
    if same(start, end):
        link = Link(edge.start, edge.start_port, edge.end, edge.end_port, start)
        wiring.links.append(link)
        return
    wanted = end.sized(start.width, start.height)
    name = _converter_name(edge, formats, graph)
    if name not in wiring.steps:
        way = conversion(start, end)
        assert way is not None, "an edge without a way was refused before"
        device = next((form.device for form in (start, wanted) if form.device != "cpu"), "cpu")
        wiring.steps[name] = Step(
            name, None, {"in": start}, {"out": wanted}, convert=way, device=device
        )
        wiring.links.append(Link(edge.start, edge.start_port, name, "in", start))
    wiring.links.append(Link(name, "out", edge.end, edge.end_port, wanted))


def _converter_name(edge: Edge, formats: Formats, graph: Graph) -> str:
    """All who take the same of an output share one converter, and so one name: `a:rgb24array`."""
    start, end = formats[start_of(edge)], formats[end_of(edge)]
    shape = {Carrier.ARRAY: "array", Carrier.TENSOR: f"@{end.device}"}.get(end.carrier, "")
    # A mask becomes a picture, so one beside a picture needs a converter of its own.
    alike = (Kind.PICTURE, Kind.MASK) if start.kind in (Kind.PICTURE, Kind.MASK) else (start.kind,)
    several = sum(port.kind in alike for port in graph.nodes[edge.start].cls.outputs) > 1
    output = f"{edge.start}.{edge.start_port}" if several else edge.start
    return f"{output}:{end.layout or end.kind}{shape}"


def _step(graph: Graph, node: GraphNode, formats: Formats, mode: Mode) -> Step:
    asked = node.options
    return Step(
        name=node.name,
        settings=node.settings,
        inputs={edge.end_port: formats[end_of(edge)] for edge in graph.into(node.name)},
        outputs={edge.start_port: formats[start_of(edge)] for edge in graph.out_of(node.name)},
        options=asked,
        folder=node.folder,
        stored=node.stored,
        when=node.when,
        fallback=asked.else_ or ("pass" if node.can_pass else "hold_last"),
        on_error=_on_error(node, mode),
        device=options.device(node),
    )


def _on_error(node: GraphNode, mode: Mode) -> OnError:
    """What was asked for; else a file ends there, and a stream goes on."""
    if node.options.on_error is not None:
        return node.options.on_error
    if mode is Mode.FILE:
        return "fail"
    return "pass" if node.can_pass else "hold_last"


def threads(graph: Graph, wiring: Wiring, mode: Mode) -> Mapping[str, int]:
    """Step -> threads that work for it."""
    live = mode is Mode.LIVE
    return {
        name: options.threads(graph.nodes[name], live=live) if name in graph.nodes else 1
        for name in wiring.steps
    }
