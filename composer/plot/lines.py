"""Lines from border to head, and where they are attached."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from composer.plot.drawing import Arrow
from composer.plot.geometry import HEAD, SLOT_MARGIN, Curve, Point, Rect
from composer.plot.mesh import Mesh, Route
from composer.plot.placement import Component


@dataclass(frozen=True, slots=True)
class Label:
    text: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class EdgeLine:
    arrow: Arrow
    curve: Curve
    label_at: float
    label: Label | None = None
    port: Label | None = None


def label_at(mesh: Mesh, band: list[Point], route: Route, line: Curve) -> float:
    """Where along the flow a reader looks for the label: nearer to the box with one arrow only."""
    if route.label_spot is not None:
        return fmean(band[mesh.rank[route.label_spot]])
    first, last = route.spots
    outputs = len(mesh.below[first])
    inputs = len(mesh.above[last])
    start, end = (
        line.knots[0][0],
        line.knots[-1][0] - mesh.flow.turn(mesh.port_room.get(last, 0), 0)[0],
    )
    return start + (0.5 + 0.15 * ((outputs > 1) - (inputs > 1))) * (end - start)


def slots(mesh: Mesh, place: dict[int, float], *, first: bool) -> dict[int, float]:
    """Route -> how far from the middle of its first (or last) box it is attached."""
    sides: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, route in enumerate(mesh.routes):
        spot, other = route.spots[:2] if first else route.spots[:-3:-1]
        sides[spot].append((place[other] - place[spot], index))
    offset_of: dict[int, float] = {}
    for spot, ways in sides.items():
        ways.sort()
        step = mesh.slot_step(spot)
        # Heads keep their distance, for their port names; tails may crowd.
        offsets = spaced(
            [way for way, _ in ways],
            step=step,
            least=min(step, 7.0) if first else step,
            room=mesh.sizes[spot][1] - SLOT_MARGIN,
        )
        offset_of.update((index, at) for (_, index), at in zip(ways, offsets, strict=True))
    return offset_of


def spaced(ways: Sequence[float], *, step: float, least: float, room: float) -> list[float]:
    """Slots in order; whatever can run straight ahead gets the middle of the side."""
    straight = [index for index, way in enumerate(ways) if abs(way) < 1]
    middle = fmean(straight) if straight else (len(ways) - 1) / 2
    longer = max(middle, len(ways) - 1 - middle)
    if longer * least > room / 2 + 0.01:
        middle = longer = (len(ways) - 1) / 2
    step = min(step, room / 2 / max(longer, 0.5))
    return [(index - middle) * step for index in range(len(ways))]


def curve(part: Component, band: list[Point], route: Route, start: float, end: float) -> Curve:
    """From border to head. Inside a layer the line runs straight, so that it hits no box there."""
    mesh, place = part.mesh, part.place
    first, *passed, last = route.spots
    leave, enter = place[first] + start, place[last] + end
    half, other_half = mesh.sizes[first][0] / 2, mesh.sizes[last][0] / 2
    knots = [(fmean(band[mesh.rank[first]]) + half, leave), (band[mesh.rank[first]][1], leave)]
    for spot in passed:
        knots += [(edge, place[spot]) for edge in band[mesh.rank[spot]]]
    begin = band[mesh.rank[last]][0]
    knots += [
        (begin - HEAD, enter),
        (fmean((begin, band[mesh.rank[last]][1])) - other_half - HEAD, enter),
    ]
    distinct = [knots[0], *(b for a, b in pairwise(knots) if b[0] - a[0] > 0.05)]
    return Curve(tuple(distinct))
