import itertools
import math

import numpy as np
import pytest

from composer import Detection, Detections
from composer.compiler.conversions import (
    CONVERSIONS,
    conversion,
    convertible,
    cost,
    loses_alpha,
    loses_chroma,
    same,
)
from composer.node.formats import EVERY_LAYOUT, PACKETS, Carrier, Format, Kind
from composer.node.frames import Frame
from composer.pictures import pixels
from tests.stubs import TICK, picture


def image(layout: str) -> Format:
    return Format(Kind.PICTURE, layout, Carrier.FRAME)


ARRAY = Format(Kind.PICTURE, "rgb24", Carrier.ARRAY)
MASK = Format(Kind.MASK, "gray", Carrier.ARRAY)


def converted(value: object, start: Format, end: Format) -> object:
    way = conversion(start, end)
    assert way is not None
    found: object = way.run(Frame(value, 0, TICK), end)
    return found


@pytest.mark.parametrize(("start", "end"), list(itertools.permutations(EVERY_LAYOUT, 2)))
def test_every_layout_becomes_every_other(start: str, end: str) -> None:
    given = pixels.convert(picture(120, "yuv420p", 4, 4), start)
    found = converted(given, image(start), image(end))
    assert isinstance(found, type(given))
    assert found.format.name == end


def test_a_picture_becomes_an_array_and_comes_back() -> None:
    given = pixels.convert(picture(120, "yuv420p", 4, 4), "rgb24")
    array = converted(given, image("rgb24"), ARRAY)
    assert isinstance(array, np.ndarray)
    assert (array.shape, array.dtype) == ((4, 4, 3), np.uint8)
    back = converted(array, ARRAY, image("rgb24"))
    assert np.array_equal(pixels.planes(back)[0], array)  # type: ignore[arg-type]


def test_a_mask_is_brightness() -> None:
    array = np.full((4, 4, 3), 200, np.uint8)
    mask = converted(array, ARRAY, MASK)
    assert isinstance(mask, np.ndarray)
    assert (mask.shape, int(mask[0, 0])) == ((4, 4), 200)
    assert pixels.planes(converted(mask, MASK, image("gray")))[0][0, 0] == 200  # type: ignore[arg-type]


def test_detections_become_a_record() -> None:
    found = converted(
        Detections((Detection(0, 0, 1, 1, "cat"),)), Format(Kind.DETECTIONS), Format(Kind.RECORD)
    )
    assert isinstance(found, dict)
    assert found["detections"][0]["label"] == "cat"


def test_sizes_do_not_count() -> None:
    assert same(image("gray").sized(2, 2), image("gray"))
    assert cost(image("gray").sized(2, 2), image("gray")) == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(PACKETS, Format(Kind.AUDIO, "samples", Carrier.FRAME), id="coded sound"),
        pytest.param(image("gray"), Format(Kind.DETECTIONS), id="pictures to detections"),
        pytest.param(Format(Kind.RECORD), Format(Kind.DETECTIONS), id="record to detections"),
    ],
)
def test_where_there_is_no_way(start: Format, end: Format) -> None:
    assert not convertible(start, end)
    assert cost(start, end) == math.inf


def test_alpha_lives_through_every_layout_that_has_it() -> None:
    given = pixels.convert(picture(120, "yuv420p", 4, 4), "rgba")
    pixels.planes(given)[0][..., 3] = 77
    there = converted(given, image("rgba"), image("yuva444p"))
    back = converted(there, image("yuva444p"), image("rgba"))
    assert np.abs(pixels.planes(back)[0][..., 3].astype(int) - 77).max() <= 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "alpha", "chroma"),
    [
        pytest.param("rgba", "rgb24", True, False, id="alpha"),
        pytest.param("yuva444p", "yuv420p", True, True, id="both"),
        pytest.param("yuva444p", "rgba", False, False, id="neither"),
        pytest.param("rgb24", "yuv422p", False, True, id="half of the colours"),
        pytest.param("yuv422p", "yuv420p", False, True, id="half of that"),
        pytest.param("yuv420p", "rgb24", False, False, id="nothing is left to lose"),
        pytest.param("gray", "yuv420p", False, False, id="no colour"),
    ],
)
def test_what_a_way_loses(start: str, end: str, alpha: bool, chroma: bool) -> None:  # noqa: FBT001
    assert loses_alpha(image(start), image(end)) is alpha
    assert loses_chroma(image(start), image(end)) is chroma


def test_no_two_rows_are_for_the_same_way() -> None:
    ways = [(each.start, each.end) for each in CONVERSIONS]
    assert len(ways) == len(set(ways))


def test_what_loses_colour_or_alpha_costs_more_than_any_detour() -> None:
    dear = min(
        cost(image("yuv420p"), image("gray")),
        cost(image("rgba"), image("rgb24")),
    )
    usual = [
        cost(image(a), image(b))
        for a, b in itertools.permutations(("yuv420p", "yuv422p", "yuv444p", "rgb24"), 2)
    ]
    assert dear > 2 * max(usual)
