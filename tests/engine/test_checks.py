from typing import Any

import numpy as np
import pytest

from composer import Detections
from composer.engine.checks import check_of
from composer.errors import NodeFailed
from composer.node.formats import Carrier, Format, Kind
from composer.pictures import pixels
from tests.engine.runs import chain
from tests.stubs import calling, picture

RGB_ARRAY = Format(Kind.PICTURE, "rgb24", Carrier.ARRAY)
MASK = Format(Kind.MASK, "gray", Carrier.ARRAY)
TENSOR = Format(Kind.PICTURE, "rgb", Carrier.TENSOR)


class Shaped:
    """What says of itself that it is an array or a tensor."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, dtype


@pytest.mark.fault("F-45")
def test_a_node_that_gives_another_layout_fails_with_the_way_out() -> None:
    with pytest.raises(NodeFailed, match=r"gave a gray picture where the plan has yuv420p"):
        chain(calling(lambda image: pixels.convert(image, "gray")))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        pytest.param(Format(Kind.PICTURE, "rgb24", Carrier.FRAME), picture(1, "rgb24"), id="frame"),
        pytest.param(RGB_ARRAY, np.zeros((4, 6, 3), np.uint8), id="array"),
        pytest.param(MASK, np.zeros((4, 6), np.uint8), id="mask"),
        pytest.param(TENSOR, Shaped((3, 4, 6), "torch.float32"), id="tensor"),
        pytest.param(
            Format(Kind.ARRAY, carrier=Carrier.ARRAY), np.zeros((1, 2, 3, 4)), id="any array"
        ),
        pytest.param(Format(Kind.DETECTIONS), Detections(), id="detections"),
        pytest.param(Format(Kind.RECORD), {"a": 1}, id="record"),
        pytest.param(Format(Kind.AUDIO, carrier=Carrier.PACKET), object(), id="a packet of sound"),
    ],
)
def test_what_fits_may_travel(form: Format, value: Any) -> None:
    check_of(form)(value)


@pytest.mark.parametrize(
    ("form", "value", "message"),
    [
        pytest.param(
            Format(Kind.PICTURE, "yuv420p", Carrier.FRAME),
            picture(1, "rgb24"),
            "gave a rgb24 picture where the plan has yuv420p;"
            ' say which with Annotated[Picture, Layouts("rgb24")]',
            id="another layout",
        ),
        pytest.param(
            Format(Kind.PICTURE, "yuv420p", Carrier.FRAME),
            np.zeros((2, 2, 3), np.uint8),
            "gave a ndarray picture where the plan has yuv420p;"
            ' say which with Annotated[Picture, Layouts("ndarray")]',
            id="no picture",
        ),
        pytest.param(
            RGB_ARRAY,
            np.zeros((4, 6, 3), np.float32),
            "gave ndarray (4, 6, 3) of float32; it should be (H, W, 3) uint8",
            id="an array of other numbers",
        ),
        pytest.param(
            RGB_ARRAY,
            np.zeros((4, 6, 4), np.uint8),
            "gave ndarray (4, 6, 4) of uint8; it should be (H, W, 3) uint8",
            id="an array with alpha",
        ),
        pytest.param(
            MASK,
            np.zeros((4, 6, 3), np.uint8),
            "gave ndarray (4, 6, 3) of uint8; it should be (H, W) uint8",
            id="a mask in colour",
        ),
        pytest.param(
            MASK, [1], "gave list None of no dtype; it should be (H, W) uint8", id="a list"
        ),
        pytest.param(
            TENSOR,
            Shaped((4, 6, 3), "torch.float32"),
            "gave Shaped (4, 6, 3) of torch.float32; it should be (3, H, W) torch.float32",
            id="a tensor the other way round",
        ),
        pytest.param(
            Format(Kind.ARRAY, carrier=Carrier.ARRAY),
            [1],
            "gave list; it should be an array",
            id="no array",
        ),
        pytest.param(
            Format(Kind.DETECTIONS), [], "gave list; it should be Detections", id="no detections"
        ),
        pytest.param(Format(Kind.RECORD), "a", "gave str; it should be dict", id="no record"),
    ],
)
@pytest.mark.fault("F-45")
def test_what_does_not_fit_says_what_should_be(form: Format, value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_of(form)(value)
    assert str(caught.value) == message
