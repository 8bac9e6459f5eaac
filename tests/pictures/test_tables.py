import numpy as np
import pytest

from composer.pictures import pixels, tables
from composer.testing import bars, picture

TURNED = bytes(range(255, -1, -1))


@pytest.mark.parametrize("size", [(64, 48), (62, 34), (1282, 722)])
def test_every_pixel_goes_through_the_table_of_its_plane(size: tuple[int, int]) -> None:
    image = picture(bars(*size))
    before = [plane.copy() for plane in pixels.planes(image)]
    new = tables.applied(image, (TURNED, None, TURNED))
    luma, blue, red = pixels.planes(new)
    assert np.array_equal(luma, 255 - before[0])
    assert np.array_equal(blue, before[1])
    assert np.array_equal(red, 255 - before[2])
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)
    assert (new.pts, pixels.tags(new)) == (image.pts, pixels.tags(image))
