from typing import Any

import pytest
from pydantic import PrivateAttr

from composer import YUV, Context, Node
from composer.engine.inbox import Taken
from composer.engine.step import StepRun
from composer.node.frames import OnDevice
from tests import stubs
from tests.stubs import picture, plan_of, sink


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
    lanes = pytest.importorskip("composer.device.lanes")
    pytest.importorskip("torch")
    plan = plan_of(
        "nodes: {s: {type: count, count: 4}, m: {type: held, every: 2}, o: {type: collect}}",
        held=Held,
        collect=sink(),
    )
    lane, step = lanes.Lane("cpu"), plan.steps["m"]
    context = Context("m", step.folder, step.inputs, step.outputs)
    worker = StepRun(step, context, lane=lane)
    assert worker.instance is not None
    worker.instance.open()
    pictures = [picture(number) for number in range(4)]
    for number, each in enumerate(pictures):
        worker.run(Taken("image", stubs.frame(number, OnDevice(each, lane.mark()))))
    assert isinstance(worker.instance.node, Held)
    assert worker.instance.node._seen == pictures
    worker.instance.close()
