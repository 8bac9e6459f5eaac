import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import ColorTags
from composer.pictures import mixing, pixels
from composer.testing import bars, gradient, picture

LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
"""Every level of base against every level of top (the transposed)."""


def noise(width: int, height: int, layout: str, seed: int) -> av.VideoFrame:
    image = picture(gradient(width, height), layout)
    random = np.random.default_rng(seed)
    for plane in pixels.planes(image):
        plane[...] = random.integers(0, 256, plane.shape, np.uint8)
    return image


def levels(image: av.VideoFrame) -> list[NDArray[np.float64]]:
    return [plane.astype(float) for plane in pixels.planes(image)]


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("weight", [0, 1, 77, 255, 256])
def test_a_weighted_sum_is_exact_to_half_a_level(weight: int, layout: str) -> None:
    base, top = noise(33, 131, layout, 1), noise(33, 131, layout, 2)
    pairs = list(zip(levels(base), levels(top), strict=True))
    mixing.mix(base, top, weight)
    for plane, (below, above) in zip(levels(base), pairs, strict=True):
        assert np.abs(plane - (below + (above - below) * weight / 256)).max() <= 0.5


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (33, 131), (64, 64)])
def test_a_mask_is_full_empty_and_in_between(size: tuple[int, int], layout: str) -> None:
    base, top = noise(*size, layout, 1), noise(*size, layout, 2)
    old, above = levels(base), levels(top)
    mixing.mix_through(base, top, np.zeros((size[1], size[0]), np.uint8), 1)
    assert all(np.array_equal(one, other) for one, other in zip(levels(base), old, strict=True))
    half = np.full((size[1], size[0]), 255, np.uint8)
    mixing.mix_through(base, top, half, 0.5)
    for plane, below, over in zip(levels(base), old, above, strict=True):
        assert np.abs(plane - (below + over) / 2).max() <= 0.5
    mixing.mix_through(base, top, half, 1)
    assert all(np.array_equal(one, other) for one, other in zip(levels(base), above, strict=True))


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        pytest.param("add", lambda b, t: np.minimum(b + t, 1), id="add"),
        pytest.param("multiply", lambda b, t: b * t, id="multiply"),
        pytest.param("screen", lambda b, t: 1 - (1 - b) * (1 - t), id="screen"),
        pytest.param(
            "overlay",
            lambda b, t: np.where(b < 0.5, 2 * b * t, 1 - 2 * (1 - b) * (1 - t)),
            id="overlay",
        ),
        pytest.param("darken", np.minimum, id="darken"),
        pytest.param("lighten", np.maximum, id="lighten"),
        pytest.param("difference", lambda b, t: np.abs(b - t), id="difference"),
    ],
)
def test_modes_are_right_for_every_pair_of_levels(mode: str, wanted: np.ufunc) -> None:
    given = mixing.MODES[mode](LEVELS, LEVELS.T)
    assert given.dtype == np.uint8
    assert np.abs(given - 255 * wanted(LEVELS / 255, LEVELS.T / 255)).max() <= 0.5 + 1e-9


def test_blend_leaves_both_pictures_as_they_were() -> None:
    base, top = noise(17, 9, "yuv420p", 1), noise(17, 9, "yuv420p", 2)
    old = levels(base) + levels(top)
    given = mixing.blend(base, top, "screen")
    assert given.format.name == "yuv420p"
    for one, other in zip(levels(base) + levels(top), old, strict=True):
        assert np.array_equal(one, other)


def test_a_mask_of_the_right_size_is_not_copied() -> None:
    mask = np.zeros((8, 16), np.uint8)
    assert mixing.scaled(mask, 16, 8) is mask
    assert mixing.scaled(mask + 200, 31, 5).shape == (5, 31)
    assert (mixing.scaled(mask + 200, 31, 5) == 200).all()


def test_like_gives_layout_size_and_matrix_of_the_other() -> None:
    base = pixels.from_rgb(bars(64, 32), "yuv422p", ColorTags(1, 1, 1))
    given = mixing.like(picture(bars(160, 80), "yuv444p"), base)
    assert (given.format.name, given.width, given.height) == ("yuv422p", 64, 32)
    assert pixels.tags(given).matrix == 1
    shown, wanted = (pixels.to_rgb(image)[16, 4::8].astype(int) for image in (given, base))
    assert np.abs(shown - wanted).max() <= 3
    assert mixing.like(base, base) is base
