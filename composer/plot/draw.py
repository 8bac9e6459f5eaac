"""A picture of a graph: SVG for a page, Mermaid text for a README.

The SVG is a layered drawing (Sugiyama, Tagawa and Toda 1981): every box gets a layer, arrows that
pass a layer get a spot of their own in it, layers are ordered against crossings, then spots are
moved so that arrows become straight. Until the very end a place is (along, across) the flow; only
`Flow` knows whether the flow goes right or down.
"""

import re
import unicodedata
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise
from statistics import fmean
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from composer import strictjson

__all__ = ["Arrow", "Box", "mermaid", "svg"]


@dataclass(frozen=True, slots=True)
class Box:
    """A node as drawn. `lines` are settings worth showing, already short ("width 1280")."""

    name: str
    title: str
    lines: tuple[str, ...] = ()
    kind: Literal["source", "node", "sink", "convert"] = "node"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge as drawn, between two box names.

    `port` is shown near the head, when the box at the end has several inputs.
    """

    start: str
    end: str
    label: str
    port: str = ""
    kind: Literal["picture", "audio", "data"] = "picture"


def svg(boxes: Sequence[Box], arrows: Sequence[Arrow], title: str = "") -> str:
    """The graph as one SVG document. Arrows form a DAG; raises graphlib.CycleError otherwise."""
    right = compose(boxes, arrows, Flow.RIGHT)
    page = right
    if scale_on_page(right) < READABLE:
        down = compose(boxes, arrows, Flow.DOWN)
        page = max(right, down, key=scale_on_page)
    return render(page, title)


def mermaid(boxes: Sequence[Box], arrows: Sequence[Arrow], title: str = "") -> str:
    """The graph as a Mermaid flowchart. Box names become n0, n1: `end` alone breaks a flowchart."""
    ids = {box.name: f"n{index}" for index, box in enumerate(boxes)}
    several = several_inputs(arrows)
    direction = "LR" if max(ranks(boxes, arrows).values(), default=0) < 7 else "TB"
    lines = (
        ["---", f"title: {strictjson.text(clean(title), ensure_ascii=False)}", "---"]
        if clean(title)
        else []
    )
    lines.append(f"flowchart {direction}")
    for index, (group, members) in enumerate(by_group(boxes).items()):
        drawn = [mermaid_box(ids[box.name], box) for box in members]
        if group:
            drawn = [f'subgraph g{index}["{entities(group)}"]', *indent(drawn), "end"]
        lines += indent(drawn)
    for arrow in arrows:
        line = "-.->" if arrow.kind == "audio" else "-->"
        text = mermaid_label(arrow, several)
        lines.append(f"    {ids[arrow.start]} {line}{text} {ids[arrow.end]}")
    lines += indent(mermaid_colours(boxes, arrows))
    return "\n".join(lines) + "\n"


# Text: what users wrote, made safe and short. Widths are generous because the font is unknown.

NAME_SIZE: Final = 13.0
TYPE_SIZE: Final = 11.0
SMALL_SIZE: Final = 10.0
LABEL_SIZE: Final = 10.5
TITLE_SIZE: Final = 15.0
WIDEST_TEXT: Final = 210.0
WIDEST_TITLE: Final = 640.0
MOST_LINES: Final = 8


def clean(text: str) -> str:
    """One line of printable characters; XML 1.0 has no way to write the others."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if character in "ijlI.,:;|!' ":
        return 0.36
    if character in "mwMW@%" or not character.isascii():
        return 0.98
    return 0.74 if character.isupper() else 0.63


def text_width(text: str, size: float) -> float:
    return sum(map(em, text)) * size


def fit(text: str, size: float, limit: float = WIDEST_TEXT) -> str:
    """The text cleaned, and cut with an ellipsis where it is wider than `limit`."""
    text = clean(text)
    if text_width(text, size) <= limit:
        return text
    room = limit - text_width("…", size)
    for length, character in enumerate(text):
        room -= em(character) * size
        if room < 0:
            return text[:length].rstrip() + "…"
    return text


# Geometry on the page.


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


# A box and its words.


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    style: Literal["name", "type", "setting"]
    size: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Card:
    """A box with its words set."""

    box: Box
    words: tuple[Word, ...]
    width: float
    height: float


def card(box: Box) -> Card:
    # A conversion is plumbing the author never wrote: it should not shout.
    scale, pad = (0.82, 6.0) if box.kind == "convert" else (1.0, 10.0)
    words: list[Word] = []
    y = pad
    for text, style, size in card_texts(box):
        y += size * scale * (1.5 if style == "setting" and words[-1].style != style else 1.3)
        words.append(Word(fit(text, size), style, size * scale, y - size * scale * 0.3))
    widest = max(text_width(word.text, word.size) for word in words)
    # Widths in steps make columns of boxes look even.
    width = max(60.0 if box.kind == "convert" else 110.0, -(-(widest + 2 * pad + 6) // 10) * 10)
    return Card(box, tuple(words), width, y + pad)


def card_texts(box: Box) -> Iterator[tuple[str, Literal["name", "type", "setting"], float]]:
    yield box.name, "name", NAME_SIZE
    if clean(box.title) != clean(box.name):
        yield box.title, "type", TYPE_SIZE
    for line in box.lines[:MOST_LINES]:
        yield line, "setting", SMALL_SIZE
    if len(box.lines) > MOST_LINES:
        yield f"… {len(box.lines) - MOST_LINES} more", "setting", SMALL_SIZE


# Layers: which box stands in which, and what passes through.


def ranks(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> dict[str, int]:
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
        found = []
        for route in self.routes:
            weight = {"picture": 4, "data": 2, "audio": 1}[route.arrow.kind]
            for a, b in pairwise(route.spots):
                passing = (a >= len(self.cards)) + (b >= len(self.cards))
                found.append((a, b, weight * (8, 1, 4)[passing]))
        return found

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
    found: Neighbours = defaultdict(list)
    for spot, other, weight in links:
        found[spot].append((other, weight))
    return found


def mesh(boxes: Sequence[Box], arrows: Sequence[Arrow], flow: Flow) -> Mesh:
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


# Order inside the layers.

Layers = list[list[int]]


def ordered(mesh: Mesh) -> Layers:
    """Layers with few crossings: sweeps of barycentres, then swaps of neighbours."""
    layers = first_order(mesh)
    best, fewest = layers, crossings(mesh, layers)
    for sweep in range(12):
        if not fewest:
            break
        layers = swapped(mesh, swept(mesh, layers, downwards=sweep % 2 == 0))
        count = crossings(mesh, layers)
        if count < fewest:
            best, fewest = layers, count
    return best


def first_order(mesh: Mesh) -> Layers:
    """Depth first from the sources, which alone draws every tree without a crossing."""
    layers: Layers = [[] for _ in range(max(mesh.rank, default=-1) + 1)]
    seen: set[int] = set()
    sources = [spot for spot in range(len(mesh.rank)) if spot not in mesh.above]
    todo = sources[::-1]
    while todo:
        spot = todo.pop()
        if spot not in seen:
            seen.add(spot)
            layers[mesh.rank[spot]].append(spot)
            todo += [other for other, _ in reversed(mesh.below.get(spot, []))]
    return [
        together(mesh, layer, dict(zip(layer, range(len(layer)), strict=True))) for layer in layers
    ]


def swept(mesh: Mesh, layers: Layers, *, downwards: bool) -> Layers:
    side = mesh.above if downwards else mesh.below
    place: dict[int, float] = {}
    result = []
    for layer in layers if downwards else layers[::-1]:
        wish = {
            spot: fmean(place[other] for other, _ in side[spot]) if spot in side else float(index)
            for index, spot in enumerate(layer)
        }
        result.append(together(mesh, layer, wish))
        place.update((spot, float(index)) for index, spot in enumerate(result[-1]))
    return result if downwards else result[::-1]


def together(mesh: Mesh, layer: list[int], wish: dict[int, float] | dict[int, int]) -> list[int]:
    """Sorted by wish, with the members of a group side by side so that a fence can hold them."""
    wishes: dict[str, list[float]] = defaultdict(list)
    for spot in layer:
        wishes[mesh.group(spot)].append(wish[spot])

    def key(spot: int) -> tuple[float, str, float]:
        group = mesh.group(spot)
        return (fmean(wishes[group]) if group else wish[spot], group, wish[spot])

    return sorted(layer, key=key)


def swapped(mesh: Mesh, layers: Layers) -> Layers:
    """Neighbours change places while that removes a crossing."""
    result = [list(layer) for layer in layers]
    for _ in range(4):
        better = False
        place = {spot: index for layer in result for index, spot in enumerate(layer)}
        for layer in result:
            members = Counter(mesh.group(spot) for spot in layer)
            for i in range(len(layer) - 1):
                a, b = layer[i], layer[i + 1]
                groups = {mesh.group(a), mesh.group(b)}
                may = len(groups) == 1 or all(not g or members[g] == 1 for g in groups)
                if may and crossed(mesh, place, b, a) < crossed(mesh, place, a, b):
                    layer[i], layer[i + 1] = b, a
                    place[a], place[b] = i + 1, i
                    better = True
        if not better:
            break
    return result


def crossed(mesh: Mesh, place: dict[int, int], first: int, second: int) -> int:
    """Crossings among the arrows of two neighbours, when `first` stands before `second`."""
    return sum(
        place[a] > place[b]
        for side in (mesh.above, mesh.below)
        for a, _ in side.get(first, [])
        for b, _ in side.get(second, [])
    )


def crossings(mesh: Mesh, layers: Layers) -> int:
    place = {spot: index for layer in layers for index, spot in enumerate(layer)}
    total = 0
    for layer in layers:
        ends: list[int] = []
        for spot in layer:
            mine = sorted(place[other] for other, _ in mesh.below.get(spot, []))
            total += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return total


# Coordinates.


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


HEAD: Final = 8.0
SLOT_MARGIN: Final = 14.0
FENCE_PAD: Final = 11.0
CAPTION: Final = 15.0


def bands(mesh: Mesh, layers: Layers, place: dict[int, float], spread: float) -> list[Point]:
    """(start, end) of every layer along the flow. `spread` widens the gaps."""
    found: list[Point] = []
    at = 0.0
    for index, layer in enumerate(layers):
        if index:
            at += spread * gap(mesh, index, place)
        thick = max(mesh.sizes[spot][0] for spot in layer)
        found.append((at, at + thick))
        at += thick
    return found


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


def label_size(label: str) -> tuple[float, float]:
    return text_width(fit(label, LABEL_SIZE), LABEL_SIZE) + 8, LABEL_SIZE + 5


# The page: everything with its place.


@dataclass(frozen=True, slots=True)
class Label:
    text: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class Line:
    arrow: Arrow
    curve: Curve
    label_at: float
    label: Label | None = None
    port: Label | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    group: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class Page:
    flow: Flow
    cards: tuple[tuple[Card, Rect], ...]
    lines: tuple[Line, ...]
    fences: tuple[Fence, ...]
    clashes: int

    def bounds(self) -> Rect:
        rects = [rect for _, rect in self.cards] + [fence.rect for fence in self.fences]
        for line in self.lines:
            rects += [label.rect for label in (line.label, line.port) if label]
            rects += [Rect(*self.flow.turn(*point), 0, 0) for point in line.curve.points()]
        return around(rects)


PAGE: Final = (1000.0, 1000.0)
"""A column of text in a README. Pages scroll down, so it is higher than a screen."""

READABLE: Final = 0.65
"""A picture shrunk further than this to fit PAGE is turned, if that helps."""


def scale_on_page(page: Page) -> float:
    bounds = page.bounds()
    return min(1.0, PAGE[0] / max(bounds.width, 1.0), PAGE[1] / max(bounds.height, 1.0))


def compose(boxes: Sequence[Box], arrows: Sequence[Arrow], flow: Flow) -> Page:
    """The page with the least room between layers where no label has to lie on something."""
    parts = [laid_out(mesh(*each, flow)) for each in components(boxes, arrows)]
    pages: list[Page] = []
    for spread in (1.0, 1.3, 1.7, 2.3):
        pages.append(arrange(parts, flow, spread))
        if not pages[-1].clashes:
            break
    return min(pages, key=lambda page: page.clashes)


def components(
    boxes: Sequence[Box], arrows: Sequence[Arrow]
) -> list[tuple[list[Box], list[Arrow]]]:
    """The graph in parts that no arrow joins, in the order of their first boxes."""
    part = {box.name: index for index, box in enumerate(boxes)}
    for arrow in arrows:
        kept, given_up = sorted((part[arrow.start], part[arrow.end]))
        part = {name: kept if mine == given_up else mine for name, mine in part.items()}
    return [
        (
            [box for box in boxes if part[box.name] == index],
            [arrow for arrow in arrows if part[arrow.start] == index],
        )
        for index in sorted(set(part.values()))
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """One connected part, laid out across the flow."""

    mesh: Mesh
    layers: Layers
    place: dict[int, float]

    def extent(self) -> Point:
        edges = [(at, self.mesh.sizes[spot][1] / 2) for spot, at in self.place.items()]
        return min(at - half for at, half in edges), max(at + half for at, half in edges)

    def moved(self, by: float) -> "Part":
        return Part(self.mesh, self.layers, {spot: at + by for spot, at in self.place.items()})


def laid_out(mesh: Mesh) -> Part:
    layers = ordered(mesh)
    return Part(mesh, layers, across(mesh, layers))


def arrange(parts: Sequence[Part], flow: Flow, spread: float) -> Page:
    """Stack the parts, then put what must not lie on anything else: fences, ports, labels."""
    cards: list[tuple[Card, Rect]] = []
    lines: list[Line] = []
    edge = 0.0
    for part in parts:
        first, last = part.extent()
        drawn, drawn_lines = drawing(part.moved(edge - first), spread)
        cards += drawn
        lines += drawn_lines
        edge += last - first + 2 * FENCE_PAD + CAPTION + 10
        if flow is Flow.DOWN and drawn_lines:
            edge += max(label_size(line.arrow.label)[0] for line in drawn_lines)
    fences = fenced(cards, lines, flow)
    several = several_inputs([line.arrow for line in lines])
    lines = [with_port(line, flow) if line.arrow.end in several else line for line in lines]
    solid = [rect for _, rect in cards] + [caption(fence) for fence in fences]
    lines, clashes = labelled(lines, flow, solid)
    return Page(flow, tuple(cards), tuple(lines), fences, clashes)


def drawing(part: Part, spread: float) -> tuple[list[tuple[Card, Rect]], list[Line]]:
    mesh, place = part.mesh, part.place
    band = bands(mesh, part.layers, place, spread)
    cards = []
    for spot, drawn in enumerate(mesh.cards):
        middle = fmean(band[mesh.rank[spot]])
        size = mesh.flow.turn(*mesh.sizes[spot])
        cards.append((drawn, mesh.flow.centred(middle, place[spot], *size)))
    starts, ends = slots(mesh, place, first=True), slots(mesh, place, first=False)
    lines = []
    for index, route in enumerate(mesh.routes):
        line = curve(part, band, route, starts[index], ends[index])
        lines.append(Line(route.arrow, line, label_at(mesh, band, route, line)))
    return cards, lines


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
    found: dict[int, float] = {}
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
        found.update((index, at) for (_, index), at in zip(ways, offsets, strict=True))
    return found


def spaced(ways: Sequence[float], *, step: float, least: float, room: float) -> list[float]:
    """Slots in order; whatever can run straight ahead gets the middle of the side."""
    straight = [index for index, way in enumerate(ways) if abs(way) < 1]
    middle = fmean(straight) if straight else (len(ways) - 1) / 2
    longer = max(middle, len(ways) - 1 - middle)
    if longer * least > room / 2 + 0.01:
        middle = longer = (len(ways) - 1) / 2
    step = min(step, room / 2 / max(longer, 0.5))
    return [(index - middle) * step for index in range(len(ways))]


def curve(part: Part, band: list[Point], route: Route, start: float, end: float) -> Curve:
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


# What lies beside boxes and lines: fences, port names, labels.


def fenced(
    cards: Sequence[tuple[Card, Rect]], lines: Sequence[Line], flow: Flow
) -> tuple[Fence, ...]:
    """One fence per group, or several where one rectangle would catch a box of somebody else."""
    fences: list[Fence] = []
    group_of = {drawn.box.name: drawn.box.group for drawn, _ in cards}
    for group in dict.fromkeys(drawn.box.group for drawn, _ in cards if drawn.box.group):
        others = [
            fenced_in(rect) if drawn.box.group else rect
            for drawn, rect in cards
            if drawn.box.group != group
        ]
        others += [fence.rect for fence in fences]
        pieces: list[Rect] = []
        mine = [rect for drawn, rect in cards if drawn.box.group == group]
        for rect in sorted(mine, key=lambda r: (r.x, r.y)):
            pieces = with_rect(pieces, rect, others)
        for line in lines:
            if group_of[line.arrow.start] == group_of[line.arrow.end] == group:
                longer = with_rect(pieces, reach(line, flow), others)
                # A line that no fence can take in simply leaves it and comes back.
                pieces = longer if len(longer) == len(pieces) else pieces
        fences += [Fence(group, piece) for piece in pieces]
    return tuple(fences)


def fenced_in(rect: Rect) -> Rect:
    return rect.grown(FENCE_PAD, FENCE_PAD + CAPTION, FENCE_PAD, FENCE_PAD)


def reach(line: Line, flow: Flow) -> Rect:
    """What a line will need with its label where that is wished."""
    at = min(line.curve.points(24), key=lambda point: abs(point[0] - line.label_at))
    label = flow.centred(*at, *label_size(line.arrow.label))
    return around([track(line, flow).bounds, label])


def with_rect(pieces: Sequence[Rect], rect: Rect, others: Sequence[Rect]) -> list[Rect]:
    added = fenced_in(rect)
    for index, piece in enumerate(pieces):
        whole = around([piece, added])
        rest = [*pieces[:index], *pieces[index + 1 :]]
        if not any(whole.hits(other) for other in [*others, *rest]):
            return [*rest, whole]
    return [*pieces, added]


def caption(fence: Fence) -> Rect:
    width = text_width(fit(fence.group, SMALL_SIZE, fence.rect.width - 12), SMALL_SIZE)
    return Rect(fence.rect.x + 8, fence.rect.y + 3, width, CAPTION - 2)


def several_inputs(arrows: Sequence[Arrow]) -> set[str]:
    return {end for end, count in Counter(arrow.end for arrow in arrows).items() if count > 1}


def with_port(line: Line, flow: Flow) -> Line:
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


def labelled(lines: Sequence[Line], flow: Flow, solid: Sequence[Rect]) -> tuple[list[Line], int]:
    """Lines with their labels, and how many of these had to lie on something."""
    taken = [*solid, *(line.port.rect for line in lines if line.port)]
    taken += [head_rect(line, flow) for line in lines]
    tracks = [track(line, flow) for line in lines]
    found: list[Line] = []
    clashes = 0
    for index, line in enumerate(lines):
        text = fit(line.arrow.label, LABEL_SIZE)
        if not text:
            found.append(line)
            continue
        rect, cost = label_rect(line, flow, taken, [*tracks[:index], *tracks[index + 1 :]])
        clashes += cost >= SOLID
        taken.append(rect)
        found.append(replace(line, label=Label(text, rect)))
    return found, clashes


@dataclass(frozen=True, slots=True)
class Track:
    """A line as many points, to see what it runs under."""

    points: tuple[Point, ...]
    bounds: Rect

    def under(self, rect: Rect) -> bool:
        return rect.hits(self.bounds) and any(rect.holds(x, y) for x, y in self.points)


def track(line: Line, flow: Flow) -> Track:
    points = tuple(flow.turn(*point) for point in line.curve.points(48))
    # A level line has no height; grown, it can still be hit.
    return Track(points, around(Rect(x, y, 0, 0) for x, y in points).grown(1, 1, 1, 1))


SOLID: Final = 1000
"""Cost of a label on a box or another label; a line under the label costs 1, it can be read."""


def label_rect(
    line: Line, flow: Flow, taken: Sequence[Rect], tracks: Sequence[Track]
) -> tuple[Rect, int]:
    """The cheapest place on the line; of equals the one nearest to where a reader looks for it."""
    width, height = label_size(line.arrow.label)
    best, least = Rect(0, 0, 0, 0), 1 << 30
    points = line.curve.points(24)
    for along, across in sorted(points, key=lambda point: abs(point[0] - line.label_at)):
        rect = flow.centred(along, across, width, height)
        cost = SOLID * sum(rect.hits(other) for other in taken)
        cost += sum(other.under(rect) for other in tracks)
        if cost < least:
            best, least = rect, cost
        if not cost:
            break
    return best, least


def head_rect(line: Line, flow: Flow) -> Rect:
    along, across = line.curve.knots[-1]
    return flow.centred(along + HEAD / 2, across, *flow.turn(HEAD, HEAD))


# SVG.

FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

LIGHT: Final = {
    "card": "fill:#fff;stroke:#e3e7ee",
    "title": "fill:#1b2330",
    "name": "fill:#1b2330",
    "type": "fill:#667085",
    "setting": "fill:#475467",
    "rule": "stroke:#000;stroke-opacity:.1",
    "source rect": "fill:#e9f7ef;stroke:#36a269",
    "node rect": "fill:#eef3fe;stroke:#5b84d7",
    "sink rect": "fill:#fef1e6;stroke:#dd8638",
    "convert rect": "fill:#f8f9fb;stroke:#98a2b3",
    "fence rect": "stroke:#c3cad6",
    "fence text": "fill:#7b8698",
    "label": "fill:#344054;stroke:#fff",
    "port": "fill:#7b8698;stroke:#fff",
    "picture .line": "stroke:#5f7190",
    "picture .head": "fill:#5f7190",
    "audio .line": "stroke:#0d9488",
    "audio .head": "fill:#0d9488",
    "data .line": "stroke:#b054c4",
    "data .head": "fill:#b054c4",
}
DARK: Final = {
    "card": "fill:#12161d;stroke:#2a313c",
    "title": "fill:#e8ecf3",
    "name": "fill:#eef1f6",
    "type": "fill:#98a2b3",
    "setting": "fill:#b4bdcb",
    "rule": "stroke:#fff;stroke-opacity:.12",
    "source rect": "fill:#14281e;stroke:#3fae74",
    "node rect": "fill:#182236;stroke:#6d94e4",
    "sink rect": "fill:#2e2116;stroke:#e0924a",
    "convert rect": "fill:#1a1f27;stroke:#78828f",
    "fence rect": "stroke:#3d4654",
    "fence text": "fill:#8b95a5",
    "label": "fill:#d3dae5;stroke:#12161d",
    "port": "fill:#98a2b3;stroke:#12161d",
    "picture .line": "stroke:#8fa3c4",
    "picture .head": "fill:#8fa3c4",
    "audio .line": "stroke:#2cc4b5",
    "audio .head": "fill:#2cc4b5",
    "data .line": "stroke:#cf85df",
    "data .head": "fill:#cf85df",
}
SHAPE: Final = {
    "title": f"font-size:{TITLE_SIZE:g}px;font-weight:600",
    "name": "font-weight:600;text-anchor:middle",
    "type": "text-anchor:middle",
    "setting": "text-anchor:middle",
    "box rect": "stroke-width:1.4",
    "convert rect": "stroke-width:1.1;stroke-dasharray:4 3",
    "fence rect": "fill:none;stroke-dasharray:2 3",
    "fence text": f"font-size:{SMALL_SIZE:g}px",
    "line": "fill:none;stroke-width:1.6",
    "audio .line": "stroke-dasharray:6 4",
    "label": f"font-size:{LABEL_SIZE:g}px;text-anchor:middle",
    "port": f"font-size:{SMALL_SIZE:g}px;font-style:italic",
    "label,.byoc-graph .port": "paint-order:stroke;stroke-width:5px;stroke-linejoin:round",
}
MARGIN: Final = 24.0


def css(rules: dict[str, str]) -> str:
    # Every selector starts at our own class: inlined in a page the rules would reach its elements.
    return "".join(f".byoc-graph .{name}{{{rule}}}" for name, rule in rules.items())


def render(page: Page, title: str) -> str:
    heading = fit(title, TITLE_SIZE, WIDEST_TITLE)
    bounds = page.bounds()
    keys = [kind for kind in KEY if any(line.arrow.kind == kind for line in page.lines)]
    keys = keys if len(keys) > 1 else []
    top = MARGIN + (TITLE_SIZE + 14 if heading else 0)
    inner = max(bounds.width, text_width(heading, TITLE_SIZE), KEY_STEP * len(keys))
    width, height = inner + 2 * MARGIN, top + bounds.height + MARGIN + (26 if keys else 0)
    x, y = bounds.x - MARGIN - (inner - bounds.width) / 2, bounds.y - top
    view = " ".join(number(value) for value in (x, y, width, height))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="byoc-graph" role="img" viewBox="{view}" '
        f'width="{number(width)}" height="{number(height)}" font-family="{FONT}">',
        f"<title>{escape(clean(title) or 'graph')}</title>",
        f"<style>{css(SHAPE)}{css(LIGHT)}@media (prefers-color-scheme:dark){{{css(DARK)}}}</style>",
        rect_tag(Rect(x, y, width, height).grown(-0.5, -0.5, -0.5, -0.5), 10, ' class="card"'),
    ]
    if heading:
        parts.append(text_tag("title", heading, x + MARGIN, y + MARGIN + TITLE_SIZE - 2))
    parts += [fence_tags(fence) for fence in page.fences]
    parts += [line_tags(line, page.flow) for line in page.lines]
    parts += [card_tags(drawn, rect) for drawn, rect in page.cards]
    # Words last: their halos cut the lines below them.
    parts += [tag for line in page.lines for tag in word_tags(line, page.flow)]
    parts += [
        key_tags(kind, x + MARGIN + i * KEY_STEP, y + height - 20) for i, kind in enumerate(keys)
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def rect_tag(rect: Rect, radius: float, attributes: str = "") -> str:
    return (
        f'<rect x="{number(rect.x)}" y="{number(rect.y)}" width="{number(rect.width)}" '
        f'height="{number(rect.height)}" rx="{number(radius)}"{attributes}/>'
    )


def text_tag(style: str, text: str, x: float, y: float, attributes: str = "") -> str:
    where = f'x="{number(x)}" y="{number(y)}"'
    return f'<text class="{style}" {where}{attributes}>{escape(text)}</text>'


def fence_tags(fence: Fence) -> str:
    words = fit(fence.group, SMALL_SIZE, fence.rect.width - 16)
    text = text_tag("caption", words, fence.rect.x + 9, fence.rect.y + 14)
    group = quoteattr(clean(fence.group))
    return f'<g class="fence" data-group={group}>{rect_tag(fence.rect, 10)}{text}</g>'


def card_tags(drawn: Card, rect: Rect) -> str:
    """A box. Its tooltip has the words in full."""
    box = drawn.box
    full = "\n".join(clean(text) for text in (box.name, box.title, *box.lines))
    parts = [f'<g class="box {box.kind}" data-name={quoteattr(clean(box.name))}>']
    parts.append(f"<title>{escape(full)}</title>")
    radius = {"convert": 6.0, "node": 8.0}.get(box.kind, 16.0)
    parts.append(rect_tag(rect, min(radius, rect.height / 2)))
    x, y = rect.x + rect.width / 2, rect.y + (rect.height - drawn.height) / 2
    for word in drawn.words:
        size = f' font-size="{number(word.size)}"'
        parts.append(text_tag(word.style, word.text, x, y + word.baseline, size))
    return "".join(parts) + "</g>"


def line_tags(line: Line, flow: Flow) -> str:
    arrow = line.arrow
    along, across = line.curve.knots[-1]
    corners = ((along + HEAD, across), (along, across - HEAD / 2), (along, across + HEAD / 2))
    head = "L".join(xy(flow, *corner) for corner in corners)
    ends = f"data-start={quoteattr(clean(arrow.start))} data-end={quoteattr(clean(arrow.end))}"
    return (
        f'<g class="arrow {arrow.kind}" {ends}><path class="line" d="{line.curve.path(flow)}"/>'
        f'<path class="head" d="M{head}Z"/></g>'
    )


def word_tags(line: Line, flow: Flow) -> Iterator[str]:
    if line.label:
        rect = line.label.rect
        yield text_tag("label", line.label.text, rect.x + rect.width / 2, rect.bottom - 4.5)
    if line.port:
        rect = line.port.rect
        right = flow is Flow.RIGHT
        anchor = ' text-anchor="end"' if right else ""
        yield text_tag(
            "port", line.port.text, rect.right if right else rect.x, rect.bottom - 3, anchor
        )


KEY: Final = ("picture", "audio", "data")
KEY_STEP: Final = 92.0


def key_tags(kind: str, x: float, y: float) -> str:
    """An entry of the key below the picture, shown when there are several kinds of arrows."""
    line = f'<path class="line" d="M{number(x)},{number(y)}h24"/>'
    return f'<g class="key {kind}">{line}{text_tag("key port", kind, x + 31, y + 3.5)}</g>'


# Mermaid.

STYLES: Final = {
    "source": "fill:#e9f7ef,stroke:#36a269,color:#1b2330",
    "node": "fill:#eef3fe,stroke:#5b84d7,color:#1b2330",
    "sink": "fill:#fef1e6,stroke:#dd8638,color:#1b2330",
    "convert": "fill:#f8f9fb,stroke:#98a2b3,color:#475467,stroke-dasharray:4 3",
}
SHAPES: Final = {"source": "([{}])", "node": "({})", "sink": "([{}])", "convert": "[{}]"}


def entities(text: str) -> str:
    """Text inside Mermaid's quotes. Whatever is not plainly a word becomes a character code."""
    return re.sub(r"[^\w \-.,:()/+=…]", lambda match: f"#{ord(match[0])};", fit(text, LABEL_SIZE))


def indent(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def by_group(boxes: Sequence[Box]) -> dict[str, list[Box]]:
    groups: dict[str, list[Box]] = {}
    for box in boxes:
        groups.setdefault(clean(box.group), []).append(box)
    return groups


def mermaid_box(ident: str, box: Box) -> str:
    texts = [f"<b>{entities(box.name)}</b>"]
    texts += [entities(text) for text, style, _ in card_texts(box) if style != "name"]
    return ident + SHAPES[box.kind].format(f'"{"<br/>".join(texts)}"') + f":::{box.kind}"


def mermaid_label(arrow: Arrow, several: set[str]) -> str:
    words = [entities(arrow.label), entities(arrow.port) if arrow.end in several else ""]
    text = "<br/>".join(word for word in words if word)
    return f'|"{text}"|' if text else ""


def mermaid_colours(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[str]:
    used = {box.kind for box in boxes}
    lines = [f"classDef {kind} {style}" for kind, style in STYLES.items() if kind in used]
    for kind in KEY:
        which = ",".join(str(i) for i, arrow in enumerate(arrows) if arrow.kind == kind)
        if which and kind != "picture":
            lines.append(f"linkStyle {which} {LIGHT[f'{kind} .line']}")
    return lines
