"""A number that a program can read back from a picture, even after a codec: a row of cells.

32 cells of the same width, the first one at the left edge: bright and dark to start, 24 for the
number (the highest bit first), 4 for a check sum, bright and dark to end.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from composer.pictures.pixels import Plane

CELLS: Final = 32

LARGEST: Final = (1 << 24) - 1
"""Numbers above begin again at 0. At 60 pictures per second that is after 77 hours."""

_EDGE: Final = 0b10


def write(rows: Plane, number: int, dark: int = 16, bright: int = 235) -> None:
    """Draw `number` into (height, width) samples; nothing where they are narrower than 32."""
    cell = rows.shape[1] // CELLS
    if cell:
        levels = np.where(_bits(number), np.uint8(bright), np.uint8(dark))
        rows[:, : cell * CELLS] = np.repeat(levels, cell)


def read(rows: Plane) -> int | None:
    """The number drawn into (height, width) samples; None when there is none that is right."""
    cell = rows.shape[1] // CELLS
    if not cell or not rows.shape[0]:
        return None
    middle = rows[:, : cell * CELLS].reshape(rows.shape[0], CELLS, cell)
    bits = middle[:, :, cell // 4 : cell - cell // 4].mean(axis=(0, 2)) > 127
    number = int("".join("1" if bit else "0" for bit in bits[2:26]), 2)
    return number if np.array_equal(bits, _bits(number)) else None


def _bits(number: int) -> NDArray[np.bool_]:
    number &= LARGEST
    check = sum(number >> place & 15 for place in range(0, 24, 4)) & 15 ^ 5
    word = _EDGE << 30 | number << 6 | check << 2 | _EDGE
    return np.array([bool(word >> place & 1) for place in reversed(range(CELLS))])
