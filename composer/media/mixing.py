"""Two pictures into one: weighted sums of planes, and blend modes of RGB samples."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from composer.media import means, pixels
from composer.media.pixels import Plane

Weights: TypeAlias = NDArray[np.uint16]
"""(height, width) uint16, 0..256: how much of the upper picture there is."""

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
    table = np.rint(np.arange(256) * (opacity * WHOLE / 255)).astype(np.uint16)
    shift = pixels.CHROMA_SHIFT[base.format.name]
    coarse = np.rint(means.over_chroma(mask, shift)).astype(np.uint8) if any(shift) else mask
    masks = (mask, coarse, coarse)
    for below, above, seen in zip(pixels.planes(base), pixels.planes(top), masks, strict=True):
        for rows in _bands(below):
            if seen[rows].any():
                _mix(below[rows], above[rows], np.take(table, seen[rows]))


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
    return pixels.convert(result, base.format.name, color=pixels.tags(base))


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
