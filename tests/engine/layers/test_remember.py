from typing import Any

import pytest
from pydantic import PrivateAttr

from composer import YUV, Context, Node
from composer.device.lanes import Lane
from composer.engine.inbox import WorkItem
from composer.engine.layers import remember
from composer.engine.layers.layer import Missed
from composer.engine.step import StepRun
from composer.errors import NodeFailed
from composer.node.frames import OnDevice
from tests import stubs
from tests.engine.layers.sites import converter, made, site_of, step_of, taken
from tests.engine.runs import chain
from tests.stubs import luma, picture, plan_of, sink


class Held(Node):
    """Remembers what it works on and what goes by it."""

    remembers = True
    _seen: list[Any] = PrivateAttr(default_factory=list)

    def see(self, **given: Any) -> None:
        self._seen.append(given["image"])

    def process(self, image: YUV) -> YUV:
        self._seen.append(image)
        return image


def test_a_node_on_a_lane_meets_no_mark_whatever_it_is_called_for() -> None:
    plan = plan_of(
        "nodes: {s: {type: count, count: 4}, m: {type: held, every: 2}, o: {type: collect}}",
        held=Held,
        collect=sink(),
    )
    lane, step = Lane("cpu"), plan.steps["m"]
    context = Context("m", step.folder, step.inputs, step.outputs)
    worker = StepRun(step, context, lane=lane)
    assert worker.instance is not None
    worker.instance.open()
    pictures = [picture(number) for number in range(4)]
    for number, each in enumerate(pictures):
        worker.run(WorkItem("image", stubs.frame(number, OnDevice(each, lane.mark()))))
    assert isinstance(worker.instance.node, Held)
    assert worker.instance.node._seen == pictures
    worker.instance.close()


def test_a_node_that_does_not_remember_has_nothing_in_its_way() -> None:
    assert remember.layer(site_of(step_of(every=2))) is None
    assert remember.layer(converter()) is None


@pytest.mark.parametrize(
    ("reason", "count"), [("every", 1), ("rate", 1), ("when", 0), ("error", 0), ("loading", 0)]
)
def test_it_sees_what_goes_by_since_it_need_not_see_all(reason: str, count: int) -> None:
    site = site_of(step_of(Held))
    missed = made(remember.layer(site)).missed
    assert missed is not None
    missed(taken(3), Missed("pass", reason))
    assert site.instance is not None
    assert isinstance(site.instance.node, Held)
    assert len(site.instance.node._seen) == count


def test_it_sees_and_works_in_the_order_of_the_frames() -> None:
    seen: list[str] = []

    class Watching(Node):
        remembers = True

        def see(self, **values: Any) -> None:
            seen.append(f"saw {luma(values['image'])}")

        def process(self, image: YUV) -> YUV:
            seen.append(f"worked on {luma(image)}")
            return image

    chain(Watching, ", every: 3")
    assert seen[:4] == ["worked on 0", "saw 1", "saw 2", "worked on 3"]
    assert len(seen) == 60


class Blind(Node):
    """Cannot see."""

    remembers = True

    def see(self, **values: Any) -> None:
        raise ValueError("no")

    def process(self, image: YUV) -> YUV:
        return image


def test_what_it_cannot_see_is_an_error_and_the_frame_goes_by() -> None:
    report, collect = chain(Blind, ", every: 2, on_error: pass")
    assert len(collect.seen) == 60
    assert report.nodes["step"].errors == 30


def test_what_it_cannot_see_is_the_end_where_errors_are() -> None:
    with pytest.raises(NodeFailed, match=r"'step' failed in see\(\) at 0\.010s: ValueError: no"):
        chain(Blind, ", every: 2, on_error: fail")
