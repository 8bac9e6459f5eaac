import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import ColorTags
from composer.pictures import pixels
from composer.pictures.gains import matrix_of, with_gains


@pytest.mark.parametrize("colorspace", [1, 2, 6, 9])
def test_gains_of_one_change_nothing(colorspace: int) -> None:
    assert np.allclose(matrix_of((1, 1, 1), colorspace), np.eye(3))


@pytest.mark.parametrize("colorspace", [1, 2, 6, 9])
def test_equal_gains_scale_luma_and_chroma_alike(colorspace: int) -> None:
    assert np.allclose(matrix_of((0.3, 0.3, 0.3), colorspace), 0.3 * np.eye(3))


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_smooth_colours_are_as_in_rgb_and_the_input_stays(layout: str) -> None:
    ramp = np.linspace(20, 240, 128)
    rgb = np.stack(
        np.broadcast_arrays(ramp[None, :], ramp[::-1][None, :], np.linspace(60, 90, 70)[:, None]), 2
    )
    image = pixels.from_rgb(rgb.astype(np.uint8), layout, ColorTags(1, 1, 1))
    before = [plane.copy() for plane in pixels.planes(image)]
    given = with_gains(image, (0.4, 0.8, 1.0))
    wanted = pixels.to_rgb(image) * np.array([0.4, 0.8, 1.0])
    assert np.abs(pixels.to_rgb(given) - wanted).max() <= 4  # 2 here, 2 on the way to RGB
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)
