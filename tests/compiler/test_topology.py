"""The order of nodes, rings, and nodes that lead nowhere."""

from tests.compiler.graphs import messages
from tests.stubs import good_graph


def test_nodes_are_in_the_order_in_which_they_can_run() -> None:
    graph = good_graph(
        "nodes: {o: {type: collect, in: b}, b: {type: pass, in: a}, c: {type: show, in: s},"
        " a: {type: pass, in: s}, s: {type: count}}"
    )
    names = list(graph.nodes)
    assert all(names.index(edge.start) < names.index(edge.end) for edge in graph.edges)
    assert [edge.end for edge in graph.out_of("s")] == ["c", "a"]
    assert [edge.start for edge in graph.into("o")] == ["b"]


def test_a_ring_is_told_with_its_nodes() -> None:
    assert messages(
        "nodes: {s: {type: count}, m: {type: mix, in: {base: s, top: b}}, b: {type: pass, in: m},"
        " o: {type: collect}}"
    ) == ["the nodes feed each other in a ring: m -> b -> m"]


def test_a_node_that_nobody_takes_is_told() -> None:
    assert messages("nodes: {s: {type: count}, a: {type: pass}, o: {type: collect, in: s}}") == [
        "nothing takes what 'a' gives, so it never does anything"
    ]
