from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest

from composer import RGB, YUV, Detections, Frame, Node, OwnYUV, Record
from composer.compiler.plan import Step
from composer.device.lanes import PASSED, Lane
from composer.engine.fallback import Fallback
from composer.engine.layers.hold import Last
from composer.engine.layers.layer import Missed, Site
from composer.errors import NodeFailed
from composer.node.formats import Carrier, Format, Kind
from composer.node.frames import Bound, OnDevice
from composer.pictures import pixels
from tests import stubs
from tests.engine.runs import CHAIN, chain, run_of
from tests.stubs import TICK, picture, plan_of, sink


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        pytest.param("every: 3", [1, 1, 2, 4, 4, 5, 7], id="pass is the default"),
        pytest.param("every: 3, else: pass", [1, 1, 2, 4, 4, 5, 7], id="pass"),
        pytest.param("every: 3, else: hold_last", [1, 1, 1, 4, 4, 4, 7], id="hold_last"),
        pytest.param("every: 3, else: drop", [1, 4, 7], id="drop"),
        pytest.param("rate: 50, else: drop", [1, 3, 5, 7], id="rate"),
        pytest.param("rate: 33.4, else: drop", [1, 4, 7], id="rate that does not divide"),
        pytest.param("rate: 1000, else: drop", [1, 2, 3, 4, 5, 6, 7], id="rate above the source"),
        pytest.param("when: false, else: drop", [], id="never"),
        pytest.param("when: false, else: hold_last", [], id="nothing to hold"),
    ],
)
def test_gate(options: str, seen: list[int]) -> None:
    collect = sink()
    report = run_of(
        f"nodes: {{source: {{type: count, count: 7}}, step: {{type: paint, {options}}},"
        " out: {type: collect}}",
        collect=collect,
    )
    assert [value for _, value in collect.seen] == seen
    step = report.nodes["step"]
    assert step.given + step.dropped.total() == 7


def test_a_frame_that_passes_by_is_converted_where_the_node_would_have() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            return pixels.from_rgb(image, "yuv420p")

    _, collect = chain(Developed, ", every: 2, else: pass")
    assert [pts for pts, _ in collect.seen] == list(range(60))


TENSOR: Final = Format(Kind.PICTURE, "rgb", Carrier.TENSOR, device="cuda:0")


class Looked(NamedTuple):
    image: YUV
    regions: Detections
    note: Record


class Look(Node):
    def process(self, image: YUV) -> Looked:
        return Looked(image, Detections(), {})


def looking(**options: Any) -> Step:
    """A step with three outputs, of which its picture alone can go by the node."""
    plan = plan_of(
        "nodes: {source: {type: count}, look: {type: look},"
        " blur: {type: blur, in: {image: look.image, regions: look.regions}},"
        " noted: {type: noted, in: {image: blur, note: look.note}}, out: {type: collect}}",
        look=Look,
        noted=Noted,
    )
    return replace(plan.steps["look"], **options)


class Noted(Node):
    def process(self, image: YUV, note: Record) -> YUV:
        return image


@pytest.mark.parametrize(
    ("fallback", "out", "count"),
    [
        pytest.param(
            "pass",
            {"image": "frame", "regions": Bound(30_000), "note": Bound(30_000)},
            (1, {}),
            id="pass",
        ),
        pytest.param(
            "hold_last",
            {"image": Bound(30_000), "regions": Detections(), "note": Bound(30_000)},
            (1, {}),
            id="hold_last, nothing but detections to hold",
        ),
        pytest.param(
            "drop", dict.fromkeys(Looked._fields, Bound(30_000)), (0, {"why": 1}), id="drop"
        ),
    ],
)
def test_each_output_says_what_comes(
    fallback: Any, out: dict[str, Any], count: tuple[int, dict[str, int]]
) -> None:
    site = Site(looking())
    frame = stubs.frame(3, "frame")
    instead = Fallback(site).instead(Missed(fallback, "why"), frame)
    values = {port: item.value if isinstance(item, Frame) else item for port, item in instead}
    assert values == out
    assert (site.count.given, site.count.dropped) == count


def test_what_was_held_comes_at_the_time_of_the_frame() -> None:
    site = Site(looking())
    site.memory.of(Last).update(image="old", regions="older", note="oldest")
    instead = Fallback(site).instead(Missed("hold_last", "every"), stubs.frame(3))
    assert [(port, item) for port, item in instead if isinstance(item, Frame)] == [
        ("image", stubs.frame(3, "old")),
        ("regions", stubs.frame(3, "older")),
        ("note", stubs.frame(3, "oldest")),
    ]


def test_a_tensor_that_goes_by_remembers_its_picture_and_its_mark() -> None:
    step = replace(looking(), inputs={"image": TENSOR}, outputs={"image": TENSOR})
    image = picture(3)
    waiting = OnDevice("tensor", PASSED)
    frame: Frame[Any] = Frame(waiting, 3, TICK, origin=image)
    ((port, item),) = Fallback(Site(step, lane=Lane("cpu"))).instead(Missed("pass", "when"), frame)
    assert isinstance(item, Frame)
    assert (port, item.value, item.origin) == ("image", waiting, image)


def test_a_sink_that_is_gone_by_has_taken_its_frame() -> None:
    step = plan_of("nodes: {source: {type: count}, out: {type: collect}}").steps["out"]
    site = Site(step)
    assert Fallback(site).instead(Missed("pass", "when"), stubs.frame(3)) == []
    assert (site.count.given, site.count.dropped) == (1, {})
    assert Fallback(site).instead(Missed("drop", "when"), stubs.frame(3)) == []
    assert (site.count.given, site.count.dropped) == (1, {"when": 1})


def test_a_picture_that_cannot_go_by_says_why() -> None:
    class Developed(Node):
        def process(self, image: RGB) -> OwnYUV:
            return pixels.from_rgb(image, "yuv420p")

    plan = plan_of(CHAIN.format(options=", every: 2, else: pass"), step=Developed)
    with pytest.raises(NodeFailed, match=r"'step' failed in conversion at 0.030s"):
        Fallback(Site(plan.steps["step"])).instead(Missed("pass", "every"), stubs.frame(3))
