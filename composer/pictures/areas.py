"""Rectangles of one colour, in a picture of any layout."""

from typing import TypeAlias

import av

from composer.node.formats import has_alpha, is_yuv
from composer.pictures import pixels

Box: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom); right and bottom are the first pixels outside."""

Color: TypeAlias = tuple[int, int, int, int]
"""Red, green, blue and how opaque, 0..255. Only rgba and yuva444p keep the last one."""


def fill(image: av.VideoFrame, color: Color, box: Box) -> None:
    """Write `color` into a part of a picture; cut at its borders.

    Every chroma sample that the box touches is written whole, so a box that is not to change the
    colour of its neighbours starts and ends on the chroma grid.
    """
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], image.width), min(box[3], image.height)
    if left >= right or top >= bottom:
        return
    layout = image.format.name
    first, *chroma = pixels.planes(image)
    if not is_yuv(layout):
        first[top:bottom, left:right] = sample(image, color)
        return
    across, down = pixels.CHROMA_SHIFT[layout]
    luma, *rest = sample(image, color)
    first[top:bottom, left:right] = luma
    columns = slice(left >> across, -(-right >> across))
    rows = slice(top >> down, -(-bottom >> down))
    for plane, value in zip(chroma, rest, strict=True):
        plane[rows, columns] = value


def sample(image: av.VideoFrame, color: Color) -> tuple[int, ...]:
    """What one pixel of that colour holds in this picture: (Y, Cb, Cr), (Y, Cb, Cr, A), (R, G, B),
    (R, G, B, A) or (grey,)."""
    layout = image.format.name
    if is_yuv(layout):
        yuv = pixels.yuv_of(color, image.colorspace)
        return (*yuv, color[3]) if has_alpha(layout) else yuv
    if layout == "gray":
        red, green, blue, _ = color
        return (round(0.299 * red + 0.587 * green + 0.114 * blue),)
    return color[: pixels.CHANNELS[layout]]
