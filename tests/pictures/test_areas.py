import numpy as np
import pytest

from composer.node.formats import LAYOUTS
from composer.node.frames import ColorTags
from composer.pictures import areas, pixels
from composer.testing import gradient, picture

RED = (255, 0, 0, 255)


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "rgba"])
def test_fill_paints_the_box_and_nothing_else(layout: str) -> None:
    image = picture(gradient(32, 16), layout)
    before = pixels.to_rgb(image).copy()
    areas.fill(image, RED, (8, 4, 20, 12))
    after = pixels.to_rgb(image)
    assert np.abs(after[5:11, 10:18].astype(int) - RED[:3]).max() <= 3
    outside = np.ones((16, 32), bool)
    outside[3:13, 6:22] = False  # swscale mixes the chroma of neighbours when it is shown as RGB
    assert np.abs(after.astype(int) - before)[outside].max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fill_is_cut_at_the_borders_of_odd_pictures(layout: str) -> None:
    image = picture(gradient(7, 5), layout)
    areas.fill(image, (0, 0, 0, 255), (-5, -5, 99, 99))
    assert pixels.to_rgb(image).max() <= 1
    areas.fill(image, (255, 255, 255, 255), (7, 0, 9, 5))
    areas.fill(image, (255, 255, 255, 255), (3, 3, 3, 5))
    assert pixels.to_rgb(image).max() <= 1


def test_samples_follow_the_matrix_tag_of_the_picture() -> None:
    image = pixels.from_rgb(gradient(8, 8), "yuv444p", ColorTags(1, 1, 1))
    assert areas.sample(image, (0, 255, 0, 255)) == (173, 42, 26)
    assert areas.sample(picture(gradient(8, 8)), (0, 255, 0, 255)) == (145, 54, 34)


def test_rgba_keeps_how_opaque_the_colour_is() -> None:
    assert areas.sample(picture(gradient(8, 8), "rgba"), (1, 2, 3, 40)) == (1, 2, 3, 40)


def test_grey_takes_the_brightness() -> None:
    assert areas.sample(picture(gradient(8, 8), "gray"), (255, 255, 255, 255)) == (255,)
