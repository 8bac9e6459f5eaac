"""A box with its words set."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from composer.plot.drawing import GraphBox
from composer.plot.lettering import NAME_SIZE, SMALL_SIZE, TYPE_SIZE, clean, fit, text_width

MOST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    style: Literal["name", "type", "setting"]
    size: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Card:
    """A box with its words set."""

    box: GraphBox
    words: tuple[Word, ...]
    width: float
    height: float


def card(box: GraphBox) -> Card:
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


def card_texts(box: GraphBox) -> Iterator[tuple[str, Literal["name", "type", "setting"], float]]:
    yield box.name, "name", NAME_SIZE
    if clean(box.title) != clean(box.name):
        yield box.title, "type", TYPE_SIZE
    for line in box.lines[:MOST_LINES]:
        yield line, "setting", SMALL_SIZE
    if len(box.lines) > MOST_LINES:
        yield f"… {len(box.lines) - MOST_LINES} more", "setting", SMALL_SIZE
