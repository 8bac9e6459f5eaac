"""A graph and its nodes as values."""

from tests.stubs import good_graph


def test_a_frame_can_pass_a_node_that_gives_what_it_takes() -> None:
    text = (
        "nodes: {s: {type: decode}, same: {type: pass, in: s.image},"
        " o: {type: encode, in: {image: same}}, new: {type: threshold, in: same},"
        " seen: {type: collect, in: new}}"
    )
    nodes = good_graph(text).nodes.values()
    assert [node.name for node in nodes if node.can_pass] == ["same", "o", "seen"]


def test_edges_are_found_by_either_end() -> None:
    graph = good_graph("nodes: {s: {type: count}, a: {type: pass}, o: {type: collect}}")
    assert [str(edge) for edge in graph.into("a")] == ["s.image -> a.image"]
    assert [str(edge) for edge in graph.out_of("a")] == ["a.image -> o.image"]
