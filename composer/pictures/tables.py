"""Tables: what each level of a plane becomes, 256 bytes, looked up byte by byte.

libavfilter's lutyuv is as fast, but evaluates a new formula 65536 times: too slow for a slider.
"""

from collections.abc import Sequence
from typing import Final

import av
import numpy as np

from composer.pictures import pixels
from composer.pictures.pixels import Plane

BAND_BYTES: Final = 256 * 1024
"""Looked up at once: a lookup holds the interpreter's lock meanwhile."""


def applied(image: av.VideoFrame, tables: Sequence[bytes | None]) -> av.VideoFrame:
    """A new picture in which every plane went through its table; None copies it.

    image: planar, 8 bit. tables: one for each plane; alpha may be without and is copied.
    """
    new = pixels.copy(image)
    for plane, table in zip(pixels.planes(new), tables, strict=False):
        if table is not None:
            _look_up(plane, table)
    return new


def _look_up(plane: Plane, table: bytes) -> None:
    height, width = plane.shape
    step = max(BAND_BYTES // width, 1)
    for top in range(0, height, step):
        band = plane[top : top + step]
        looked_up = np.frombuffer(band.tobytes().translate(table), np.uint8)
        band[...] = looked_up.reshape(band.shape)
