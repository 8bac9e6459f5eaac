import pytest

from composer.engine.layers import rate
from composer.engine.layers.layer import Memory, Site
from tests import stubs
from tests.engine.layers.sites import admitted, step_of
from tests.engine.runs import chain


def seen(*ticks: int, hertz: float, memory: Memory | None = None) -> list[int]:
    """Of frames at these hundredths of a second those that come to the node."""
    layer = rate.layer(Site(step_of(rate=hertz), memory=memory or Memory()))
    why = admitted(layer, [stubs.frame(tick) for tick in ticks])
    assert set(why) <= {"", "rate"}
    return [tick for tick, reason in zip(ticks, why, strict=True) if not reason]


def test_a_step_without_it_has_nothing_in_its_way() -> None:
    assert rate.layer(Site(step_of(every=5))) is None


@pytest.mark.parametrize(
    ("hertz", "expected"),
    [
        pytest.param(100, list(range(10)), id="as many as come"),
        pytest.param(1000, list(range(10)), id="more than come"),
        pytest.param(50, [0, 2, 4, 6, 8], id="half"),
        pytest.param(40, [0, 3, 5, 8], id="no whole number of frames"),
        pytest.param(1, [0], id="one a second"),
    ],
)
def test_it_lets_so_many_frames_come_in_a_second_of_the_media(
    hertz: float, expected: list[int]
) -> None:
    assert seen(*range(10), hertz=hertz) == expected


def test_a_frame_that_is_early_by_the_coarseness_of_its_clock_is_in_time() -> None:
    layer = rate.layer(Site(step_of(rate=30)))
    ticks = [0, 33_333, 66_667, 100_000]
    frames = [type(stubs.frame(0))(0, tick, stubs.TICK / 10_000) for tick in ticks]
    assert admitted(layer, frames) == ["", "", "", ""]


def test_behind_a_pause_nothing_is_caught_up_with() -> None:
    assert seen(0, 5, 10, 200, 201, 202, 205, 210, 211, hertz=20) == [0, 5, 10, 200, 205, 210]


def test_it_goes_on_where_it_was_when_another_plan_takes_over() -> None:
    memory = Memory()
    assert seen(0, 1, 2, hertz=20, memory=memory) == [0]
    assert seen(3, 4, 5, 6, hertz=20, memory=memory) == [5]


def test_frames_are_chosen_in_order_with_concurrency() -> None:
    report, collect = chain(stubs.Fresh, ", concurrency: 4, rate: 25, else: drop")
    assert [pts for pts, _ in collect.seen] == list(range(0, 60, 4))
    assert report.nodes["step"].dropped == {"rate": 45}
