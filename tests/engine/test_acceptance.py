"""What is accepted of a change where nobody works; tests/engine/test_params.py says the rest."""

from pathlib import Path

import pytest
from pydantic import model_validator

from composer import YUV, Live, Node
from composer.engine.acceptance import Acceptance
from composer.errors import ParamRejected
from tests.stubs import good_graph

FILE = """\
params: {level: a.level, low: e.low, high: e.high, step: s.step}
nodes:
  s: {type: count, step: 5}
  a: {type: pass, level: 5}
  e: {type: between}
  o: {type: collect}
"""


class Between(Node):
    """Its settings are checked together."""

    low: int = Live(0)
    high: int = Live(10)

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if self.low > self.high:
            raise ValueError("low should be below high")
        return self

    def process(self, image: YUV) -> YUV:
        return image


def acceptance() -> Acceptance:
    graph = good_graph(FILE, Path("/nowhere"), between=Between)
    settings = {name: node.settings for name, node in graph.nodes.items()}
    return Acceptance(graph.params.values(), settings)


def test_values_come_back_as_nodes_hold_them() -> None:
    assert acceptance().accept({"level": "12.5"}) == {"level": 12.5}


def test_what_a_node_was_set_to_before_counts_for_its_own_validator() -> None:
    here = acceptance()
    here.accept({"high": 4})
    with pytest.raises(ParamRejected):
        here.accept({"low": 6})
    assert here.accept({"low": 2}) == {"low": 2}


def test_a_change_that_is_refused_leaves_nothing_behind() -> None:
    here = acceptance()
    with pytest.raises(ParamRejected) as caught:
        here.accept({"high": 4, "nothing": 1})
    assert [problem.code for problem in caught.value.problems] == ["unknown-param"]
    assert here.accept({"low": 6}) == {"low": 6}


def test_how_a_source_begins_is_asked_before_it_has_begun() -> None:
    here = acceptance()
    assert here.accept({"step": 3}) == {"step": 3}
    with pytest.raises(ParamRejected, match="it can only be set before the start"):
        here.accept({"step": 3}, {"step": 5})
    assert here.accept({"step": 5}, {"step": 5}) == {"step": 5}


def test_what_the_file_says_otherwise_counts_from_then_on() -> None:
    here = acceptance()
    here.edit({"e": {"high": 3}}, here.params.values())
    with pytest.raises(ParamRejected):
        here.accept({"low": 6})
