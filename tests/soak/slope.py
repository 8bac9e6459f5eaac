"""Slope: how fast something grows, with the interval that it lies in, by least squares."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 4
"""Points below which nothing can be said."""

T95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14)
"""Student's t for 95 % on both sides, by degrees of freedom from 1 on; 2.1 for all above."""


@dataclass(frozen=True)
class Slope:
    """Growth in a minute. low, high: where it lies with 95 %."""

    value: float
    low: float
    high: float

    def exceeds(self, limit: float) -> bool:
        """Whether it surely grows, and by more than is allowed."""
        return self.low > 0 and self.value > limit


def slope(minutes: Sequence[float], values: Sequence[float], block: int = 1) -> Slope:
    """Of values at some times. block: so many that follow each other count as one point, their
    mean: neighbours resemble each other, and would make the interval too small. Raises ValueError.
    """
    xs, ys = _means(minutes, block), _means(values, block)
    count = len(xs)
    if count < LEAST:
        raise ValueError(f"{count} points say nothing of a slope; {LEAST} are the least")
    x, y = sum(xs) / count, sum(ys) / count
    spread = sum((each - x) ** 2 for each in xs)
    value = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread
    left = sum((b - y - value * (a - x)) ** 2 for a, b in zip(xs, ys, strict=True))
    t = T95[count - 3] if count - 3 < len(T95) else 2.1
    error = t * math.sqrt(left / (count - 2) / spread)
    return Slope(value, value - error, value + error)


def _means(values: Sequence[float], block: int) -> list[float]:
    whole = len(values) - len(values) % block
    return [sum(values[at : at + block]) / block for at in range(0, whole, block)]
