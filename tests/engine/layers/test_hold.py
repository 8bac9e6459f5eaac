import threading
from typing import Any

import av
import pytest

from composer.engine.fallback import Fallback
from composer.engine.layers import hold
from composer.engine.layers.layer import Memory, Missed, Site
from composer.node.frames import Bound
from composer.pictures import pixels
from tests import stubs
from tests.engine.layers.sites import made, step_of
from tests.engine.runs import chain, run_of
from tests.stubs import calling, luma, reach, sink


def test_hold_last_holds_the_frame_before_with_concurrency() -> None:
    _, collect = chain(stubs.Fresh, ", concurrency: 4, every: 2, else: hold_last")
    assert collect.seen == [(number, number - number % 2) for number in range(60)]


def test_a_held_picture_is_not_written_into() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: paint}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_a_held_picture_has_the_time_of_its_frame() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 4}, a: {type: fresh, every: 4, else: hold_last},"
        " b: {type: hold, depth: 1}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.seen == [(0, 0), (1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="no option"),
        pytest.param({"every": 2}, id="a frame goes by as it came"),
        pytest.param({"every": 2, "else_": "drop"}, id="nothing comes"),
        pytest.param({"on_error": "pass"}, id="one that fails goes by"),
    ],
)
def test_a_step_without_it_has_nothing_in_its_way(options: dict[str, Any]) -> None:
    assert hold.layer(Site(step_of(**options))) is None


@pytest.mark.parametrize(
    "options", [{"every": 2, "else_": "hold_last"}, {"on_error": "hold_last"}], ids=str
)
def test_it_keeps_what_each_output_gave_last(options: dict[str, Any]) -> None:
    memory = Memory()
    settle = made(hold.layer(Site(step_of(**options), memory=memory))).settle
    assert settle is not None
    settle([("image", stubs.frame(1, "one")), ("note", stubs.frame(1, "noted"))])
    settle([("image", stubs.frame(2, "two")), ("note", Bound(20_000))])
    assert memory.of(hold.Last) == {"image": "two", "note": "noted"}


def test_it_is_still_held_when_another_plan_takes_over() -> None:
    memory, step = Memory(), step_of(every=2, else_="hold_last")
    settle = made(hold.layer(Site(step, memory=memory))).settle
    assert settle is not None
    settle([("image", stubs.frame(1, "one"))])
    ((port, item),) = Fallback(Site(step, memory=memory)).instead(
        Missed("hold_last", "every"), stubs.frame(5)
    )
    assert (port, item) == ("image", stubs.frame(5, "one"))


def test_a_frame_that_fails_gets_what_came_before_it_with_concurrency() -> None:
    """Though frames behind it are done with before."""
    later = threading.Event()

    def call(image: av.VideoFrame) -> av.VideoFrame:
        if luma(image) == 10:
            reach(later)
            raise ValueError("no")
        if luma(image) == 11:
            later.set()
        return pixels.copy(image)

    node = calling(call)
    node.stateless = True
    _, collect = chain(node, ", concurrency: 3, on_error: hold_last")
    assert collect.seen == [(number, 9 if number == 10 else number) for number in range(60)]
