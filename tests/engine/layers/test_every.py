import pytest

from composer.engine.layers import every
from composer.engine.layers.layer import Memory, Site
from tests import stubs
from tests.engine.layers.sites import admitted, step_of
from tests.engine.runs import chain


def test_gates_count_frames_in_order_with_concurrency() -> None:
    report, collect = chain(stubs.Fresh, ", concurrency: 4, every: 3, else: drop")
    assert [pts for pts, _ in collect.seen] == list(range(0, 60, 3))
    assert report.nodes["step"].dropped == {"every": 40}


def test_a_step_without_it_has_nothing_in_its_way() -> None:
    assert every.layer(Site(step_of(rate=5))) is None


@pytest.mark.parametrize("number", [2, 3, 7])
def test_it_lets_one_frame_of_so_many_come_beginning_with_the_first(number: int) -> None:
    layer = every.layer(Site(step_of(every=number)))
    frames = [stubs.frame(count) for count in range(20)]
    assert admitted(layer, frames) == ["every" if count % number else "" for count in range(20)]


def test_it_counts_on_when_another_plan_takes_over() -> None:
    memory, frames = Memory(), [stubs.frame(count) for count in range(4)]
    site = Site(step_of(every=3), memory=memory)
    assert admitted(every.layer(site), frames) == ["", "every", "every", ""]
    assert admitted(every.layer(site), frames) == ["every", "every", "", "every"]
