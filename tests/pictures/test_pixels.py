"""Pictures that are made from pictures say of themselves what those say."""

import importlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from composer.node.frames import ColorTags
from composer.pictures import pixels
from composer.pictures.chain import Chain
from composer.testing import bars, gradient, picture
from tests.media.films import numbered, read_film, write_film

SHAPE = Fraction(64, 45)


@pytest.mark.parametrize(
    ("stored", "layout"),
    [
        ("yuv420p", "yuv420p"),
        ("yuvj420p", "yuv420p"),
        ("nv12", "yuv420p"),
        ("yuv420p10le", "yuv420p"),
        ("yuv410p", "yuv420p"),
        ("yuv422p10le", "yuv422p"),
        ("yuv411p", "yuv422p"),
        ("yuv444p12le", "yuv444p"),
        ("yuvj444p", "yuv444p"),
        ("yuv440p", "yuv444p"),
        ("rgb24", "rgb24"),
        ("gbrp10le", "rgb24"),
        ("bgr0", "rgb24"),
        ("rgb48be", "rgb24"),
        ("gray", "gray"),
        ("gray16be", "gray"),
        ("monob", "gray"),
        ("rgba", "rgba"),
        ("argb", "rgba"),
        ("gbrap", "rgba"),
        ("rgba64be", "rgba"),
        ("pal8", "rgba"),
        ("ya8", "rgba"),
        ("yuva420p", "yuva444p"),
        ("yuva444p12le", "yuva444p"),
    ],
)
def test_the_nearest_layout(stored: str, layout: str) -> None:
    assert pixels.nearest(av.VideoFormat(stored)) == layout


@pytest.mark.parametrize("layout", ["argb", "abgr", "ya8", "ya16be", "pal8", "gray", "rgba"])
def test_what_has_no_limited_range_is_full(layout: str) -> None:
    assert pixels.is_full_range(av.VideoFrame(16, 16, layout))


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> av.VideoFrame:
    """A picture that says everything: shape, fields, duration, colours, side data."""
    path: Path = tmp_path_factory.mktemp("film") / "a.mp4"
    write_film(path, numbered(1), sample_aspect_ratio=SHAPE, rotation=(90, False, False))
    image = Chain().run(read_film(path).images[0], ("setfield", {"mode": "tff"}))
    image.pts, image.time_base, image.duration = 75, Fraction(1, 25), 3
    return pixels.with_tags(image, ColorTags(1, 1, 1), pixels.LIMITED)


def said(image: av.VideoFrame) -> dict[str, Any]:
    return {
        "shape": pixels.aspect(image),
        "fields": (image.interlaced_frame, pixels.is_top_first(image)),
        "time": (image.pts, image.time_base, image.duration),
        "side data": image.rotation,
    }


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(pixels.copy, id="copy"),
        pytest.param(pixels.blank, id="blank"),
        pytest.param(lambda image: pixels.blank(image, 33, 21), id="smaller"),
        pytest.param(lambda image: pixels.blank(image, 101, 99), id="larger"),
        pytest.param(lambda image: pixels.blank(image, 33, 99), id="smaller and larger"),
        pytest.param(lambda image: pixels.blank(image, 0, 0, "rgb24"), id="another layout"),
        pytest.param(lambda image: pixels.cut(image, 2, 4, 10, 12), id="cut"),
        pytest.param(lambda image: pixels.convert(image, "rgb24", 20, 20), id="converted"),
        pytest.param(
            lambda image: pixels.from_rgb(gradient(7, 5), "yuv420p", None, image), id="from RGB"
        ),
        pytest.param(
            lambda image: pixels.from_mask(np.zeros((5, 7), np.uint8), "gray", None, image),
            id="from a mask",
        ),
        pytest.param(
            lambda image: pixels.inheriting(av.VideoFrame(40, 50, "yuv444p"), image),
            id="inheriting",
        ),
    ],
)
def test_what_a_picture_says_goes_over_to_one_made_from_it(
    described: av.VideoFrame, make: Callable[[av.VideoFrame], av.VideoFrame]
) -> None:
    wanted = {
        "shape": SHAPE,
        "fields": (True, True),
        "time": (75, Fraction(1, 25), 3),
        "side data": described.rotation,
    }
    assert described.rotation
    assert said(described) == said(make(described)) == wanted


def test_tags_of_yuv_go_over_and_rgb_asks_the_origin(described: av.VideoFrame) -> None:
    for made in (
        pixels.blank(described, 8, 8),
        pixels.inheriting(picture(bars(8, 8), "rgb24"), described),
    ):
        assert pixels.tags(made) == ColorTags(1, 1, 1)
    own = pixels.from_rgb(bars(8, 8), "yuv420p", ColorTags(9, 9, 16))
    assert pixels.tags(pixels.inheriting(own, described)) == ColorTags(9, 9, 16)


@pytest.mark.parametrize(
    "layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "rgba", "gray", "gbrp"]
)
@pytest.mark.parametrize("size", [(1, 1), (33, 21), (64, 48), (5, 70)])
def test_what_is_written_to_a_new_picture_is_in_no_other(
    layout: str, size: tuple[int, int]
) -> None:
    image = pixels.convert(picture(gradient(33, 21)), layout)
    before = [plane.copy() for plane in pixels.planes(image)]
    for new in (
        pixels.blank(image, *size),
        pixels.blank(image, *size, "yuv420p"),
        pixels.copy(image),
    ):
        for plane in pixels.planes(new):
            plane[...] = 77
    assert (pixels.blank(image, *size).width, pixels.blank(image, *size).height) == size
    for plane, old in zip(pixels.planes(image), before, strict=True):
        assert np.array_equal(plane, old)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (8, 9),
        (32, 27),
        (16, 15),
        (64, 45),
        (10, 11),
        (118, 81),
        (4, 3),
        (241, 255),
        (40, 1),
    ],
)
def test_the_shape_of_pixels_is_read_exactly(shape: tuple[int, int]) -> None:
    image = picture(bars(64, 48))
    assert pixels.aspect(pixels.shaped(image, Fraction(*shape))) == Fraction(*shape)
    assert pixels.aspect(image) == 1


def test_a_shape_too_wide_to_be_true_is_square() -> None:
    assert pixels.aspect(pixels.shaped(picture(bars(64, 48)), Fraction(255, 2))) == 1


@pytest.mark.parametrize(("mode", "top"), [("tff", True), ("bff", False), ("prog", False)])
def test_the_order_of_fields_is_read(mode: str, top: bool) -> None:  # noqa: FBT001
    image = Chain().run(picture(bars(64, 48)), ("setfield", {"mode": mode}))
    assert pixels.is_top_first(image) is top


def test_the_old_place_of_pixels_still_works() -> None:
    """Nodes outside this repository import composer.media.pixels."""
    old = importlib.import_module("composer.media.pixels")
    assert old.copy is pixels.copy
    assert old.convert is pixels.convert
