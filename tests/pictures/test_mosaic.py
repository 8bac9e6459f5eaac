import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.pictures.mosaic import pixelate
from composer.testing import gradient, picture


def noise(width: int, height: int, layout: str) -> av.VideoFrame:
    image = picture(gradient(width, height), layout)
    random = np.random.default_rng(5)
    for plane in pixels.planes(image):
        plane[...] = random.integers(0, 256, plane.shape, np.uint8)
    return image


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(64, 32), (33, 17), (1, 1), (2, 50)])
@pytest.mark.parametrize("side", [2, 7, 8, 1000])
def test_each_block_is_the_mean_of_what_it_covers(
    side: int, size: tuple[int, int], layout: str
) -> None:
    image, old = noise(*size, layout), noise(*size, layout)
    pixelate(image, side)
    shifts = [(0, 0), *[pixels.CHROMA_SHIFT[layout]] * 2]
    grid = pixels.CHROMA_SHIFT[layout]
    wide, tall = (-(-side // (1 << shift)) << shift for shift in grid)
    for plane, before, shift in zip(pixels.planes(image), pixels.planes(old), shifts, strict=True):
        across, down = wide >> shift[0], tall >> shift[1]
        for top in range(0, plane.shape[0], down):
            for left in range(0, plane.shape[1], across):
                block = np.s_[top : top + down, left : left + across]
                assert len(np.unique(plane[block])) == 1
                assert abs(plane[block][0, 0] - before[block].mean()) <= 0.5


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_of_one_changes_nothing(side: int) -> None:
    image, old = noise(16, 16, "yuv420p"), noise(16, 16, "yuv420p")
    pixelate(image, side)
    for plane, before in zip(pixels.planes(image), pixels.planes(old), strict=True):
        assert np.array_equal(plane, before)
