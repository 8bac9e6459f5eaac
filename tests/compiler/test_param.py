"""What a param is said to be."""

import pytest

from composer.compiler.params import Param
from composer.pipeline.spec import ParamSpec
from tests.stubs import good_graph

FILE = """\
params:
  level: {to: [a.level, b.level], max: 60}
  size: a.size_px
  mood: {type: str, default: calm, choices: [calm, wild]}
nodes:
  s: {type: count}
  a: {type: pass, level: 5}
  b: {type: pass, when: mood == "calm"}
  o: {type: collect}
"""


def test_schema_is_that_of_the_field_narrowed() -> None:
    graph = good_graph(FILE)
    schema = graph.params["level"].schema()
    assert (schema["type"], schema["minimum"], schema["maximum"]) == ("number", 0, 60)
    assert (schema["default"], schema["x-change"]) == (5, "live")
    assert graph.params["mood"].schema()["enum"] == ["calm", "wild"]
    assert graph.params["size"].schema()["x-change"] == "rebuild"


def test_a_param_without_fields_has_the_type_that_was_written() -> None:
    param = Param("on", ParamSpec(type="int", min=2))
    assert param.checked("4") == 4
    with pytest.raises(ValueError, match="should be greater than or equal to 2, got 1"):
        param.checked(1)
