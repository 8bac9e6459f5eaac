"""Graph -> Plan: formats, converters, stages, inboxes and copies, decided once."""

from composer.compiler import copying, inboxes, negotiation, stages, steps
from composer.compiler.graph import Graph
from composer.compiler.plan import Mode, Plan
from composer.compiler.solve import TooTangled
from composer.errors import Problem


def lower(graph: Graph, mode: Mode = Mode.FILE) -> tuple[Plan | None, list[Problem]]:
    """The plan of a graph, or None and a Problem for each edge that no conversion can serve."""
    try:
        chosen = negotiation.chosen(graph, mode)
    except TooTangled as exc:
        problem = Problem("too-tangled", f"formats cannot be chosen: {exc}", file=graph.file)
        return None, [problem]
    if problems := negotiation.impossible(graph, chosen):
        return None, problems
    wiring = steps.wired(graph, chosen, mode)
    threads = steps.threads(graph, wiring, mode)
    asked = inboxes.asked(graph, wiring, threads, mode)
    staged = stages.staged(wiring, asked, threads)
    links = inboxes.placed(wiring, staged, asked, mode)
    return copying.copied(Plan(graph, mode, wiring.steps, links, staged)), []
