"""Which steps share a stage."""

import pytest

from composer import Detections, Node
from tests.compiler.plans import nodes, stages


def test_neighbours_share_a_stage_and_sources_have_their_own() -> None:
    plan = nodes("s: {type: count}, a: {type: pass}, b: {type: paint}, o: {type: collect}")
    assert stages(plan) == [("s",), ("a", "b", "o")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, concurrency: 2},"
            " o: {type: collect}",
            [("s",), ("a",), ("b",), ("o",)],
            id="concurrency",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, queue: 3}, o: {type: collect}",
            [("s",), ("a",), ("b", "o")],
            id="an inbox that was asked for",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, o: {type: encode}",
            [("s",), ("a",), ("o",)],
            id="an end that merges",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, m: {type: model}, o: {type: drain}",
            [("s",), ("a", "a:rgb24array"), ("m",), ("o",)],
            id="a node that blocks",
        ),
        pytest.param(
            "s: {type: count}, a: {type: pass}, b: {type: pass, in: a}, c: {type: pass, in: a},"
            " m: {type: mix, in: {base: b, top: c}}, o: {type: collect}",
            [("s",), ("a",), ("b",), ("c",), ("m", "o")],
            id="a fan-out and a join",
        ),
    ],
)
def test_stages(text: str, expected: list[tuple[str, ...]]) -> None:
    class Drain(Node):
        def process(self, detections: Detections) -> None: ...

    assert stages(nodes(text, drain=Drain)) == expected
