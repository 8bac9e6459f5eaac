from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
import pytest

from composer import YUV, Context, Frame, Moment, Node, OwnYUV, Record
from composer.compiler.plan import Plan
from composer.engine.inbox import WorkItem
from composer.engine.layers.layer import Out
from composer.engine.step import Environment, StepRun
from composer.errors import NodeFailed
from composer.node.frames import Bound, ColorTags
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import run_of
from tests.stubs import TICK, luma, picture, plan_of, sink


class Both(NamedTuple):
    image: YUV | None = None
    note: Record | None = None


class Seldom(Node):
    """Gives a note with each third picture alone, and neither with the fifth."""

    def process(self, image: YUV) -> Both:
        number = luma(image)
        if number == 5:
            return Both()
        return Both(image, {"number": number} if number % 3 == 0 else None)


class Noted(Node):
    def process(self, image: YUV, note: Record) -> YUV:
        return image


NOTES = """\
nodes:
  source: {type: count, count: 12}
  seldom: {type: seldom}
  noted: {type: noted, in: {image: seldom.image, note: seldom.note}}
  out: {type: collect}
"""


def step_run(plan: Plan, name: str) -> StepRun:
    step = plan.steps[name]
    run = StepRun(step, Context(name, step.folder, step.inputs, step.outputs))
    assert run.instance is not None
    run.instance.open()
    return run


def given(run: StepRun, number: int, **others: Any) -> Out:
    """What comes out for one picture."""
    port = next(iter(run.step.inputs))
    image = picture(number)
    return run.run(WorkItem(port, Frame(image, number, TICK, born=1.0), others))


def test_both_outputs_of_a_node_arrive() -> None:
    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 5}, split: {type: split},"
        " mix: {type: mix, in: {base: split.image, top: split.other}}, out: {type: collect}}",
        collect=collect,
    )
    assert collect.others == [255, 254, 253, 252, 251]


@pytest.mark.parametrize(
    ("number", "frames", "bounds"),
    [
        pytest.param(3, ["image", "note"], [], id="both"),
        pytest.param(4, ["image"], ["note"], id="one"),
        pytest.param(5, [], ["image", "note"], id="neither"),
    ],
)
def test_an_output_that_gives_nothing_says_so(
    number: int, frames: list[str], bounds: list[str]
) -> None:
    run = step_run(plan_of(NOTES, seldom=Seldom, noted=Noted), "seldom")
    out = given(run, number)
    assert [port for port, item in out if isinstance(item, Frame)] == frames
    assert [port for port, item in out if item == Bound(number * 10_000)] == bounds
    assert (run.count.given, run.count.dropped) == ((1, {}) if frames else (0, {"node": 1}))


def test_a_join_does_not_wait_for_an_output_that_gives_nothing() -> None:
    collect = sink()
    report = run_of(NOTES, seldom=Seldom, noted=Noted, collect=collect)
    assert [pts for pts, _ in collect.seen] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert report.nodes["seldom"].dropped == {"node": 1}


def test_an_output_that_nobody_takes_is_not_looked_at() -> None:
    class Wrong(Node):
        def process(self, image: YUV) -> Both:
            return Both(image, "no record")  # type: ignore[arg-type]

    collect = sink()
    run_of(
        "nodes: {source: {type: count, count: 3}, wrong: {type: wrong},"
        " out: {type: collect, in: wrong.image}}",
        wrong=Wrong,
        collect=collect,
    )
    assert [pts for pts, _ in collect.seen] == [0, 1, 2]


ONE = "nodes: {source: {type: count}, one: {type: one}, out: {type: collect}}"


def test_what_a_node_gives_on_needs_no_other_envelope() -> None:
    run = step_run(plan_of(ONE, one=stubs.Pass), "one")
    image = picture(3)
    frame = Frame(image, 3, TICK, born=1.0)
    assert run.run(WorkItem("image", frame)) == [("image", frame)]
    assert run.run(WorkItem("image", frame))[0][1] is frame


def test_what_a_node_makes_has_the_time_of_its_frame() -> None:
    class Made(Node):
        def process(self, image: YUV) -> OwnYUV:
            return av.VideoFrame(2, 2, "yuv420p")

    ((port, item),) = given(step_run(plan_of(ONE, one=Made), "one"), 7)
    assert isinstance(item, Frame)
    assert (port, item.pts, item.time_base, item.born) == ("image", 7, TICK, 1.0)
    assert (item.value.pts, item.value.time_base) == (7, TICK)


def test_a_node_that_gives_none_dropped_its_frame() -> None:
    run = step_run(plan_of(ONE, one=stubs.OnlyOdd), "one")
    assert given(run, 2) == [("image", Bound(20_000))]
    assert (run.count.taken, run.count.given, run.count.dropped) == (1, 0, {"node": 1})


def test_a_node_that_asks_for_it_is_told_the_time() -> None:
    told: list[Moment] = []

    class Timed(Node):
        def process(self, image: YUV, *, at: Moment) -> YUV:
            told.append(at)
            return image

    run = step_run(plan_of(ONE, one=Timed), "one")
    color = ColorTags(1, 1, 1)
    run.run(WorkItem("image", Frame(picture(4), 4, TICK, color, rate=Fraction(25))))
    assert told == [Moment(4, TICK, color, Fraction(25))]


def test_a_node_of_many_values_gives_each_at_its_time() -> None:
    class Twice(Node):
        def process(self, image: YUV) -> Iterator[YUV]:
            for late in range(2):
                new = pixels.copy(image)
                new.pts, new.time_base = 2 * (image.pts or 0) + late, TICK / 2
                yield new

    run = step_run(plan_of(ONE, one=Twice), "one")
    out = given(run, 3)
    assert [(item.pts, item.time_base) for _, item in out if isinstance(item, Frame)] == [
        (6, TICK / 2),
        (7, TICK / 2),
    ]
    assert run.count.given == 2


def test_a_sink_says_how_old_its_frames_are() -> None:
    step = plan_of(ONE, one=stubs.Pass, collect=sink()).steps["out"]
    context = Context("out", step.folder, step.inputs, step.outputs)
    run = StepRun(step, context, environment=Environment(now=lambda: 3.5))
    assert given(run, 0) == []
    assert (run.count.given, run.count.age.total) == (1, 2.5)


def test_a_picture_that_cannot_be_converted_says_which() -> None:
    plan = plan_of("nodes: {source: {type: count}, out: {type: show}}")
    (name,) = [name for name, step in plan.steps.items() if step.settings is None]
    run = StepRun(plan.steps[name], None)
    with pytest.raises(NodeFailed, match=rf"'{name}' failed in conversion at 0.020s"):
        run.run(WorkItem("in", Frame(object(), 2, TICK)))
