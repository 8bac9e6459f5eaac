"""One file's nodes, read from top to bottom."""

from pathlib import Path

from composer.compiler.scope import MAX_NODES
from tests.compiler.graphs import edges, messages
from tests.stubs import good_graph


def test_a_node_takes_the_node_above() -> None:
    graph = good_graph("nodes: {s: {type: count}, a: {type: pass}, o: {type: collect}}")
    assert edges(graph) == ["s.image -> a.image", "a.image -> o.image"]


def test_above_a_source_is_nothing_and_a_sink_is_no_node_above() -> None:
    graph = good_graph("nodes: {s: {type: count}, one: {type: collect}, two: {type: collect}}")
    assert edges(graph) == ["s.image -> one.image", "s.image -> two.image"]


def test_several_problems_are_told_at_once() -> None:
    found = messages(
        "nodes:\n  s: {type: count}\n  a: {type: pas}\n  b: {type: pass, in: sauce}\n"
        "  c: {type: pass, level: 900, in: s}\n  o: {type: collect}"
    )
    assert found == [
        "no node type 'pas'",
        "nodes.b.in: there is no node 'sauce'",
        "nodes.c.level should be less than or equal to 100, got 900",
    ]


def test_a_graph_has_a_largest_size() -> None:
    many = "\n".join(f"  n{number}: {{type: pass}}" for number in range(MAX_NODES))
    assert messages(f"nodes:\n  s: {{type: count}}\n{many}\n  o: {{type: collect}}")[0] == (
        f"the graph has more than {MAX_NODES} nodes"
    )


def test_a_node_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from composer import RGB, Node\n\n\nclass Mine(Node):\n"
        "    def process(self, image: RGB) -> RGB:\n        return image\n",
        encoding="utf-8",
    )
    graph = good_graph(
        "nodes: {s: {type: count}, a: {type: './mine.py:Mine'}, o: {type: collect}}", tmp_path
    )
    assert graph.nodes["a"].cls.__name__ == "Mine"
