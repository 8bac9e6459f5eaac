"""Marks of lanes: tensors that wait, on the device, for the lane that made them."""

from typing import TYPE_CHECKING, Any

from composer.compiler.plan import Step
from composer.node.formats import Carrier
from composer.node.frames import Frame, Item, OnDevice

if TYPE_CHECKING:  # a graph on the CPU needs none
    from composer.device.lanes import Lane


def reached(lane: "Lane", value: Any) -> Any:
    """The plain value: this lane goes on when that of the value has come to its mark."""
    if not isinstance(value, OnDevice):
        return value
    lane.after(value.mark, value.tensor)
    return value.tensor


def arrived(lane: "Lane", frame: Frame[Any]) -> Frame[Any]:
    """The same with a plain value."""
    if not isinstance(frame.value, OnDevice):
        return frame
    return frame.carry(reached(lane, frame.value))


def all_marked(
    lane: "Lane | None", step: Step, out: list[tuple[str, Item]]
) -> list[tuple[str, Item]]:
    """The same with marks on all that a step gave."""
    if lane is None:
        return out
    return [
        (port, marked(lane, step, port, item) if isinstance(item, Frame) else item)
        for port, item in out
    ]


def marked(lane: "Lane | None", step: Step, port: str, frame: Frame[Any]) -> Frame[Any]:
    """The same with a mark on a tensor that is on a device, for the lanes behind this one."""
    form = step.outputs[port]
    if lane is None or form.carrier is not Carrier.TENSOR or form.device == "cpu":
        return frame
    return frame.carry(OnDevice(frame.value, lane.mark()))
