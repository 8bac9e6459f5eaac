"""A layered drawing (Sugiyama, Tagawa and Toda 1981), on a page.

Every box gets a layer, arrows that pass a layer get a spot of their own in it, layers are ordered
against crossings, then spots are moved so that arrows become straight. Until the very end a place
is (along, across) the flow; only `Flow` knows whether the flow goes right or down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from composer.plot.cards import Card
from composer.plot.drawing import Arrow, GraphBox, several_inputs
from composer.plot.fences import Fence, caption, fenced
from composer.plot.geometry import CAPTION, FENCE_PAD, Flow, Rect, around
from composer.plot.labels import labelled, with_port
from composer.plot.lettering import label_size
from composer.plot.lines import EdgeLine, curve, label_at, slots
from composer.plot.mesh import mesh
from composer.plot.placement import Component, bands, laid_out


@dataclass(frozen=True, slots=True)
class Page:
    flow: Flow
    cards: tuple[tuple[Card, Rect], ...]
    lines: tuple[EdgeLine, ...]
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


def page_of(boxes: Sequence[GraphBox], arrows: Sequence[Arrow]) -> Page:
    """The graph laid out to the right; or down, where it can be read better so."""
    right = compose(boxes, arrows, Flow.RIGHT)
    if scale_on_page(right) >= READABLE:
        return right
    return max(right, compose(boxes, arrows, Flow.DOWN), key=scale_on_page)


def scale_on_page(page: Page) -> float:
    bounds = page.bounds()
    return min(1.0, PAGE[0] / max(bounds.width, 1.0), PAGE[1] / max(bounds.height, 1.0))


def compose(boxes: Sequence[GraphBox], arrows: Sequence[Arrow], flow: Flow) -> Page:
    """The page with the least room between layers where no label has to lie on something."""
    parts = [laid_out(mesh(*part, flow)) for part in components(boxes, arrows)]
    pages: list[Page] = []
    for spread in (1.0, 1.3, 1.7, 2.3):
        pages.append(arrange(parts, flow, spread))
        if not pages[-1].clashes:
            break
    return min(pages, key=lambda page: page.clashes)


def components(
    boxes: Sequence[GraphBox], arrows: Sequence[Arrow]
) -> list[tuple[list[GraphBox], list[Arrow]]]:
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


def arrange(parts: Sequence[Component], flow: Flow, spread: float) -> Page:
    """Stack the parts, then put what must not lie on anything else: fences, ports, labels."""
    cards: list[tuple[Card, Rect]] = []
    lines: list[EdgeLine] = []
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


def drawing(part: Component, spread: float) -> tuple[list[tuple[Card, Rect]], list[EdgeLine]]:
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
        lines.append(EdgeLine(route.arrow, line, label_at(mesh, band, route, line)))
    return cards, lines
