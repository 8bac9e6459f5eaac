"""How large pictures are, before anybody decodes them."""

from fractions import Fraction
from functools import cache
from typing import Any

import av
import pytest

from composer.media.mpegts.sizes import MOST_BYTES, Size, size_of


@cache
def coded(
    encoder: str, width: int, height: int, layout: str = "yuv420p", params: str = ""
) -> bytes:
    """A picture in start codes, with its parameter sets."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = width, height, layout
    context.time_base = Fraction(1, 25)
    name = {"libx264": "x264-params", "libx265": "x265-params"}[encoder]
    quiet = "log-level=none" if encoder == "libx265" else ""
    context.options = {"preset": "ultrafast", name: ":".join(filter(None, (params, quiet)))}
    image = av.VideoFrame(width, height, layout)
    return b"".join(bytes(packet) for packet in [*context.encode(image), *context.encode(None)])


@pytest.mark.parametrize("size", [(160, 96), (1280, 720), (4112, 2192)])
@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc")])
def test_the_size_of_a_key_picture(encoder: str, codec: str, size: Size) -> None:
    assert size_of(codec, coded(encoder, *size)) == size


@pytest.mark.parametrize(
    ("layout", "params"),
    [("yuv444p", ""), ("yuv420p", "interlaced=1"), ("yuv420p", "bframes=3:ref=4")],
)
def test_what_stands_before_the_size_is_passed_over(layout: str, params: str) -> None:
    assert size_of("h264", coded("libx264", 160, 96, layout, params)) == (160, 96)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_what_is_cut_or_wrong_has_no_size(codec: str) -> None:
    data = coded("libx264" if codec == "h264" else "libx265", 160, 96)
    header = {"h264": b"\x00\x00\x01\x67", "hevc": b"\x00\x00\x01\x42\x01"}[codec]
    begin = data.index(header)
    for end in range(begin, begin + 9):
        assert size_of(codec, data[:end]) is None
    assert size_of(codec, header + bytes(100)) is None
    assert size_of(codec, bytes(MOST_BYTES) + data) is None
    assert size_of("mpeg2video", data) is None
    assert size_of(codec, b"") is None
