from dataclasses import replace
from typing import Any

from composer import Frame
from composer.device.lanes import PASSED, Lane, Mark
from composer.engine.inbox import WorkItem
from composer.engine.layers import lane
from composer.engine.layers.layer import Missed, Out, Site
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import Bound, OnDevice
from tests import stubs
from tests.engine.layers.sites import around, giving, site_of, step_of

TENSOR = Format(Kind.PICTURE, "rgb", Carrier.TENSOR, device="cuda:0")


class Watched(Lane):
    """A lane of a CPU that says what is done with it."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.said: list[Any] = []

    def __enter__(self) -> Lane:
        self.said.append("enter")
        return super().__enter__()

    def __exit__(self, *failure: Any) -> None:
        self.said.append("exit")
        super().__exit__(*failure)

    def mark(self) -> Mark:
        self.said.append("mark")
        return super().mark()

    def after(self, mark: Mark, *tensors: Any) -> None:
        self.said.append(("after", *tensors))
        super().after(mark, *tensors)


def site(watched: Watched) -> Site:
    """A step that gives a tensor on "image" and a record on "note"."""
    outputs = {"image": TENSOR, "note": Format(Kind.RECORD)}
    return Site(replace(step_of(), outputs=outputs), lane=watched)


def frame(value: Any) -> Frame[Any]:
    return stubs.frame(3, value)


def test_a_step_on_a_cpu_has_nothing_in_its_way() -> None:
    assert lane.layer(site_of(step_of(when="on"))) is None


def test_the_call_is_on_the_lane_behind_what_it_takes_and_what_it_gives_is_marked() -> None:
    watched = Watched()
    met: list[WorkItem] = []

    def call(taken: WorkItem) -> Out | Missed:
        met.append(taken)
        watched.said.append("call")
        return [("image", taken.frame.carry("new")), ("note", taken.frame.carry({}))]

    others = {"top": OnDevice("top", PASSED), "boxes": "boxes"}
    out = around(lane.layer(site(watched)), call)(
        WorkItem("image", frame(OnDevice("tensor", PASSED)), others)
    )
    assert met == [WorkItem("image", frame("tensor"), {"top": "top", "boxes": "boxes"})]
    assert out == [("image", frame(OnDevice("new", PASSED))), ("note", frame({}))]
    assert watched.said == ["enter", ("after", "top"), ("after", "tensor"), "call", "mark", "exit"]


def test_what_is_missed_and_what_says_the_time_alone_has_no_mark() -> None:
    watched = Watched()
    missed = Missed("drop", "error")
    results: list[Out | Missed] = [missed, [("image", Bound(30_000))]]

    def call(taken: WorkItem) -> Out | Missed:
        return results.pop(0)

    on_lane = around(lane.layer(site(watched)), call)
    assert on_lane(WorkItem("image", frame("plain"))) is missed
    assert on_lane(WorkItem("image", frame("plain"))) == [("image", Bound(30_000))]
    assert "mark" not in watched.said


def test_a_value_on_the_host_has_no_mark() -> None:
    watched = Watched()
    step = replace(step_of(), outputs={"image": replace(TENSOR, device="cpu")})
    on_lane = around(lane.layer(Site(step, lane=watched)), giving("new"))
    assert on_lane(WorkItem("image", frame("plain"))) == [("image", frame("new"))]
