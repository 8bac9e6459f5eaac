"""What the names in one file mean."""

import pytest

from composer.compiler.draft import Ref
from composer.compiler.location import Location
from composer.compiler.namespace import Namespace
from composer.errors import Problem
from composer.pipeline import source

HERE = Location(source.parse("nodes: {a: {in: b}}\n", "p.yaml", {}), ("nodes", "a", "in"))


def names(**included: Namespace) -> Namespace:
    return Namespace(
        "outer/",
        ["a", "source", "bad", *included],
        [],
        unusable={"bad"},
        inlets={"source": Ref("camera", "image")},
        included=included,
    )


@pytest.mark.parametrize(
    ("written", "ref"),
    [
        ("a", Ref("outer/a")),
        ("a.mask", Ref("outer/a", "mask")),
        ("source", Ref("camera", "image")),
        ("source.audio", Ref("camera", "audio")),
        ("bad", None),
    ],
)
def test_a_name_is_a_node_or_what_it_stands_for(written: str, ref: Ref | None) -> None:
    assert names().resolved(written, HERE) == ref


@pytest.mark.parametrize(
    ("written", "code"), [("b", "unknown-node"), ("a.", "unknown-port"), ("dull", "missing-input")]
)
def test_what_leads_nowhere_is_a_problem(written: str, code: str) -> None:
    problem = names(dull=Namespace("outer/dull/", [], [])).resolved(written, HERE)
    assert isinstance(problem, Problem)
    assert problem.code == code


def test_a_sub_pipeline_gives_what_its_ends_stand_for_else_what_its_last_node_gives() -> None:
    look = Namespace("outer/look/", [], [], last=Ref("outer/look/b"))
    assert names(look=look).resolved("look", HERE) == Ref("outer/look/b")
    look.outlets = {"out": Ref("outer/look/a"), "second": Ref("outer/look/c", "mask")}
    assert names(look=look).resolved("look", HERE) == Ref("outer/look/a")
    assert names(look=look).resolved("look.second", HERE) == Ref("outer/look/c", "mask")
