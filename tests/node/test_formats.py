from typing import Annotated, Any, get_args, get_origin

import pytest

from composer import (
    RGB,
    YUV,
    YUVA,
    Audio,
    Chosen,
    Detections,
    Layouts,
    Mask,
    Own,
    Picture,
    Record,
    Sound,
)
from composer.node.formats import (
    ALPHA_YUV,
    EVERY_LAYOUT,
    LAYOUTS,
    PACKETS,
    YUV_LAYOUTS,
    Carrier,
    Format,
    Kind,
    formats_of,
    has_alpha,
    is_yuv,
)


def of(annotation: Any) -> list[str]:
    """The Formats of an annotation as they are shown."""
    base: Any = annotation
    marks: list[Any] = []
    if get_origin(annotation) is Annotated:
        base, *marks = get_args(annotation)
    return [str(each) for each in formats_of(base, tuple(marks))]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        pytest.param(Picture, list(LAYOUTS), id="any picture"),
        pytest.param(YUV, ["yuv420p", "yuv422p", "yuv444p"], id="yuv"),
        pytest.param(YUVA, [*YUV_LAYOUTS, ALPHA_YUV], id="yuv with alpha"),
        pytest.param(Chosen, list(LAYOUTS), id="chosen"),
        pytest.param(RGB, ["rgb24 array"], id="rgb"),
        pytest.param(Mask, ["gray array"], id="mask"),
        pytest.param(Audio, ["samples"], id="audio"),
        pytest.param(Sound, ["coded packet", "samples"], id="sound"),
        pytest.param(Detections, ["detections"], id="detections"),
        pytest.param(Record, ["record"], id="record"),
        pytest.param(int, [], id="nothing of ours"),
    ],
)
def test_annotation(annotation: Any, expected: list[str]) -> None:
    assert of(annotation) == expected


def test_layouts_are_taken_in_the_order_of_preference() -> None:
    found = formats_of(Picture, (Layouts("rgb24", "gray"), Own()))
    assert [each.layout for each in found] == ["rgb24", "gray"]


def test_a_layout_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="'rgb32' is not a pixel layout; there are yuv420p"):
        formats_of(Picture, (Layouts("rgb32"),))


@pytest.mark.parametrize(
    ("layout", "kind", "dtype", "range_"),
    [
        pytest.param("yuv420p", Kind.PICTURE, "uint8", "limited", id="yuv"),
        pytest.param(ALPHA_YUV, Kind.PICTURE, "uint8", "limited", id="yuv with alpha"),
        pytest.param("rgb24", Kind.PICTURE, "uint8", "full", id="rgb"),
        pytest.param("gray", Kind.MASK, "uint8", "full", id="mask"),
        pytest.param("samples", Kind.AUDIO, "", "", id="audio"),
    ],
)
def test_samples(layout: str, kind: Kind, dtype: str, range_: str) -> None:
    found = Format(kind, layout)
    assert (found.dtype, found.range) == (dtype, range_)


def test_a_format_is_shown_in_the_words_of_the_plan() -> None:
    assert str(Format(Kind.PICTURE, "rgb24", Carrier.ARRAY).sized(4, 2)) == "rgb24 array 4x2"
    assert str(Format(Kind.PICTURE, "gray", Carrier.FRAME, device="cuda:1")) == "gray on cuda:1"
    assert str(PACKETS) == "coded packet"


def test_which_layouts_have_alpha_and_which_are_yuv() -> None:
    clear = [
        "rgba",
        "yuva444p",
        "yuva420p10le",
        "argb",
        "abgr",
        "bgra",
        "gbrap12le",
        "ya8",
        "ya16be",
    ]
    opaque = ["rgb24", "yuv420p", "gray", "gbrp", "bgr0", "yuvj444p", "nv12"]
    assert [has_alpha(layout) for layout in clear + opaque] == [True] * 9 + [False] * 7
    assert [layout for layout in EVERY_LAYOUT if is_yuv(layout)] == [*YUV_LAYOUTS, ALPHA_YUV]
