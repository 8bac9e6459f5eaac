"""Which inputs are copied before a node writes."""

import pytest

from composer import YUV, Node
from tests.compiler.plans import nodes


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        pytest.param("a: {type: fresh}, b: {type: paint}, o: {type: collect}", [], id="alone"),
        pytest.param("b: {type: paint}, o: {type: collect}", ["b"], id="source keeps a hold"),
        pytest.param(
            "a: {type: fresh}, b: {type: paint, in: a}, o: {type: mix_end, in: {base: a, top: b}}",
            ["b"],
            id="somebody else holds it",
        ),
        pytest.param(
            "a: {type: fresh}, b: {type: pass}, c: {type: paint}, o: {type: collect}",
            ["c"],
            id="handed on as it came",
        ),
        pytest.param(
            "a: {type: fresh, every: 2, else: hold_last}, b: {type: paint}, o: {type: collect}",
            ["b"],
            id="held for the next frame",
        ),
        pytest.param(
            "a: {type: fresh, every: 2}, b: {type: paint}, o: {type: collect}",
            ["b"],
            id="passed by, from a source that keeps a hold",
        ),
        pytest.param(
            "a: {type: fresh}, b: {type: fresh, every: 2}, c: {type: paint}, o: {type: collect}",
            [],
            id="passed by, and new before",
        ),
        pytest.param(
            "a: {type: tint}, b: {type: paint}, o: {type: collect}", [], id="made by a converter"
        ),
    ],
)
def test_copies_only_where_somebody_else_may_hold_the_picture(text: str, copies: list[str]) -> None:
    class MixEnd(Node):
        def process(self, base: YUV, top: YUV) -> None: ...

    plan = nodes("s: {type: count}, " + text, mix_end=MixEnd)
    assert [name for name, step in plan.steps.items() if step.copies] == copies
