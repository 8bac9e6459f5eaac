from pathlib import Path

from composer import Mask, Node
from composer.compiler.graph import MAX_NODES, Graph
from composer.errors import Span
from tests.stubs import good_graph, graph_of


def edges(graph: Graph) -> list[str]:
    return [str(edge) for edge in graph.edges]


def written(folder: Path, **files: str) -> Path:
    """A folder with pipeline files."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"version: 1\n{text}\n", encoding="utf-8")
    return folder


def messages(text: str, folder: Path = Path("/nowhere")) -> list[str]:
    graph, problems = graph_of(text, folder)
    assert graph is None
    return [problem.message for problem in problems]


# connections


def test_a_node_takes_the_node_above() -> None:
    graph = good_graph("nodes: {s: {type: count}, a: {type: pass}, o: {type: collect}}")
    assert edges(graph) == ["s.image -> a.image", "a.image -> o.image"]


def test_above_a_source_is_nothing_and_a_sink_is_no_node_above() -> None:
    graph = good_graph("nodes: {s: {type: count}, one: {type: collect}, two: {type: collect}}")
    assert edges(graph) == ["s.image -> one.image", "s.image -> two.image"]


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


def test_a_problem_has_its_place() -> None:
    _, problems = graph_of("nodes:\n  s: {type: count}\n  a: {type: pas}\n  o: {type: collect}")
    assert problems[0].span == Span(4, 13, 3)
    assert problems[0].hint == "did you mean 'pass'?" or "pass" in problems[0].hint


# sound that nobody named


def test_what_is_no_finite_number_is_told_wherever_it_is_written() -> None:
    """As text, too, which a number may be written as."""
    text = (
        "params: {free: {type: float, default: inf}, level: {to: a.level, max: '1e400'}}\n"
        "nodes: {s: {type: count, level: nan}, a: {type: pass, rate: inf, when: free < 1},"
        " o: {type: collect}}"
    )
    assert messages(text) == [
        "params.level.max should be a finite number, got '1e400'",
        "nodes.a.rate should be a finite number, got 'inf'",
        "nodes.s.level should be a finite number, got 'nan'",
        "params.free.default should be a finite number, got 'inf'",
    ]


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


# sub-pipelines


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


def two_pictures() -> type[Node]:
    from composer import YUV

    class MixEnd(Node):
        def process(self, base: YUV, top: YUV) -> None: ...

    return MixEnd


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


def test_a_graph_has_a_largest_size() -> None:
    many = "\n".join(f"  n{number}: {{type: pass}}" for number in range(MAX_NODES))
    assert messages(f"nodes:\n  s: {{type: count}}\n{many}\n  o: {{type: collect}}")[0] == (
        f"the graph has more than {MAX_NODES} nodes"
    )


# params

LOOK = """\
params: {level: a.level, show: {type: bool, default: true}}
nodes: {a: {type: pass, level: 5, when: show}, b: {type: pass}}"""


def test_a_param_takes_its_value_from_its_field() -> None:
    graph = good_graph(
        "params: {level: a.level}\n"
        "nodes: {s: {type: count}, a: {type: pass, level: 7}, o: {type: collect}}"
    )
    assert graph.params["level"].value == 7
    assert [str(target.node) for target in graph.params["level"].targets] == ["a"]


def test_the_default_of_a_param_is_given_to_all_its_fields() -> None:
    graph = good_graph(
        "params: {level: {to: [a.level, b.level], default: 9}}\n"
        "nodes: {s: {type: count}, a: {type: pass, level: 7}, b: {type: pass}, o: {type: collect}}"
    )
    settings = [graph.nodes[name].settings.model_dump()["level"] for name in "ab"]
    assert settings == [9, 9]


def test_params_reach_through_sub_pipelines(tmp_path: Path) -> None:
    written(
        tmp_path,
        look=LOOK,
        outer="params: {deep: look.level}\nnodes: {look: {type: pipeline, file: look.yaml}}",
    )
    graph = good_graph(
        "params: {top: {to: outer.deep, max: 50}, on: outer_two.show}\n"
        "nodes: {s: {type: count}, outer: {type: pipeline, file: outer.yaml},"
        " outer_two: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    top = graph.params["top"]
    assert [f"{target.node}.{target.field}" for target in top.targets] == ["outer/look/a.level"]
    assert top.sets == ("outer/deep", "outer/look/level") or top.sets == ("outer/deep",)
    assert top.value == 5
    assert graph.params["on"].sets == ("outer_two/show",)


def test_the_default_of_a_param_reaches_through_sub_pipelines(tmp_path: Path) -> None:
    written(tmp_path, look=LOOK)
    graph = good_graph(
        "params: {top: {to: look.level, default: 44}}\n"
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml}, o: {type: collect}}",
        tmp_path,
    )
    assert graph.nodes["look/a"].settings.model_dump()["level"] == 44
    assert {name: param.value for name, param in graph.params.items()} == {
        "look/level": 44,
        "look/show": True,
        "top": 44,
    }


def test_a_sub_pipeline_takes_its_params_as_fields(tmp_path: Path) -> None:
    written(tmp_path, look=LOOK)
    graph = good_graph(
        "nodes: {s: {type: count}, look: {type: pipeline, file: look.yaml, level: 33,"
        " show: false}, o: {type: collect}}",
        tmp_path,
    )
    assert graph.nodes["look/a"].settings.model_dump()["level"] == 33
    assert graph.params["look/level"].value == 33
    assert graph.params["look/show"].value is False


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


def test_a_param_that_a_sub_pipeline_refuses_is_told_where_it_was_written(tmp_path: Path) -> None:
    written(tmp_path, look=LOOK)
    _, problems = graph_of(
        "nodes:\n  s: {type: count}\n  look: {type: pipeline, file: look.yaml, level: 900}\n"
        "  o: {type: collect}",
        tmp_path,
    )
    assert [(each.file, each.span and each.span.line) for each in problems] == [("p.yaml", 4)]


# files and classes of one's own


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
