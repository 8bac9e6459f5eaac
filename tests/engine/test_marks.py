from dataclasses import replace
from typing import Any, Final

import pytest

from composer.device.lanes import PASSED, Lane, Mark
from composer.engine import marks
from composer.engine.layers.layer import Out
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import Bound, OnDevice
from tests.engine.layers.sites import step_of
from tests.stubs import frame, picture

TENSOR: Final = Format(Kind.PICTURE, "rgb", Carrier.TENSOR, device="cuda:0")


class Watched(Lane):
    """A lane of a CPU that says for what it waited."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.after_: list[Any] = []

    def after(self, mark: Mark, *tensors: Any) -> None:
        self.after_.append((mark, *tensors))


def test_a_marked_tensor_is_waited_for_by_the_lane_and_not_by_the_host() -> None:
    lane = Watched()
    marked = frame(1, OnDevice("tensor", PASSED))
    assert marks.arrived(lane, marked) == frame(1, "tensor")
    assert lane.after_ == [(PASSED, "tensor")]


def test_a_plain_value_is_not_waited_for() -> None:
    lane, plain = Watched(), frame(1, "plain")
    assert marks.arrived(lane, plain) is plain
    assert marks.reached(lane, "plain") == "plain"
    assert lane.after_ == []


@pytest.mark.parametrize(
    ("form", "lane", "marked"),
    [
        pytest.param(TENSOR, Lane("cpu"), [True], id="on a device"),
        pytest.param(replace(TENSOR, device="cpu"), Lane("cpu"), [False], id="on the host"),
        pytest.param(Format(Kind.RECORD), Lane("cpu"), [False], id="no tensor"),
        pytest.param(TENSOR, None, [False], id="no lane"),
    ],
)
def test_a_tensor_on_a_device_is_marked(form: Format, lane: Lane, marked: list[bool]) -> None:
    step = replace(step_of(), outputs={"image": form})
    plain = replace(frame(1, "value"), origin=picture(1))
    item = marks.marked(lane, step, "image", plain)
    assert [item.value == OnDevice("value", PASSED)] == marked
    assert (item is plain, item.origin) == (not marked[0], plain.origin)


def test_all_that_a_step_gave_is_marked_but_what_says_the_time() -> None:
    step = replace(step_of(), outputs={"image": TENSOR, "note": Format(Kind.RECORD)})
    out: Out = [("image", frame(1, "tensor")), ("note", frame(1, {})), ("image", Bound(3))]
    assert marks.all_marked(Lane("cpu"), step, out) == [
        ("image", frame(1, OnDevice("tensor", PASSED))),
        ("note", frame(1, {})),
        ("image", Bound(3)),
    ]
