"""Two pictures into one: weighted sums of planes, and blend modes of RGB samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from composer.node.formats import has_alpha
from composer.pictures import alpha, means, pixels
from composer.pictures.alpha import Weights
from composer.pictures.pixels import Plane

WHOLE: Final = 256

_ROWS: Final = 64
"""Rows worked on at once: what they need stays in the cache of one core."""


def weight_of(opacity: float) -> int:
    """0..256 of an opacity of 0..1."""
    return round(opacity * WHOLE)


def mix(base: av.VideoFrame, top: av.VideoFrame, weight: int) -> None:
    """Write base + (top - base) * weight / 256 into `base`. Both have one layout and size.

    Exact to half a level; 0 leaves `base` as it is and 256 makes it equal to `top`.
    """
    for below, above in zip(pixels.planes(base), pixels.planes(top), strict=True):
        for rows in _bands(below):
            _mix(below[rows], above[rows], np.uint16(weight))


def mix_through(base: av.VideoFrame, top: av.VideoFrame, mask: Plane, opacity: float) -> None:
    """mix(), with a weight for each pixel: that of `mask` (the size of `base`) times `opacity`.

    Chroma takes the mean of the mask over its pixels.
    """
    table = _weights(opacity)
    shift = pixels.CHROMA_SHIFT[base.format.name]
    coarse = np.rint(means.over_chroma(mask, shift)).astype(np.uint8) if any(shift) else mask
    masks = (mask, coarse, coarse)
    for below, above, seen in zip(pixels.planes(base), pixels.planes(top), masks, strict=True):
        for rows in _bands(below):
            if seen[rows].any():
                _mix(below[rows], above[rows], np.take(table, seen[rows]))


def over(base: av.VideoFrame, top: av.VideoFrame, mask: Plane | None, opacity: float) -> None:
    """Lay `top` over `base`, a picture with alpha (yuva444p), in place.

    top: the same layout and size; not its alpha counts, but `mask`, 0..255, times `opacity`.
    """
    *planes, clear = pixels.planes(base)
    table, even = _weights(opacity), np.uint16(weight_of(opacity))
    for rows in _bands(clear):
        weights = even if mask is None else np.take(table, mask[rows])
        share, total = alpha.over(clear[rows], weights)
        for below, above in zip(planes, pixels.planes(top)[:3], strict=True):
            _mix(below[rows], above[rows], share)
        clear[rows] = total


def seen(top: av.VideoFrame, mask: Plane | None, width: int, height: int) -> Plane | None:
    """How much of `top` is seen at each pixel of that size, 0..255, by its alpha and by a mask;
    None where that is all of it.
    """
    mask = None if mask is None else scaled(mask, width, height)
    if not has_alpha(top.format.name):
        return mask
    own = scaled(alpha.plane(top), width, height)
    return own if mask is None else _product(own, mask)


def _weights(opacity: float) -> Weights:
    """(256,): the weight, 0..256, for each level of a mask."""
    table: Weights = np.rint(np.arange(256) * (opacity * WHOLE / 255)).astype(np.uint16)
    return table


def _mix(below: Plane, above: Plane, weight: Weights | np.uint16) -> None:
    total = np.multiply(below, np.uint16(WHOLE) - weight, dtype=np.uint16)
    total += np.multiply(above, weight, dtype=np.uint16)
    total += np.uint16(WHOLE // 2)  # 255 * 256 + 128 is the most that can be here
    total >>= 8
    np.copyto(below, total, casting="unsafe")


def scaled(mask: Plane, width: int, height: int) -> Plane:
    """A mask in another size (bilinear); the same object when it has that size already."""
    if mask.shape == (height, width):
        return mask
    image = pixels.from_mask(mask)
    return pixels.planes(pixels.convert(image, "gray", width, height, interpolation="BILINEAR"))[0]


def like(image: av.VideoFrame, base: av.VideoFrame) -> av.VideoFrame:
    """A picture in the layout, the size (bilinear) and the colour matrix of another.

    The same object when it has all of them already.
    """
    color = pixels.tags(base)
    if pixels.sws_matrix(color.matrix) != pixels.sws_matrix(pixels.tags(image).matrix):
        image = pixels.convert(image, "rgb24")
    return pixels.convert(
        image, base.format.name, base.width, base.height, color, interpolation="BILINEAR"
    )


def blend(base: av.VideoFrame, top: av.VideoFrame, mode: str) -> av.VideoFrame:
    """What a mode of MODES gives for two pictures of one layout and size, in a new picture.

    Modes are defined on RGB samples (0..255, clipped), so both are converted and the result is
    converted back; that costs at most 3 levels beside what the modes do.
    """
    result, above = (pixels.convert(image, "gbrp") for image in (base, top))
    work = MODES[mode]
    for below, other in zip(pixels.planes(result), pixels.planes(above), strict=True):
        for rows in _bands(below):
            below[rows] = work(below[rows], other[rows])
    mixed = pixels.convert(result, base.format.name, color=pixels.tags(base))
    if has_alpha(base.format.name):  # where nothing is below, there is nothing to mix with
        over(mixed, top, ~alpha.plane(base), 1)
    return mixed


def _product(one: Plane, other: Plane) -> Plane:
    """one * other / 255, rounded."""
    total: NDArray[np.uint16] = np.multiply(one, other, dtype=np.uint16)
    total += np.uint16(128)
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8)


def _overlay(base: Plane, top: Plane) -> Plane:
    """Twice the product in the dark half of `base`, the same seen from white in the bright half."""
    turned = np.where(base < 128, np.uint8(0), np.uint8(255))
    total: NDArray[np.uint16] = np.multiply(
        base ^ turned, top ^ turned, dtype=np.uint16
    )  # at most 127 * 255
    total *= np.uint16(2)
    total += np.uint16(128)
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8) ^ turned


MODES: Final[dict[str, Callable[[Plane, Plane], Plane]]] = {
    "add": lambda base, top: base + np.minimum(top, ~base),
    "multiply": _product,
    "screen": lambda base, top: ~_product(~base, ~top),
    "overlay": _overlay,
    "darken": np.minimum,
    "lighten": np.maximum,
    "difference": lambda base, top: np.maximum(base, top) - np.minimum(base, top),
}
"""Blend modes by name. base and top are uint8 samples of one RGB channel; ~x is 255 - x."""


def _bands(plane: Plane) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, plane.shape[0], _ROWS))
