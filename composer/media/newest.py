"""The newest of some coded pictures, as PNG."""

import io
from collections.abc import Sequence

import av
import PIL.Image

from composer.errors import MediaError
from composer.media.live_reader import LiveReader
from composer.media.mpegts.demuxer import Unit
from composer.pictures import pixels


def png(units: Sequence[Unit]) -> bytes:
    """The last picture in them. units: from a keyframe on. Raises MediaError where none is."""
    newest: av.VideoFrame | None = None
    for item in LiveReader(units, layout="rgb24").read():
        if isinstance(item, av.VideoFrame):
            newest = item
    if newest is None:
        raise MediaError("no picture has come yet")
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels.to_rgb(newest)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
