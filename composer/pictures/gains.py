"""Red, green and blue made stronger or weaker, on planar YUV without a way through RGB."""

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from composer.pictures import alpha, means, pixels
from composer.pictures.pixels import Plane

_ROWS = 64
"""Luma rows worked on at once: what they need stays in the cache of one core."""


def matrix_of(gains: tuple[float, float, float], colorspace: int) -> NDArray[np.float64]:
    """What gains of red, green and blue are in YUV under a matrix tag.

    3 x 3, for columns (Y - 16, Cb - 128, Cr - 128).
    """
    to_yuv = np.array(pixels.yuv_weights(colorspace))
    matrix: NDArray[np.float64] = to_yuv @ np.diag(gains) @ np.linalg.inv(to_yuv)
    return matrix


def with_gains(image: av.VideoFrame, gains: tuple[float, float, float]) -> av.VideoFrame:
    """A new picture in which red, green and blue are multiplied, limited to legal YUV.

    Within 2 levels of the same in RGB. Where a product passes 255 RGB would cut that channel off
    alone; here luma and chroma are cut off instead, so such a colour keeps more of its hue.
    """
    matrix = matrix_of(gains, int(image.colorspace)).astype(np.float32)
    shift = pixels.CHROMA_SHIFT[image.format.name]
    new = pixels.blank(image)
    targets = _bands(pixels.planes(new)[:3], shift)
    for target, source in zip(targets, _bands(pixels.planes(image)[:3], shift), strict=True):
        _apply(matrix, target, source, shift)
    return alpha.taken(new, image)


def _bands(planes: list[Plane], shift: tuple[int, int]) -> Iterator[list[Plane]]:
    luma, *chroma = planes
    step = _ROWS >> shift[1]
    for band in range(-(-luma.shape[0] // _ROWS)):
        yield [
            luma[band * _ROWS : (band + 1) * _ROWS],
            *(plane[band * step : (band + 1) * step] for plane in chroma),
        ]


def _apply(
    matrix: NDArray[np.float32], target: list[Plane], source: list[Plane], shift: tuple[int, int]
) -> None:
    luma, *chroma = source
    blue, red = (plane.astype(np.float32) - np.float32(128) for plane in chroma)
    small = means.over_chroma(luma, shift) - np.float32(16)
    for plane, row in zip(target[1:], matrix[1:], strict=True):
        _store(plane, small * row[0] + blue * row[1] + red * row[2] + np.float32(128), 16, 240)
    added = blue * matrix[0, 1] + red * matrix[0, 2] + np.float32(16) * (1 - matrix[0, 0])
    height, width = luma.shape
    added = added.repeat(1 << shift[0], axis=1)[:, :width].repeat(1 << shift[1], axis=0)
    _store(target[0], luma * matrix[0, 0] + added[:height], 16, 235)


def _store(target: Plane, values: NDArray[np.float32], low: int, high: int) -> None:
    np.clip(values, low, high, out=values)
    values += np.float32(0.5)
    np.copyto(target, values, casting="unsafe")
