import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import ColorTags
from composer.pictures import pixels
from composer.testing import bars, bench, gradient, picture, run_node
from nodes.color import Color

MIDDLES = [10 + 20 * bar for bar in range(8)]
"""Columns in the middle of each of the eight bars of a picture 160 wide."""


def noise(width: int, height: int, layout: str) -> av.VideoFrame:
    image = picture(gradient(width, height), layout, seconds=1)
    random = np.random.default_rng(1)
    for plane in pixels.planes(image):
        plane[...] = random.integers(16, 236, plane.shape, np.uint8)
    return image


def tables(image: av.VideoFrame, node: Color) -> list[NDArray[np.uint8]]:
    """What the settings but red, green and blue mean, calculated in floating point."""
    luma, *chroma = (plane.astype(float) for plane in pixels.planes(image))
    part = ((luma - 16) / 219 - 0.5) * node.contrast + 0.5 + node.brightness
    luma = 16 + 219 * np.clip(part, 0, 1) ** (1 / node.gamma)
    coloured = [np.clip(128 + (plane - 128) * node.saturation, 16, 240) for plane in chroma]
    return [np.rint(plane).astype(np.uint8) for plane in (luma, *coloured)]


def test_neutral_settings_give_the_very_picture_that_came_in() -> None:
    image = noise(16, 16, "yuv420p")
    assert run_node(Color(), image=image) is image


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize(
    "node",
    [
        pytest.param(Color(brightness=0.2), id="brighter"),
        pytest.param(Color(brightness=-1), id="black"),
        pytest.param(Color(contrast=4), id="most contrast"),
        pytest.param(Color(contrast=0), id="no contrast"),
        pytest.param(Color(gamma=0.1), id="darkest gamma"),
        pytest.param(Color(gamma=10), id="brightest gamma"),
        pytest.param(Color(saturation=0), id="no colour"),
        pytest.param(Color(saturation=4), id="most colour"),
        pytest.param(Color(brightness=0.1, contrast=1.5, gamma=1.2, saturation=1.3), id="all"),
    ],
)
def test_luma_and_chroma_follow_their_formulas(node: Color, layout: str) -> None:
    image = noise(31, 17, layout)
    given = run_node(node, image=image)
    for plane, wanted in zip(pixels.planes(given), tables(image, node), strict=True):
        assert np.abs(plane.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("matrix", [pytest.param(1, id="bt709"), pytest.param(6, id="bt601")])
@pytest.mark.parametrize(
    "gains",
    [
        pytest.param((0.5, 1.0, 1.0), id="half red"),
        pytest.param((1.0, 0.25, 1.0), id="quarter green"),
        pytest.param((1.0, 1.0, 0.0), id="no blue"),
        pytest.param((0.2, 0.9, 0.6), id="all differ"),
        pytest.param((0.5, 0.5, 0.5), id="all alike"),
    ],
)
def test_gains_are_what_they_are_in_rgb(
    gains: tuple[float, float, float], matrix: int, layout: str
) -> None:
    tags = ColorTags(matrix, matrix, matrix)
    image = pixels.from_rgb(bars(160, 32), layout, tags)
    red, green, blue = gains
    given = run_node(Color(red=red, green=green, blue=blue), image=image)
    assert pixels.tags(given) == tags
    shown = pixels.to_rgb(given)[16, MIDDLES].astype(float)
    wanted = pixels.to_rgb(image)[16, MIDDLES] * np.array(gains)
    assert np.abs(shown - wanted).max() <= 3


def test_a_gain_above_one_is_as_in_rgb_where_nothing_is_cut_off() -> None:
    image = picture(bars(160, 32) // 4 + 20, "yuv444p")
    given = run_node(Color(red=2), image=image)
    wanted = pixels.to_rgb(image)[16, MIDDLES] * np.array([2.0, 1, 1])
    assert np.abs(pixels.to_rgb(given)[16, MIDDLES] - wanted).max() <= 3


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (15, 9), (33, 65), (70, 130)])
def test_gains_reach_every_pixel_of_any_size(size: tuple[int, int], layout: str) -> None:
    grey = np.full((size[1], size[0], 3), 180, np.uint8)
    given = run_node(Color(red=0.5), image=picture(grey, layout))
    assert np.abs(pixels.to_rgb(given).astype(int) - (90, 180, 180)).max() <= 3


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
def test_the_strongest_settings_stay_in_limited_range(layout: str) -> None:
    image = noise(33, 17, layout)
    node = Color(red=4, green=0, blue=4, saturation=4, contrast=4, brightness=1, gamma=0.1)
    luma, *chroma = pixels.planes(run_node(node, image=image))
    assert (luma.min() >= 16, luma.max() <= 235) == (True, True)
    assert all(plane.min() >= 16 and plane.max() <= 240 for plane in chroma)


def test_settings_change_between_two_frames_and_the_input_stays_whole() -> None:
    image = noise(16, 16, "yuv420p")
    before = [plane.copy() for plane in pixels.planes(image)]
    node = Color(brightness=0.5)
    with bench(node, layout="yuv420p") as run:
        bright = pixels.planes(run(image=image))[0].mean()
        node.brightness = -0.5
        dark = pixels.planes(run(image=image))[0].mean()
        node.brightness, node.blue = 0, 0.5
        run(image=image)
        node.blue = 1
        assert run(image=image) is image
    assert dark < before[0].mean() < bright
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)


@pytest.mark.parametrize("node", [Color(contrast=2), Color(green=0.5)], ids=["table", "matrix"])
def test_the_time_stays(node: Color) -> None:
    image = noise(16, 16, "yuv420p")
    given = run_node(node, image=image)
    assert (given.pts, given.time_base) == (image.pts, image.time_base)
