"""Sub-pipelines in the place of their nodes."""

from pathlib import Path

from composer import YUV, Node
from tests.compiler.graphs import edges, messages, written
from tests.stubs import good_graph


def two_pictures() -> type[Node]:
    class MixEnd(Node):
        def process(self, base: YUV, top: YUV) -> None: ...

    return MixEnd


LOOK = """\
params: {level: a.level, show: {type: bool, default: true}}
nodes: {a: {type: pass, level: 5, when: show}, b: {type: pass}}"""


def test_a_sub_pipeline_is_put_in_its_place(tmp_path: Path) -> None:
    written(tmp_path, look="nodes: {a: {type: pass}, b: {type: fresh}}")
    graph = good_graph(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    assert edges(graph) == [
        "s.image -> look/a.image",
        "look/a.image -> look/b.image",
        "look/b.image -> o.image",
    ]


def test_its_ends_stand_for_the_pipeline_around_it(tmp_path: Path) -> None:
    written(tmp_path, look="nodes: {source: {type: decode}, a: {type: pass}, out: {type: encode}}")
    graph = good_graph(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    assert edges(graph) == ["s.image -> look/a.image", "look/a.image -> o.image"]
    assert list(graph.nodes) == ["s", "look/a", "o"]


def test_its_inputs_have_the_names_of_its_ends(tmp_path: Path) -> None:
    written(
        tmp_path,
        look="nodes: {base: {type: decode}, top: {type: decode},"
        " m: {type: mix, in: {base: base, top: top}}, out: {type: encode}}",
    )
    graph = good_graph(
        "nodes: {one: {type: count}, two: {type: count}, look: {type: pipeline, file: look.yaml,"
        " in: {top: one, base: two}}, o: {type: collect}}",
        tmp_path,
    )
    assert edges(graph) == [
        "two.image -> look/m.base",
        "one.image -> look/m.top",
        "look/m.image -> o.image",
    ]


def test_it_may_give_several_pictures(tmp_path: Path) -> None:
    written(
        tmp_path,
        look="nodes: {source: {type: decode}, a: {type: pass}, plain: {type: encode},"
        " b: {type: fresh, in: a}, new: {type: encode}}",
    )
    graph = good_graph(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml},"
        " o: {type: mix_end, in: {base: look.plain, top: look.new}}}",
        tmp_path,
        mix_end=two_pictures(),
    )
    assert edges(graph)[-2:] == ["look/a.image -> o.base", "look/b.image -> o.top"]


def test_it_may_hold_sub_pipelines_and_be_used_twice(tmp_path: Path) -> None:
    written(
        tmp_path,
        inner="nodes: {a: {type: pass}}",
        outer="nodes: {one: {type: pipeline, file: inner.yaml}, b: {type: fresh}}",
    )
    graph = good_graph(
        "nodes: {s: {type: count}, x: {type: pipeline, file: outer.yaml},"
        " y: {type: pipeline, file: outer.yaml}, o: {type: collect}}",
        tmp_path,
    )
    assert list(graph.nodes) == ["s", "x/one/a", "x/b", "y/one/a", "y/b", "o"]


def test_sound_goes_by_a_sub_pipeline(tmp_path: Path) -> None:
    written(tmp_path, look="nodes: {source: {type: decode}, a: {type: pass}, out: {type: encode}}")
    graph = good_graph(
        "nodes: {s: {type: decode}, look: {type: pipeline, file: look.yaml}, o: {type: encode}}",
        tmp_path,
    )
    assert edges(graph)[-1] == "s.audio -> o.audio"


def test_a_sub_pipeline_of_itself_is_a_ring(tmp_path: Path) -> None:
    written(tmp_path, look="nodes: {a: {type: pass}, me: {type: pipeline, file: look.yaml}}")
    found = messages(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    assert found == ["nodes.me.file: p.yaml -> look.yaml -> look.yaml leads back to itself"]


def test_a_condition_in_a_sub_pipeline_reads_that_files_params(tmp_path: Path) -> None:
    written(tmp_path, look=LOOK)
    graph = good_graph(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    when = graph.nodes["look/a"].when
    assert when is not None
    assert when.holds({"look/show": True})
    assert not when.holds({"look/show": False})
