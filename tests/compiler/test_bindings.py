"""Params bound to the fields that they set, and what they begin with."""

from pathlib import Path

from tests.compiler.graphs import written
from tests.stubs import good_graph, graph_of

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


def test_a_param_that_a_sub_pipeline_refuses_is_told_where_it_was_written(tmp_path: Path) -> None:
    written(tmp_path, look=LOOK)
    _, problems = graph_of(
        "nodes:\n  s: {type: count}\n  look: {type: pipeline, file: look.yaml, level: 900}\n"
        "  o: {type: collect}",
        tmp_path,
    )
    assert [(each.file, each.span and each.span.line) for each in problems] == [("p.yaml", 4)]
