"""Frames around the boxes of a group."""

from collections.abc import Sequence
from dataclasses import dataclass

from composer.plot.cards import Card
from composer.plot.geometry import CAPTION, FENCE_PAD, Flow, Rect, around
from composer.plot.labels import trail_of
from composer.plot.lettering import SMALL_SIZE, fit, label_size, text_width
from composer.plot.lines import EdgeLine


@dataclass(frozen=True, slots=True)
class Fence:
    group: str
    rect: Rect


def fenced(
    cards: Sequence[tuple[Card, Rect]], lines: Sequence[EdgeLine], flow: Flow
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


def reach(line: EdgeLine, flow: Flow) -> Rect:
    """What a line will need with its label where that is wished."""
    at = min(line.curve.points(24), key=lambda point: abs(point[0] - line.label_at))
    label = flow.centred(*at, *label_size(line.arrow.label))
    return around([trail_of(line, flow).bounds, label])


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
