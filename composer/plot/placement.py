"""Where boxes and lines stand along and across the flow."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from composer.plot.crossings import Layers, ordered
from composer.plot.geometry import CAPTION, FENCE_PAD, HEAD, Flow, Point
from composer.plot.lettering import SMALL_SIZE, label_size
from composer.plot.mesh import Mesh, Neighbours


def across(mesh: Mesh, layers: Layers) -> dict[int, float]:
    """Where every spot stands across the flow: as straight as the order allows.

    Layer after layer, up and down, is put where the sum of its arrows' sideways ways is least. A
    sum of distances (not of squares) lets a long chain run straight past whatever hangs on it.
    """
    place: dict[int, float] = {}
    for layer in layers:
        settle(mesh, layer, place, {})
    down, up, both = (layers, mesh.above), (layers[::-1], mesh.below), (layers, mesh.beside)
    # Looking one way lets whole chains move; looking both ways then takes out small bends.
    place = straightest(mesh, place, [down, up] * 6)
    place = straightest(mesh, place, [both] * 8)
    return taut(mesh, layers, taut(mesh, layers, place))


def straightest(
    mesh: Mesh, place: dict[int, float], sweeps: Iterable[tuple[Layers, Neighbours]]
) -> dict[int, float]:
    """The best of the places that these sweeps pass through."""
    best, least = place, sideways(mesh, place)
    place = dict(place)
    for layers, side in sweeps:
        for layer in layers:
            settle(mesh, layer, place, side)
        if sideways(mesh, place) < least - 0.01:
            best, least = dict(place), sideways(mesh, place)
    return best


def taut(mesh: Mesh, layers: Layers, place: dict[int, float]) -> dict[int, float]:
    """Long arrows pulled into one line, as near to their boxes as what they pass allows.

    Spot by spot they get there only in ever smaller steps, which look like stairs.
    """
    place = dict(place)
    before = {b: a for layer in layers for a, b in pairwise(layer)}
    after = {a: b for layer in layers for a, b in pairwise(layer)}
    for route in mesh.routes:
        first, *passed, last = route.spots
        low = [place[before[s]] + mesh.distance(before[s], s) for s in passed if s in before]
        high = [place[after[s]] - mesh.distance(s, after[s]) for s in passed if s in after]
        least, most = max(low, default=-INFINITE), min(high, default=INFINITE)
        if least <= most:
            at = min(max(fmean((place[first], place[last])), least), most)
            place.update((spot, at) for spot in passed)
    return place


def sideways(mesh: Mesh, place: dict[int, float]) -> float:
    return sum(weight * abs(place[a] - place[b]) for a, b, weight in mesh.links)


INFINITE: Final = float("inf")

Pull = tuple[float, int]


def settle(mesh: Mesh, layer: list[int], place: dict[int, float], side: Neighbours) -> None:
    """Move a layer to the weighted medians of its neighbours, keeping distances and order.

    Pools adjacent violators: spots that would overlap become one block with one median.
    """
    blocks: list[tuple[list[Pull], list[tuple[int, float]]]] = []
    offset = 0.0
    for index, spot in enumerate(layer):
        offset += mesh.distance(layer[index - 1], spot) if index else 0.0
        pulls = [(place[other] - offset, 100 * weight) for other, weight in side.get(spot, [])]
        pulls = pulls or [(place.get(spot, 0.0) - offset, 1)]
        members = [(spot, offset)]
        while blocks and median(blocks[-1][0]) > median(pulls):
            earlier, others = blocks.pop()
            pulls, members = earlier + pulls, others + members
        blocks.append((pulls, members))
    for pulls, members in blocks:
        middle = median(pulls)
        place.update((spot, middle + offset) for spot, offset in members)


def median(pulls: list[Pull]) -> float:
    """The weighted median; half way between two that are equally good."""
    half, before = sum(weight for _, weight in pulls), 0
    pulls = sorted(pulls)
    for index, (value, weight) in enumerate(pulls):
        before += 2 * weight
        if before == half:
            return (value + pulls[index + 1][0]) / 2
        if before > half:
            return value
    return 0.0


def bands(mesh: Mesh, layers: Layers, place: dict[int, float], spread: float) -> list[Point]:
    """(start, end) of every layer along the flow. `spread` widens the gaps."""
    spans: list[Point] = []
    at = 0.0
    for index, layer in enumerate(layers):
        if index:
            at += spread * gap(mesh, index, place)
        thick = max(mesh.sizes[spot][0] for spot in layer)
        spans.append((at, at + thick))
        at += thick
    return spans


def gap(mesh: Mesh, index: int, place: dict[int, float]) -> float:
    """Room before a layer: for labels and port names, and for bends that are not too steep."""
    needed = 44.0
    steepest = 0.0
    beside: Counter[tuple[int, ...]] = Counter()
    for route in mesh.routes:
        a, b = next((p for p in pairwise(route.spots) if mesh.rank[p[1]] == index), (-1, -1))
        if b < 0:
            continue
        steepest = max(steepest, abs(place[a] - place[b]))
        room = mesh.port_room.get(b, 0.0)
        port = mesh.flow.turn(room + 4, SMALL_SIZE + 4)[0] if room else 0.0
        label = 0.0
        if len(route.spots) == 2 and route.arrow.label:
            beside[route.spots] += 1
            label = mesh.flow.turn(*label_size(route.arrow.label))[0]
            label *= beside[route.spots] if mesh.flow is Flow.DOWN else 1
        needed = max(needed, label + port + HEAD + 20)
    if mesh.flow is Flow.DOWN and any(drawn.box.group for drawn in mesh.cards):
        needed += CAPTION + FENCE_PAD
    return needed + min(160.0, 0.2 * steepest)


@dataclass(frozen=True, slots=True)
class Component:
    """One connected part, laid out across the flow."""

    mesh: Mesh
    layers: Layers
    place: dict[int, float]

    def extent(self) -> Point:
        edges = [(at, self.mesh.sizes[spot][1] / 2) for spot, at in self.place.items()]
        return min(at - half for at, half in edges), max(at + half for at, half in edges)

    def moved(self, by: float) -> "Component":
        return Component(self.mesh, self.layers, {spot: at + by for spot, at in self.place.items()})


def laid_out(mesh: Mesh) -> Component:
    layers = ordered(mesh)
    return Component(mesh, layers, across(mesh, layers))
