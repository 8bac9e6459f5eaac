import pytest

from composer import RGB, YUV, Detections, Node, OwnYUV, Record
from composer.compiler.plan import Step
from composer.engine.bypass import bypass_of, ways_of
from composer.pictures import pixels
from tests import stubs
from tests.engine.layers.sites import converter, step_of
from tests.stubs import picture, plan_of


class Developed(Node):
    def process(self, image: RGB) -> OwnYUV:
        return pixels.from_rgb(image, "yuv420p")


class Found(Node):
    def process(self, image: YUV) -> Detections:
        return Detections()


class Noted(Node):
    def process(self, image: YUV, note: Record) -> YUV:
        return image


def detecting() -> Step:
    plan = plan_of(
        "nodes: {source: {type: count}, found: {type: found},"
        " blur: {type: blur, in: {image: source, regions: found}}, out: {type: collect}}",
        found=Found,
    )
    return plan.steps["found"]


def test_a_frame_goes_by_as_it_is_where_the_format_stays() -> None:
    assert ways_of(step_of(stubs.Pass)) == {"image": None}


def test_it_is_converted_where_the_format_changes() -> None:
    (way,) = ways_of(step_of(Developed)).values()
    assert way is not None
    step = step_of(Developed)
    array = pixels.to_rgb(picture(3))
    assert way.run(stubs.frame(3, array), step.outputs["image"]).format.name == "yuv420p"


def test_there_is_no_way_from_a_picture_to_what_is_said_of_it() -> None:
    assert ways_of(detecting()) == {}


def test_nothing_goes_by_a_converter_or_a_source() -> None:
    assert ways_of(converter().step) == {}
    plan = plan_of("nodes: {source: {type: count}, out: {type: collect}}")
    assert ways_of(plan.steps["source"]) == {}


@pytest.mark.parametrize(
    ("step", "bypass"),
    [
        pytest.param(step_of(stubs.Pass), "pass", id="the picture can be the output"),
        pytest.param(step_of(Developed), "pass", id="when it is converted"),
        pytest.param(detecting(), "hold_last", id="it cannot"),
    ],
)
def test_what_comes_out_while_there_is_no_node(step: Step, bypass: str) -> None:
    assert bypass_of(step) == bypass
