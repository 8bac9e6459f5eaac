"""What was written about inputs -> the edges of the graph, with both ends named where one fails."""

from collections.abc import Iterator, Sequence
from typing import Final

from composer.compiler.conversions import convertible
from composer.compiler.draft import Draft, Intake
from composer.compiler.graph import Edge, GraphNode
from composer.errors import Problem
from composer.node.node import Port
from composer.pipeline.hints import did_you_mean

HOW_TO_FEED: Final = "put it below the node it takes from, or write `in: a_node`"
"""What to do about a node that has nothing for an input."""


def connect(draft: Draft) -> list[Edge]:
    """An edge for each written input, or a Problem that names both ends."""
    edges: list[Edge] = []
    for intake in draft.intakes:
        start, end = draft.nodes.get(intake.ref.node), draft.nodes.get(intake.node)
        if start is None or end is None:
            continue
        edge = _edge(start, end, intake)
        if isinstance(edge, Edge):
            edges.append(edge)
        else:
            draft.problems.append(edge)
            draft.loose.add(end.name)
    return edges


def _edge(start: GraphNode, end: GraphNode, intake: Intake) -> Edge | Problem:
    """The first output that fits an input, of those that are meant."""
    place, ref = intake.place, intake.ref
    if not start.cls.outputs:
        message = f"{place.name}: {start.name!r} is a sink and gives nothing"
        return intake.problem("unknown-port", message)
    outputs = [port for port in start.cls.outputs if ref.port in ("", port.name)]
    if not outputs:
        known = [port.name for port in start.cls.outputs]
        message = f"{place.name}: {start.name!r} has no output {ref.port!r}"
        hint = did_you_mean(ref.port, known) or f"it gives {', '.join(known)}"
        return intake.problem("unknown-port", place.as_written(message, ref.port), hint)
    inputs = [port for port in end.cls.inputs if port.name == intake.port] or [*end.cls.inputs]
    for entry in inputs:
        for output in outputs:
            if _fits(output, entry):
                return Edge(start.name, output.name, end.name, entry.name)
    return _mismatch(start, outputs[0], end, inputs[0], intake)


def _fits(output: Port, entry: Port) -> bool:
    return any(convertible(a, b) for a in output.formats for b in entry.formats)


def _mismatch(
    start: GraphNode, output: Port, end: GraphNode, entry: Port, intake: Intake
) -> Problem:
    message = (
        f"{end.name}.{entry.name} takes {entry.kind},"
        f" but {start.name}.{output.name} gives {output.kind}"
    )
    fitting = [port.name for port in start.cls.outputs if _fits(port, entry)]
    hint = f"take {start.name}.{fitting[0]}" if fitting else ""
    return intake.problem("type-mismatch", message, hint)


# what nobody wrote


def implied(draft: Draft, edges: Sequence[Edge]) -> Iterator[Edge]:
    """Sound (or pictures) that nobody named still reach the end: from the nearest node upstream."""
    for node in draft.nodes.values():
        if not node.cls.merges:
            continue
        fed = {edge.end_port for edge in edges if edge.end == node.name}
        for port in node.cls.inputs:
            if port.name in fed or not node.settings.wants_track(port.name):
                continue
            if port.kind != "audio" and node.name in draft.named:
                continue
            if output := _nearest_track(draft, edges, node.name, port):
                yield Edge(*output, node.name, port.name)


def _nearest_track(
    draft: Draft, edges: Sequence[Edge], node: str, port: Port
) -> tuple[str, str] | None:
    """The closest node upstream that gives this kind; then on through nodes that only take it."""
    for wave in upstream(edges, [node]):
        for name in wave:
            for output in draft.nodes[name].cls.outputs:
                if output.kind == port.kind:
                    return _end_of_track(draft, edges, name, output.name)
    return None


def upstream(edges: Sequence[Edge], nodes: Sequence[str]) -> Iterator[list[str]]:
    """The nodes that feed these, then those that feed them, and so on: each node once."""
    seen, wave = set(nodes), [*nodes]
    while wave:
        wave = [edge.start for end in wave for edge in edges if edge.end == end]
        wave = [name for name in dict.fromkeys(wave) if name not in seen]
        seen.update(wave)
        yield wave


def _end_of_track(draft: Draft, edges: Sequence[Edge], node: str, port: str) -> tuple[str, str]:
    """Follow a track through the chain of nodes that take it, while nothing else does."""
    seen = {node}
    while True:
        onward = [edge for edge in edges if (edge.start, edge.start_port) == (node, port)]
        if len(onward) != 1 or onward[0].end in seen:
            return node, port
        cls = draft.nodes[onward[0].end].cls
        if len(cls.outputs) != 1 or len(cls.inputs) != 1:
            return node, port
        if cls.outputs[0].kind != cls.inputs[0].kind:
            return node, port
        node, port = onward[0].end, cls.outputs[0].name
        seen.add(node)


def check_inputs(draft: Draft, edges: Sequence[Edge]) -> None:
    """Every input that has to be fed is fed. A node that lacks one becomes loose."""
    for node in draft.nodes.values():
        if node.name in draft.loose:
            continue
        fed = {edge.end_port for edge in edges if edge.end == node.name}
        required = [port for port in node.cls.inputs if not port.optional]
        missing = [port for port in required if port.name not in fed]
        if node.cls.inputs and not missing and not fed:
            missing = list(node.cls.inputs[:1])
        for port in missing:
            message = f"{node.place.name} has nothing for its input {port.name!r} ({port.kind})"
            hint = HOW_TO_FEED
            if len(required) > 1:
                wiring = ", ".join(f"{needed.name}: a_node" for needed in required)
                hint = f"write `in: {{{wiring}}}`"
            draft.loose.add(node.name)
            draft.problems.append(node.place.problem("missing-input", message, key=True, hint=hint))
