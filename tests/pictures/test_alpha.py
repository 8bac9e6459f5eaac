"""Straight alpha: what is seen of two pictures, and how opaque both are together."""

import numpy as np
import pytest

from composer.pictures import alpha, pixels
from composer.testing import gradient, picture

LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 257, axis=1)
"""Every alpha of what is below, for every weight of what is above."""

WEIGHTS = np.repeat(np.arange(257, dtype=np.uint16)[None], 256, axis=0)


def clear(width: int = 64, height: int = 48, level: int = 100) -> np.ndarray:
    """(height, width, 4): a grey ramp, of which the left half is as opaque as `level` says."""
    rgb = gradient(width, height)
    rgba = np.concatenate([rgb, np.full((height, width, 1), 255, np.uint8)], axis=2)
    rgba[:, : width // 2, 3] = level
    return rgba


def test_both_together_are_what_the_formula_of_over_says() -> None:
    share, total = alpha.over(LEVELS, WEIGHTS)
    upper, below = WEIGHTS / 256, LEVELS / 255
    both = upper + below * (1 - upper)
    assert np.abs(total - 255 * both).max() <= 0.501
    with np.errstate(invalid="ignore"):
        wanted = np.nan_to_num(upper / both)
    assert np.abs(share - 256 * wanted).max() <= 0.51


def test_over_what_is_opaque_the_weight_is_the_share() -> None:
    share, total = alpha.over(np.full((1, 257), 255, np.uint8), WEIGHTS[:1])
    assert np.array_equal(share, WEIGHTS[:1])
    assert (total == 255).all()


def test_nothing_over_nothing_is_nothing() -> None:
    share, total = alpha.over(np.zeros((2, 3), np.uint8), np.uint16(0))
    assert not share.any()
    assert not total.any()


@pytest.mark.parametrize("layout", ["rgba", "yuva444p"])
def test_the_plane_is_a_view(layout: str) -> None:
    image = picture(clear(), layout)
    found = alpha.plane(image)
    assert found.shape == (48, 64)
    assert abs(int(found[0, 0]) - 100) <= 1
    found[...] = 7
    assert (pixels.planes(pixels.convert(image, "rgba"))[0][..., 3] == 7).all()


@pytest.mark.parametrize(
    ("layout", "level", "used"),
    [
        ("rgba", 100, True),
        ("rgba", 255, False),
        ("yuva444p", 250, True),
        ("yuva420p", 0, True),
        ("argb", 100, True),
        ("gbrap", 100, True),
        ("ya8", 100, True),
        ("rgba64be", 100, True),
        ("rgb24", 100, False),
        ("yuv420p", 100, False),
    ],
)
def test_alpha_is_used_where_a_pixel_is_not_opaque(layout: str, level: int, used: bool) -> None:  # noqa: FBT001
    image = picture(clear(level=level), "rgba").reformat(format=layout)
    assert alpha.is_used(image) is used


def test_alpha_is_taken_from_another_picture() -> None:
    image = picture(gradient(64, 48), "yuva444p")
    assert (alpha.plane(image) == 255).all()
    assert alpha.taken(image, picture(clear(), "yuva444p")) is image
    assert alpha.plane(image)[0, 0] < 110
    plain = picture(gradient(64, 48))
    assert alpha.taken(plain, plain) is plain
