"""Negotiation: one Format for each end of each edge, so that all together cost least."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from composer.compiler import options
from composer.compiler.conversions import LOST, cost, loses_alpha, loses_chroma, same
from composer.compiler.ends import keeps_chroma
from composer.compiler.graph import Edge, Graph, GraphNode
from composer.compiler.plan import Mode
from composer.compiler.solve import cheapest
from composer.device import cuda
from composer.errors import Problem
from composer.node.formats import ALPHA_YUV, Carrier, Format, Kind, has_alpha
from composer.node.node import Port

End = tuple[str, str, str]
"""An end of an edge: node, port, "in" or "out"."""

Formats = Mapping[End, Format]


def start_of(edge: Edge) -> End:
    return edge.start, edge.start_port, "out"


def end_of(edge: Edge) -> End:
    return edge.end, edge.end_port, "in"


def chosen(graph: Graph, mode: Mode) -> Formats:
    """The Format of each connected end, its size where the file says it. Raises TooTangled."""
    alpha = any(has_alpha(node.stored) for node in graph.nodes.values())
    chroma = any(keeps_chroma(node.layouts) for node in graph.nodes.values())
    return _Variables(graph, _sizes(graph), mode, alpha, chroma).solve()


def impossible(graph: Graph, formats: Formats) -> list[Problem]:
    """A Problem for each edge that no conversion can serve."""
    return [
        _no_way(graph, edge, formats)
        for edge in graph.edges
        if cost(formats[start_of(edge)], formats[end_of(edge)]) == float("inf")
    ]


def _no_way(graph: Graph, edge: Edge, formats: Formats) -> Problem:
    start, end, node = formats[start_of(edge)], formats[end_of(edge)], graph.nodes[edge.end]
    message = (
        f"{edge.end}.{edge.end_port} takes {end}, but {edge.start}.{edge.start_port} gives {start},"
        " and there is no way between them"
    )
    if node.options.in_ is None:
        return node.place.problem("type-mismatch", message, key=True)
    return node.place.below("in", edge.end_port).problem("type-mismatch", message)


def _sizes(graph: Graph) -> dict[End, tuple[int, int]]:
    """(width, height) on every end of every node, 0 where the file does not say."""
    sizes: dict[End, tuple[int, int]] = {}
    for name, node in graph.nodes.items():
        main = (0, 0)
        for edge in graph.into(name):
            size = sizes[end_of(edge)] = sizes[start_of(edge)]
            if edge.end_port == node.cls.inputs[0].name:
                main = size
        out = node.settings.picture_size(*main)
        for port in node.cls.outputs:
            pictured = port.formats[0].kind in (Kind.PICTURE, Kind.MASK)
            sizes[name, port.name, "out"] = out if pictured else (0, 0)
    return sizes


@dataclass
class _Variables:
    """The choice of a Format for each connected end, as variables for solve.cheapest()."""

    graph: Graph
    sizes: Mapping[End, tuple[int, int]]
    mode: Mode
    alpha: bool
    """Whether a source is known to have alpha. Else no layout is tried that only alpha needs."""
    chroma: bool
    """Whether an end keeps whole colours, so that pixels must not share them on the way."""
    domains: dict[str, tuple[Format, ...]] = field(default_factory=dict)
    variable: dict[End, str] = field(default_factory=dict)

    def solve(self) -> dict[End, Format]:
        """Raises TooTangled."""
        unary: dict[str, list[float]] = {}
        pairs: dict[tuple[str, str], list[list[float]]] = {}
        for node in self.graph.nodes.values():
            self._add(node, unary, pairs)
        for edge in self.graph.edges:
            one, other = self.variable[start_of(edge)], self.variable[end_of(edge)]
            weight = self._weight(start_of(edge))
            _join(pairs, one, other, self._costs(one, other, weight))
        best = cheapest(unary, pairs)
        return {
            end: self.domains[name][best[name]].sized(*self.sizes.get(end, (0, 0)))
            for end, name in self.variable.items()
        }

    def _add(
        self,
        node: GraphNode,
        unary: dict[str, list[float]],
        pairs: dict[tuple[str, str], list[list[float]]],
    ) -> None:
        fed = {edge.end_port for edge in self.graph.into(node.name)}
        for port in node.cls.inputs:
            if port.name in fed:
                self._variable((node.name, port.name, "in"), self._open_to(node, port), unary)
        main = next((port for port in node.cls.inputs if port.name in fed), None)
        if self.chroma:
            self._keep_colours(node, fed, pairs)
        for port in node.cls.outputs:
            end = (node.name, port.name, "out")
            tied = port.tied if port.tied in fed else ""
            if not tied and main is not None and _passes(node) and node.can_pass:
                # What has no Format in common is converted when a frame passes.
                both = (self._open_to(node, passed) for passed in (main, port))
                tied = main.name if _meet(*both) else ""
            if tied:
                self._tie(end, (node.name, tied, "in"), port, unary)
                continue
            self._variable(end, self._open_to(node, port), unary)
            if main is not None and main.kind == port.kind == "picture":
                one, other = self.variable[node.name, main.name, "in"], self.variable[end]
                rows = self._costs(one, other, self._weight(end))
                _join(pairs, one, other, [[0.5 * price for price in row] for row in rows])
            elif main is None and port.kind == "picture" and len(port.formats) > 1:
                native = Format(Kind.PICTURE, node.stored or "yuv420p", Carrier.FRAME)
                asked = self.mode is Mode.LIVE and node.options.device.startswith("cuda")
                for index, form in enumerate(self.domains[self.variable[end]]):
                    # A stream can be decoded there; what is in a file goes up from here.
                    there = asked and form.device != "cpu"
                    unary[self.variable[end]][index] += 0.0 if there else self._cost(native, form)

    def _keep_colours(
        self, node: GraphNode, fed: set[str], pairs: dict[tuple[str, str], list[list[float]]]
    ) -> None:
        """What a node lays over its first picture has its colours in the layout of that one."""
        pictured = [
            self.variable[node.name, port.name, "in"]
            for port in node.cls.inputs
            if port.name in fed and port.kind == "picture"
        ]
        for other in pictured[1:]:
            mine, main = self.domains[other], self.domains[pictured[0]]
            _join(
                pairs, other, pictured[0], [[loses_chroma(a, b) * LOST for b in main] for a in mine]
            )

    def _variable(
        self, end: End, formats: tuple[Format, ...], unary: dict[str, list[float]]
    ) -> None:
        name = f"{end[0]} {end[1]} {end[2]}"
        self.variable[end] = name
        self.domains[name] = formats
        # What a port names first it prefers, but never at the price of a conversion.
        unary[name] = [index * 1e-3 for index in range(len(formats))]

    def _tie(self, end: End, to: End, port: Port, unary: dict[str, list[float]]) -> None:
        """This output always has the Format of that input."""
        name = self.variable[to]
        self.variable[end] = name
        both = [
            (form, price)
            for form, price in zip(self.domains[name], unary[name], strict=True)
            if any(same(form, other) for other in port.formats)
        ]
        if both:
            self.domains[name] = tuple(form for form, _ in both)
            unary[name] = [price for _, price in both]

    def _costs(self, one: str, other: str, weight: float) -> list[list[float]]:
        mine, theirs = self.domains[one], self.domains[other]
        return [[self._cost(a, b, weight) for b in theirs] for a in mine]

    def _cost(self, start: Format, end: Format, weight: float = 1.0) -> float:
        """What the way costs by the size of the picture, and what is lost on it, by no size."""
        lost = (self.alpha and loses_alpha(start, end)) + (self.chroma and loses_chroma(start, end))
        return cost(start, end) * weight + lost * LOST

    def _open_to(self, node: GraphNode, port: Port) -> tuple[Format, ...]:
        formats = _narrowed(node, port, self.mode)
        if self.alpha:
            return formats
        return tuple(form for form in formats if form.layout != ALPHA_YUV)

    def _weight(self, end: End) -> float:
        """Size of the picture in 720p pictures; one where it is not known."""
        width, height = self.sizes.get(end, (0, 0))
        return width * height / (1280 * 720) if width and height else 1.0


def _narrowed(node: GraphNode, port: Port, mode: Mode) -> tuple[Format, ...]:
    """The Formats of a port that the node's settings leave."""
    names = node.layouts.get(port.name) or node.settings.port_layouts(port.name)
    if mode is Mode.LIVE:
        names = names or node.settings.live_layouts(port.name)
    formats = _on_its_device(node, port.formats)
    if not names:
        return formats
    return tuple(form for name in names for form in formats if form.layout == name)


def _on_its_device(node: GraphNode, formats: tuple[Format, ...]) -> tuple[Format, ...]:
    """The Formats of a port with the device of its node.

    Where a port of a model takes pictures on the host as well as tensors, the device decides which;
    elsewhere the solver does.
    """
    device = options.device(node)
    tensors = tuple(form for form in formats if form.carrier is Carrier.TENSOR)
    if not tensors:
        return formats
    hosted = tuple(form for form in formats if form.carrier is not Carrier.TENSOR)
    if hosted and (device == "cpu" or not cuda.has_torch()):
        return hosted
    there = tuple(replace(form, device=device) for form in tensors)
    return there if node.cls.by_settings or not hosted else (*hosted, *there)


def _join(
    pairs: dict[tuple[str, str], list[list[float]]], one: str, other: str, rows: list[list[float]]
) -> None:
    if one == other:
        return
    if (one, other) in pairs:
        old = pairs[one, other]
        rows = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(old, rows, strict=True)]
    pairs[one, other] = rows


def _passes(node: GraphNode) -> bool:
    """Whether frames may go by this node as they came."""
    asked = node.options
    by_gate = options.is_gated(asked) and asked.else_ in (None, "pass")
    return by_gate or asked.on_error == "pass"


def _meet(one: tuple[Format, ...], other: tuple[Format, ...]) -> bool:
    return any(same(a, b) for a in one for b in other)
