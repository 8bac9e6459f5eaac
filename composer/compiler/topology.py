"""The order in which the nodes of a graph can run; no ring, and no node that leads nowhere."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from composer.compiler.draft import Draft
from composer.compiler.edges import upstream
from composer.compiler.graph import Edge
from composer.compiler.location import Location
from composer.errors import Problem


def ordered(draft: Draft, edges: Sequence[Edge]) -> list[str]:
    """Nodes so that each comes after what feeds it; nothing, and a Problem for each ring."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in draft.nodes:
        sorter.add(name)
    for edge in edges:
        sorter.add(edge.end, edge.start)
    rank = _ranks(draft)
    try:
        sorter.prepare()
    except CycleError as exc:
        # graphlib lists each node before the one that takes from it.
        ring = list(exc.args[1])
        draft.problems.append(_cycle(draft, ring))
        ordered(draft, [edge for edge in edges if not {edge.start, edge.end} <= set(ring)])
        return []
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=rank.__getitem__)
        order += ready
        sorter.done(*ready)
    return order


def _ranks(draft: Draft) -> dict[str, int]:
    """Where each node stands in the file."""
    return {name: rank for rank, name in enumerate(draft.nodes)}


def _cycle(draft: Draft, names: list[str]) -> Problem:
    """Points at the edge that closes the ring: the input of the first of its nodes in the file."""
    ring = names[:-1]
    first = min(ring, key=_ranks(draft).__getitem__)
    turned = ring[ring.index(first) :] + ring[: ring.index(first)]
    message = f"the nodes feed each other in a ring: {' -> '.join([*turned, first])}"
    for intake in draft.intakes:
        if intake.node == first and intake.ref.node in ring:
            return intake.place.problem("cycle", message, key=not intake.is_written)
    return draft.nodes[first].place.problem("cycle", message, key=True)


def check_ends(draft: Draft, edges: Sequence[Edge], nodes: Location) -> None:
    """Every node must be on a way from a source to a sink. nodes: where they are written."""
    sinks = [name for name, node in draft.nodes.items() if not node.cls.outputs]
    if not sinks and draft.nodes:
        message = "the pipeline has no end: nothing takes what comes out"
        hint = "end it with `out: {type: encode}`"
        draft.problems.append(nodes.problem("no-sink", message, key=True, hint=hint))
        return
    reached = {*sinks, *(name for wave in upstream(edges, sinks) for name in wave)}
    feeding = {edge.start for edge in edges}
    for name, node in draft.nodes.items():
        if name not in reached and name not in feeding:
            message = f"nothing takes what {name!r} gives, so it never does anything"
            hint = "name it in the `in:` of another node, or take it out"
            draft.problems.append(node.place.problem("unreachable", message, key=True, hint=hint))
