"""What params are worth in nodes that have to be built anew for them."""

from typing import Any

import pytest

from composer import YUV, Live, Node
from composer.session.effective import Effective
from tests import stubs
from tests.server.streams import live_plan


class Model(Node):
    """Loads weights."""

    weights: str = "a"
    strength: float = Live(0.5)

    def process(self, image: YUV) -> YUV:
        return image


TEXT = (
    "params: {w: m.weights, s: m.strength}\n"
    "nodes: {source: {type: decode}, m: {type: model}, out: {type: encode}}"
)
PLAN = live_plan(TEXT, model=Model)
A: dict[str, Any] = {"w": "a", "s": 0.5}
B: dict[str, Any] = {"w": "b", "s": 0.9}


@pytest.fixture
def effective() -> Effective:
    made = Effective()
    made.planned(PLAN, A)
    return made


def test_a_live_value_holds_at_once_and_the_other_when_its_node_is_ready(
    effective: Effective,
) -> None:
    assert effective.now(B) == {"w": "a", "s": 0.9}
    assert effective.targets(B) == B
    assert effective.waits({"w": "b"})
    assert not effective.waits({"w": "a", "s": 0.9})
    effective.ready("other", B)
    assert effective.now(B) == {"w": "a", "s": 0.9}
    effective.ready("m", B)
    assert effective.now(B) == B
    assert not effective.waits({"w": "b"})


def test_what_was_refused_is_not_what_runs_nor_what_will(effective: Effective) -> None:
    effective.asked({"w"})
    effective.kept("m")
    assert effective.now(B) == effective.targets(B) == {"w": "a", "s": 0.9}
    effective.asked({"w"})
    assert effective.targets(B | {"w": "c"}) == {"w": "c", "s": 0.9}


@pytest.mark.parametrize(("built", "weights"), [((), "a"), (("m",), "b"), (None, "b")])
def test_another_plan_has_what_it_built(
    effective: Effective, built: tuple[str, ...] | None, weights: str
) -> None:
    effective.planned(PLAN, B, built)
    assert effective.now(B) == {"w": weights, "s": 0.9}


def test_a_source_is_never_built_anew_so_its_params_hold() -> None:
    text = "params: {t: source.start}\nnodes: {source: {type: count}, out: {type: encode}}"
    effective = Effective()
    effective.planned(live_plan(text, count=stubs.Count), {"t": 1})
    assert effective.now({"t": 2}) == {"t": 2}
