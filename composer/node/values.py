"""Values that nodes pass to each other beside pictures and sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A flat mapping that JSON can hold; the executor adds nothing to it."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing found in a picture.

    x, y: left and top edge; width, height: size; all in parts of the picture (0..1), so that boxes
    found in a small copy fit the large one. score: 0..1. track: identity over time, -1 if unknown.
    """

    x: float
    y: float
    width: float
    height: float
    label: str = ""
    score: float = 1.0
    track: int = -1

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in a picture of this size, cut at its borders."""
        left, right = (round(x * width) for x in (self.x, self.x + self.width))
        top, bottom = (round(y * height) for y in (self.y, self.y + self.height))
        return (
            min(max(left, 0), width),
            min(max(top, 0), height),
            min(max(right, 0), width),
            min(max(bottom, 0), height),
        )


@dataclass(frozen=True, slots=True)
class Detections:
    """Everything found in one picture; empty when nothing was."""

    items: tuple[Detection, ...] = ()

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
