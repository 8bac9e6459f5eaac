import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.testing import bars, bench, picture, run_node
from nodes.blur import Blur


def sharpness(image: av.VideoFrame) -> float:
    """Largest difference of two neighbours in the luma."""
    return float(np.abs(np.diff(pixels.planes(image)[0].astype(int), axis=1)).max())


def test_radius_0_gives_the_very_picture_that_came_in() -> None:
    image = picture(bars(64, 32))
    assert run_node(Blur(radius=0), image=image) is image


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_a_larger_radius_is_softer_and_changes_between_two_frames(layout: str) -> None:
    image = picture(bars(640, 360), layout, seconds=1)
    before = [plane.copy() for plane in pixels.planes(image)]
    node = Blur(radius=1)
    found: list[float] = []
    given = image
    with bench(node, layout=layout) as run:
        for radius in (1, 2, 5, 10, 20, 40, 100):
            node.radius = radius
            given = run(image=image)
            found.append(sharpness(given))
    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] / 10
    assert (given.pts, given.time_base, given.format.name) == (image.pts, image.time_base, layout)
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)


def test_the_standard_deviation_is_half_of_the_radius() -> None:
    image = picture(np.zeros((256, 512, 3), np.uint8))
    pixels.planes(image)[0][:, 256:] = 216
    edge = pixels.planes(run_node(Blur(radius=40), image=image))[0][128].astype(float)
    rise = np.diff(edge) / 200
    spread = np.sqrt(np.sum(rise * (np.arange(511) - 255) ** 2))
    assert spread == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(2, 2), (16, 16), (33, 17), (129, 257)])
def test_any_size_keeps_its_mean(size: tuple[int, int], layout: str) -> None:
    flat = np.full((size[1], size[0], 3), (200, 100, 50), np.uint8)
    image = picture(flat, layout)
    for radius in (1, 30, 100):
        given = run_node(Blur(radius=radius), image=image)
        assert (given.width, given.height) == size
        for plane, old in zip(pixels.planes(given), pixels.planes(image), strict=True):
            assert np.abs(plane.astype(int) - old).max() <= 1
