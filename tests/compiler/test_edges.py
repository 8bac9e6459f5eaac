"""Which output feeds which input, where it is written and where it is not."""

from composer import Mask, Node
from tests.compiler.graphs import edges
from tests.stubs import good_graph, graph_of


def test_ports_by_name() -> None:
    graph = good_graph(
        "nodes: {s: {type: count}, split: {type: split},"
        " m: {type: mix, in: {top: split.other, base: split}}, o: {type: collect}}"
    )
    assert edges(graph) == [
        "s.image -> split.image",
        "split.other -> m.top",
        "split.image -> m.base",
        "m.image -> o.image",
    ]


def test_a_node_takes_the_output_that_fits() -> None:
    graph = good_graph("nodes: {s: {type: decode}, o: {type: listen}}")
    assert edges(graph) == ["s.audio -> o.audio"]


def test_sound_reaches_the_end_by_itself() -> None:
    graph = good_graph("nodes: {s: {type: decode}, a: {type: pass}, o: {type: encode}}")
    assert edges(graph)[-1] == "s.audio -> o.audio"


def test_sound_reaches_the_end_beside_a_named_picture() -> None:
    graph = good_graph(
        "nodes: {s: {type: decode}, a: {type: pass}, o: {type: encode, in: {image: a}}}"
    )
    assert edges(graph)[-1] == "s.audio -> o.audio"


def test_sound_that_the_end_does_not_want_stays_away() -> None:
    graph = good_graph("nodes: {s: {type: decode}, o: {type: encode, audio: false}}")
    assert edges(graph) == ["s.image -> o.image"]


def test_sound_goes_through_the_nodes_that_take_it() -> None:
    graph = good_graph(
        "nodes: {s: {type: decode}, v: {type: volume, in: s.audio}, a: {type: pass, in: s},"
        " o: {type: encode}}"
    )
    assert edges(graph)[-1] == "v.audio -> o.audio"


def test_pictures_reach_an_end_that_was_given_sound() -> None:
    graph = good_graph(
        "nodes: {s: {type: decode}, v: {type: volume, in: s.audio}, o: {type: encode, in: v}}"
    )
    assert edges(graph) == ["s.audio -> v.audio", "v.audio -> o.audio", "s.image -> o.image"]


def test_a_source_without_sound_links_none() -> None:
    graph = good_graph("nodes: {s: {type: count}, o: {type: encode}}")
    assert edges(graph) == ["s.image -> o.image"]


def test_kinds_that_do_not_fit_are_told_with_both_ends() -> None:
    class Stamp(Node):
        def process(self, mask: Mask) -> None: ...

    graph, problems = graph_of(
        "nodes: {s: {type: decode}, v: {type: volume}, o: {type: stamp, in: v}}", stamp=Stamp
    )
    assert graph is None
    assert [each.message for each in problems] == [
        "nodes.o.in: o.mask takes mask, but v.audio gives audio"
    ] or [each.message for each in problems] == ["o.mask takes mask, but v.audio gives audio"]
