"""Which box stands in which layer, and what passes through."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise

from composer.plot.cards import Card, card
from composer.plot.drawing import Arrow, GraphBox
from composer.plot.geometry import CAPTION, FENCE_PAD, SLOT_MARGIN, Flow, Point
from composer.plot.lettering import SMALL_SIZE, fit, label_size, text_width


def ranks(boxes: Sequence[GraphBox], arrows: Sequence[Arrow]) -> dict[str, int]:
    """Layer of every box: its longest way from a source."""
    before: dict[str, list[str]] = {box.name: [] for box in boxes}
    after: dict[str, list[str]] = {box.name: [] for box in boxes}
    for arrow in arrows:
        before[arrow.end].append(arrow.start)
        after[arrow.start].append(arrow.end)
    order = list(TopologicalSorter(before).static_order())
    rank: dict[str, int] = {}
    for name in order:
        rank[name] = max((rank[previous] + 1 for previous in before[name]), default=0)
    # A source that feeds a late box stands next to it, with the boxes that only it feeds.
    loose: set[str] = set()
    for name in order:
        if all(previous in loose and len(after[previous]) == 1 for previous in before[name]):
            loose.add(name)
    for name in reversed(order):
        if name in loose and after[name]:
            rank[name] = min(rank[following] for following in after[name]) - 1
    return rank


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow and its spots, one per layer. The first and the last are boxes."""

    arrow: Arrow
    spots: tuple[int, ...]

    @property
    def label_spot(self) -> int | None:
        """The spot that keeps room for the label; none where a gap between layers has it."""
        return self.spots[len(self.spots) // 2] if len(self.spots) > 2 else None


Neighbours = dict[int, list[tuple[int, int]]]
"""Spot -> (spot in the layer before or after, how much straightness matters)"""


@dataclass(frozen=True)
class Mesh:
    """Boxes and what passes them, as numbered spots: first the boxes, then the points passed."""

    flow: Flow
    cards: tuple[Card, ...]
    rank: tuple[int, ...]
    routes: tuple[Route, ...]

    @cached_property
    def links(self) -> list[tuple[int, int, int]]:
        """(spot, spot in the next layer, how much straightness matters)"""
        links = []
        for route in self.routes:
            weight = {"picture": 4, "data": 2, "audio": 1}[route.arrow.kind]
            for a, b in pairwise(route.spots):
                passing = (a >= len(self.cards)) + (b >= len(self.cards))
                links.append((a, b, weight * (8, 1, 4)[passing]))
        return links

    @cached_property
    def above(self) -> Neighbours:
        return neighbours((b, a, weight) for a, b, weight in self.links)

    @cached_property
    def below(self) -> Neighbours:
        return neighbours(self.links)

    @cached_property
    def beside(self) -> Neighbours:
        return neighbours([*self.links, *((b, a, weight) for a, b, weight in self.links)])

    @cached_property
    def port_room(self) -> dict[int, float]:
        """Box -> widest port name written at its heads."""
        room: dict[int, float] = defaultdict(float)
        inputs = Counter(route.spots[-1] for route in self.routes)
        for route in self.routes:
            if inputs[route.spots[-1]] > 1:
                width = text_width(fit(route.arrow.port, SMALL_SIZE), SMALL_SIZE)
                room[route.spots[-1]] = max(room[route.spots[-1]], width)
        return room

    @cached_property
    def sizes(self) -> list[Point]:
        """(along, across) of every spot."""
        inputs = Counter(route.spots[-1] for route in self.routes)
        sizes = [(0.0, 4.0)] * len(self.rank)
        for spot, drawn in enumerate(self.cards):
            along, across = self.flow.turn(drawn.width, drawn.height)
            # With two or three heads there is room for the straight one to be the outermost.
            steps = min(2 * inputs[spot] - 2, max(4, inputs[spot] - 1))
            heads = steps * self.slot_step(spot) + SLOT_MARGIN
            sizes[spot] = (along, max(across, heads) if inputs[spot] > 1 else across)
        for route in self.routes:
            if route.label_spot is not None and route.arrow.label:
                sizes[route.label_spot] = self.flow.turn(*label_size(route.arrow.label))
        return sizes

    def slot_step(self, spot: int) -> float:
        """Distance between the heads at a box: wide enough for their port names."""
        room = self.port_room.get(spot, 0.0)
        if not room:
            return 14.0
        return SMALL_SIZE + 8 if self.flow is Flow.RIGHT else max(14.0, room + 10)

    @cached_property
    def groups(self) -> list[str]:
        """Group of every spot. An arrow inside a group passes inside its fence."""
        groups = [drawn.box.group for drawn in self.cards]
        groups += [""] * (len(self.rank) - len(groups))
        for route in self.routes:
            first, *passed, last = route.spots
            for spot in passed:
                groups[spot] = groups[first] if groups[first] == groups[last] else ""
        return groups

    def group(self, spot: int) -> str:
        return self.groups[spot]

    def distance(self, left: int, right: int) -> float:
        """Least distance between two spots that stand next to each other in a layer."""
        apart = (self.sizes[left][1] + self.sizes[right][1]) / 2
        apart += 16 if max(left, right) >= len(self.cards) else 26
        if self.group(left) != self.group(right):
            return apart + 2 * FENCE_PAD + CAPTION
        # The members of a group may have to be fenced one by one.
        return apart + (CAPTION if self.group(left) else 0)


def neighbours(links: Iterable[tuple[int, int, int]]) -> Neighbours:
    neighbours_of: Neighbours = defaultdict(list)
    for spot, other, weight in links:
        neighbours_of[spot].append((other, weight))
    return neighbours_of


def mesh(boxes: Sequence[GraphBox], arrows: Sequence[Arrow], flow: Flow) -> Mesh:
    by_name = ranks(boxes, arrows)
    rank = [by_name[box.name] for box in boxes]
    index = {box.name: spot for spot, box in enumerate(boxes)}
    routes = []
    for arrow in arrows:
        start, end = index[arrow.start], index[arrow.end]
        passed = range(rank[start] + 1, rank[end])
        routes.append(Route(arrow, (start, *range(len(rank), len(rank) + len(passed)), end)))
        rank.extend(passed)
    return Mesh(flow, tuple(card(box) for box in boxes), tuple(rank), tuple(routes))
