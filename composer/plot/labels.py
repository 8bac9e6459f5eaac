"""Words beside lines: each where the fewest things lie under it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from composer.plot.geometry import HEAD, Flow, Point, Rect, around
from composer.plot.lettering import LABEL_SIZE, SMALL_SIZE, fit, label_size, text_width
from composer.plot.lines import EdgeLine, Label


def with_port(line: EdgeLine, flow: Flow) -> EdgeLine:
    text = fit(line.arrow.port, SMALL_SIZE)
    if not text:
        return line
    x, y = flow.turn(*line.curve.knots[-1])
    width = text_width(text, SMALL_SIZE)
    if flow is Flow.RIGHT:
        rect = Rect(x - width - 1, y - SMALL_SIZE - 4, width, SMALL_SIZE + 2)
    else:
        rect = Rect(x + 5, y - SMALL_SIZE + 4, width, SMALL_SIZE + 2)
    return replace(line, port=Label(text, rect))


def labelled(
    lines: Sequence[EdgeLine], flow: Flow, solid: Sequence[Rect]
) -> tuple[list[EdgeLine], int]:
    """Lines with their labels, and how many of these had to lie on something."""
    occupied = [*solid, *(line.port.rect for line in lines if line.port)]
    occupied += [head_rect(line, flow) for line in lines]
    tracks = [trail_of(line, flow) for line in lines]
    placed: list[EdgeLine] = []
    clashes = 0
    for index, line in enumerate(lines):
        text = fit(line.arrow.label, LABEL_SIZE)
        if not text:
            placed.append(line)
            continue
        rect, cost = label_rect(line, flow, occupied, [*tracks[:index], *tracks[index + 1 :]])
        clashes += cost >= SOLID
        occupied.append(rect)
        placed.append(replace(line, label=Label(text, rect)))
    return placed, clashes


@dataclass(frozen=True, slots=True)
class Trail:
    """A line as many points, to see what it runs under."""

    points: tuple[Point, ...]
    bounds: Rect

    def under(self, rect: Rect) -> bool:
        return rect.hits(self.bounds) and any(rect.holds(x, y) for x, y in self.points)


def trail_of(line: EdgeLine, flow: Flow) -> Trail:
    points = tuple(flow.turn(*point) for point in line.curve.points(48))
    # A level line has no height; grown, it can still be hit.
    return Trail(points, around(Rect(x, y, 0, 0) for x, y in points).grown(1, 1, 1, 1))


SOLID: Final = 1000
"""Cost of a label on a box or another label; a line under the label costs 1, it can be read."""


def label_rect(
    line: EdgeLine, flow: Flow, occupied: Sequence[Rect], tracks: Sequence[Trail]
) -> tuple[Rect, int]:
    """The cheapest place on the line; of equals the one nearest to where a reader looks for it."""
    width, height = label_size(line.arrow.label)
    best, least = Rect(0, 0, 0, 0), 1 << 30
    points = line.curve.points(24)
    for along, across in sorted(points, key=lambda point: abs(point[0] - line.label_at)):
        rect = flow.centred(along, across, width, height)
        cost = SOLID * sum(rect.hits(other) for other in occupied)
        cost += sum(other.under(rect) for other in tracks)
        if cost < least:
            best, least = rect, cost
        if not cost:
            break
    return best, least


def head_rect(line: EdgeLine, flow: Flow) -> Rect:
    along, across = line.curve.knots[-1]
    return flow.centred(along + HEAD / 2, across, *flow.turn(HEAD, HEAD))
