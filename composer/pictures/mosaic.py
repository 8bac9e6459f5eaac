"""Coarse blocks of one colour each."""

import av
import numpy as np

from composer.pictures import pixels
from composer.pictures.pixels import Plane


def pixelate(image: av.VideoFrame, side: int) -> None:
    """Write the mean of each block of `side` x `side` luma pixels over that block, in place.

    Blocks begin at the left and the top and are rounded up to whole chroma samples; the last ones
    are as large as what is left. planar YUV; 1 or less changes nothing.
    """
    if side <= 1:
        return
    luma, *chroma = pixels.planes(image)
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    across, down = -(-side >> shift_x), -(-side >> shift_y)
    _flatten(luma, across << shift_x, down << shift_y)
    for plane in chroma:
        _flatten(plane, across, down)


def _flatten(plane: Plane, across: int, down: int) -> None:
    height, width = plane.shape
    rows, columns = np.arange(0, height, down), np.arange(0, width, across)
    tall, wide = np.diff(rows, append=height), np.diff(columns, append=width)
    total = np.add.reduceat(plane, columns, axis=1, dtype=np.uint32)
    total = np.add.reduceat(total, rows, axis=0)
    counts = tall[:, None] * wide
    mean = ((total + counts // 2) // counts).astype(np.uint8)
    np.copyto(plane, mean.repeat(wide, axis=1).repeat(tall, axis=0))
