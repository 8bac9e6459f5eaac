"""Rectangles and curves on a page, and the way that arrows go."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final


@dataclass(frozen=True, slots=True)
class Rect:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def hits(self, other: "Rect") -> bool:
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )

    def holds(self, x: float, y: float) -> bool:
        return self.x < x < self.right and self.y < y < self.bottom

    def grown(self, left: float, top: float, right: float, bottom: float) -> "Rect":
        return Rect(
            self.x - left, self.y - top, self.width + left + right, self.height + top + bottom
        )


def around(rects: Iterable[Rect]) -> Rect:
    """The smallest rectangle that holds all; empty at the origin for none."""
    every = list(rects)
    if not every:
        return Rect(0, 0, 0, 0)
    x, y = min(r.x for r in every), min(r.y for r in every)
    return Rect(x, y, max(r.right for r in every) - x, max(r.bottom for r in every) - y)


Point = tuple[float, float]


class Flow(Enum):
    """Which way the arrows go. Swaps coordinates, so the layout never asks."""

    RIGHT = "right"
    DOWN = "down"

    def turn(self, along: float, across: float) -> Point:
        """(along, across) -> (x, y), or (width, height) -> (along, across), and back."""
        return (along, across) if self is Flow.RIGHT else (across, along)

    def centred(self, along: float, across: float, width: float, height: float) -> Rect:
        x, y = self.turn(along, across)
        return Rect(x - width / 2, y - height / 2, width, height)


@dataclass(frozen=True)
class Curve:
    """A line through knots (along, across), tangent to the flow in every knot."""

    knots: tuple[Point, ...]

    def points(self, steps: int = 12) -> list[Point]:
        return [self.at(i, t / steps) for i in range(len(self.knots) - 1) for t in range(steps + 1)]

    def at(self, piece: int, t: float) -> Point:
        """A place on one piece: the Bézier of `path`, its controls half way along."""
        (a, b), (c, d) = self.knots[piece : piece + 2]
        return a + (c - a) * t * (1.5 - 1.5 * t + t * t), b + (d - b) * t * t * (3 - 2 * t)

    def path(self, flow: Flow) -> str:
        parts = [f"M{xy(flow, *self.knots[0])}"]
        for (a, b), (c, d) in pairwise(self.knots):
            half = (a + c) / 2
            bend = f"C{xy(flow, half, b)} {xy(flow, half, d)} " if abs(b - d) > 0.05 else "L"
            parts.append(bend + xy(flow, c, d))
        return "".join(parts)


def xy(flow: Flow, along: float, across: float) -> str:
    x, y = flow.turn(along, across)
    return f"{number(x)},{number(y)}"


def number(value: float) -> str:
    return f"{round(value, 1) + 0:g}" if abs(value) < 1e5 else f"{value:.1f}"


HEAD: Final = 8.0

SLOT_MARGIN: Final = 14.0

FENCE_PAD: Final = 11.0

CAPTION: Final = 15.0
