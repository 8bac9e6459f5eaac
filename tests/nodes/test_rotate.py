import av
import numpy as np
import pytest
from pydantic import ValidationError

from composer.pictures import pixels
from composer.testing import gradient, picture, run_node
from nodes.rotate import Rotate


def noise(width: int, height: int, layout: str) -> av.VideoFrame:
    image = picture(gradient(width, height), layout, seconds=1)
    random = np.random.default_rng(9)
    for plane in pixels.planes(image):
        plane[...] = random.integers(0, 256, plane.shape, np.uint8)
    return image


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("size", [(64, 32), (33, 17), (2, 2), (1, 1), (3, 200)])
@pytest.mark.parametrize(("angle", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_every_sample_is_turned_clockwise(
    angle: int, turns: int, size: tuple[int, int], layout: str
) -> None:
    image, old = noise(*size, layout), noise(*size, layout)
    node = Rotate.model_validate({"angle": angle})
    given = run_node(node, image=image)
    assert (given.width, given.height) == node.picture_size(*size)
    assert (given.format.name, given.pts, given.time_base) == (layout, image.pts, image.time_base)
    for plane, source, before in zip(
        pixels.planes(given), pixels.planes(image), pixels.planes(old), strict=True
    ):
        assert np.array_equal(plane, np.rot90(before, turns))
        assert np.array_equal(source, before)


def test_sizes_change_places_but_not_at_180() -> None:
    assert Rotate(angle=90).picture_size(640, 360) == (360, 640)
    assert Rotate(angle=180).picture_size(640, 360) == (640, 360)
    assert Rotate(angle=270).picture_size(640, 360) == (360, 640)


def test_yuv422p_is_neither_taken_nor_given() -> None:
    for port in Rotate.inputs + Rotate.outputs:
        assert [found.layout for found in port.formats] == ["yuv420p", "yuv444p", "yuva444p"]


def test_the_picture_is_the_nodes_own() -> None:
    image = noise(32, 32, "yuv420p")
    for plane in pixels.planes(run_node(Rotate(angle=180), image=image)):
        plane[...] = 0
    assert np.array_equal(pixels.planes(image)[0], pixels.planes(noise(32, 32, "yuv420p"))[0])


def test_other_angles_are_refused() -> None:
    with pytest.raises(ValidationError, match="90, 180 or 270"):
        Rotate.model_validate({"angle": 45})
