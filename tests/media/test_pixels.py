import av
import pytest

from composer.media import pixels


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
