"""Means of the luma samples that share a chroma sample."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.pictures.pixels import Plane


def over_chroma(luma: Plane, shift: tuple[int, int]) -> NDArray[np.float32]:
    """(height, width) of luma -> that of chroma. shift: as in pixels.CHROMA_SHIFT.

    A last odd row or column counts for itself.
    """
    total: NDArray[Any] = luma.astype(np.uint16)
    if shift[0]:
        total = _pairs(total.T).T
    if shift[1]:
        total = _pairs(total)
    return total.astype(np.float32) / np.float32(1 << sum(shift))


def _pairs(rows: NDArray[Any]) -> NDArray[Any]:
    """Sums of two rows each; a last odd row is taken twice."""
    total = rows[0::2].copy()
    total[: len(rows) // 2] += rows[1::2]
    if len(rows) % 2:
        total[-1] *= 2
    return total
