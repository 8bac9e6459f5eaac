import math

import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.pictures.chain import Chain
from composer.pictures.gaussian import blur
from composer.testing import gradient, picture

SIGMAS = [0.3, 1.5, 3.9, 4, 8, 16, 50]


def step(layout: str, axis: int) -> av.VideoFrame:
    """Luma and chroma 40 in one half and 200 in the other, along an axis (0 down, 1 across)."""
    image = picture(gradient(1024, 1024), layout)
    for plane in pixels.planes(image):
        plane[...] = 40
        rows = plane if axis == 0 else plane.T
        rows[len(rows) // 2 :] = 200
    return image


@pytest.mark.parametrize("axis", [pytest.param(0, id="down"), pytest.param(1, id="across")])
@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_an_edge_becomes_that_of_a_gaussian(sigma: float, layout: str, axis: int) -> None:
    given = blur(Chain(), step(layout, axis), sigma)
    for plane in pixels.planes(given):
        edge = (plane if axis == 0 else plane.T)[:, 7].astype(float)
        scale = 1024 // len(edge)
        places = np.arange(len(edge)) - len(edge) / 2 + 0.5
        wide = sigma / scale * math.sqrt(2)
        wanted = np.array([120 + 80 * math.erf(place / wide) for place in places])
        assert np.abs(edge - wanted).max() <= 0.08 * 160
        rise = np.diff(edge) / 160
        spread = math.sqrt(np.sum(rise * (places[:-1] + 0.5) ** 2))
        assert spread * scale == pytest.approx(sigma, rel=0.1, abs=0.05)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    "size",
    [(1, 1), (2, 2), (16, 16), (8, 200), (15, 17), (200, 3), (65, 129), (131, 67), (257, 514)],
)
@pytest.mark.parametrize("sigma", [0.5, 4, 50])
def test_no_size_gives_anything_that_was_not_there(
    size: tuple[int, int], sigma: float, layout: str
) -> None:
    image = picture(gradient(*size), layout)
    random = np.random.default_rng(2)
    for plane in pixels.planes(image):
        plane[...] = random.integers(100, 156, plane.shape, np.uint8)
    given = blur(Chain(), image, sigma)
    assert (given.width, given.height, given.format.name) == (*size, layout)
    for plane in pixels.planes(given):
        assert (plane.min() >= 98, plane.max() <= 157) == (True, True)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_flat_picture_keeps_its_level(sigma: float) -> None:
    image = picture(np.full((512, 512, 3), 77, np.uint8))
    for plane, old in zip(
        pixels.planes(blur(Chain(), image, sigma)), pixels.planes(image), strict=True
    ):
        assert np.array_equal(plane, old)
