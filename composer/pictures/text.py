"""Lines of text: laid out once, then drawn as pictures with alpha."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from composer.node.colors import RGBA
from composer.pictures.pixels import Plane
from composer.pictures.sprite import Box

Font: TypeAlias = PIL.ImageFont.FreeTypeFont
Align: TypeAlias = Literal["left", "center", "right"]
Edges: TypeAlias = Literal["ink", "font"]

LONGEST: Final = 16_384
"""Pixels after which a line is cut. A line of 1000 letters of 1000 pixels would take 600 MB."""

WIDEST: Final = 16
"""No letter is so many times as wide as its font is high; the widest of Unicode are near 10."""

KEPT: Final = 1 << 16
"""Largest mask in bytes that a Face keeps: a digit of about 300 pixels, or a word of 60."""

_SHARE: Final = {"left": 0.0, "center": 0.5, "right": 1.0}
_DIGITS: Final = str.maketrans("123456789", "000000000")
_PIECE: Final = re.compile(r"[0-9]|[^0-9]+")
_CLEAN: Final = {code: None for code in (*range(10), *range(11, 32), 127)} | {9: "    "}


@dataclass(frozen=True, slots=True)
class GlyphRun:
    """A part of a line that is drawn at once, its pen at (x, y); `ink` is the box it covers."""

    text: str
    x: int
    y: int
    ink: Box


@dataclass(frozen=True, slots=True)
class Block:
    """Lines laid out. Everything is counted from the corner of the box `width` x `height`."""

    pieces: tuple[GlyphRun, ...] = ()
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What text looks like. outline, padding: pixels; without a box padding is -1."""

    color: RGBA = (255, 255, 255, 255)
    outline: int = 0
    outline_color: RGBA = (0, 0, 0, 255)
    padding: int = -1
    box_color: RGBA = (0, 0, 0, 160)


class Face:
    """A font at one size, with what was measured and drawn of it last."""

    def __init__(self, font: Font) -> None:
        self.font = font
        self.measure = lru_cache(maxsize=512)(self._measure)
        self._mask = lru_cache(maxsize=256)(self._draw)

    def sized(self, size: int) -> Face:
        """The same font, `size` pixels high; the same object when it is."""
        return self if self.font.size == size else Face(self.font.font_variant(size=size))

    @property
    def kept(self) -> int:
        """How many masks it keeps."""
        return self._mask.cache_info().currsize

    def mask(self, text: str, stroke: int) -> PIL.Image.Image:
        """How much of each pixel the letters cover, grown by `stroke` pixels: ink and stroke."""
        left, top, right, bottom = grown(self.measure(text)[1], stroke)
        small = (right - left) * (bottom - top) <= KEPT
        return self._mask(text, stroke) if small else self._draw(text, stroke)

    def _measure(self, text: str) -> tuple[float, Box]:
        """How far the pen goes, and the box around the ink counted from where it started."""
        # Pillow's own box reaches from the start of the pen to its end, ink or not.
        left, top, right, bottom = (int(edge) for edge in self.font.getbbox(text, anchor="ls"))
        ink = self._drawn(text, 0, (left, top, right, bottom)).getbbox() or (0, 0, 0, 0)
        return self.font.getlength(text), _moved(ink, left, top)

    def _draw(self, text: str, stroke: int) -> PIL.Image.Image:
        return self._drawn(text, stroke, grown(self.measure(text)[1], stroke))

    def _drawn(self, text: str, stroke: int, box: Box) -> PIL.Image.Image:
        """The mask of a box that is counted from where the pen starts."""
        left, top, right, bottom = box
        mask = PIL.Image.new("L", (right - left, bottom - top), 0)
        pen = PIL.ImageDraw.Draw(mask)
        pen.text((-left, -top), text, fill=255, font=self.font, anchor="ls", stroke_width=stroke)
        return mask


def open_face(path: Path | None) -> Face:
    """A TTF or OTF font, or the one that comes with Pillow. Raises ValueError for another file.

    The file is read once: all sizes of the font come from the same bytes.
    """
    face = Face(_default() if path is None else _from_file(path))
    face.measure("0")  # what drawing needs is loaded here, not on the frame path
    return face


def _default() -> Font:
    font = PIL.ImageFont.load_default(16)
    if not isinstance(font, PIL.ImageFont.FreeTypeFont):
        raise ValueError("this Pillow was built without FreeType, so it can draw no text")
    return font


def _from_file(path: Path) -> Font:
    try:
        return PIL.ImageFont.truetype(io.BytesIO(path.read_bytes()), 16)
    except OSError as exc:
        raise ValueError(f"{path.name} is not a TTF or OTF font: {exc}") from exc


def lay(
    text: str, face: Face, align: Align = "left", spacing: int = 0, edges: Edges = "ink"
) -> Block:
    """Where each line goes. Empty when there is nothing to see.

    edges: "ink" - the box fits the letters; "font" - it has the full height of each line and the
    full advance, so that it does not depend on the letters. Digits are measured as 0: a running
    clock stands still.
    """
    ascent, descent = face.font.getmetrics()
    pitch = ascent + descent + spacing
    lines = [_cut(line, face) for line in text.translate(_CLEAN).split("\n")]
    widths = [_advance(line.translate(_DIGITS), face) for line in lines]
    pens = [round((max(widths) - width) * _SHARE[align]) for width in widths]
    rows = [row for row, line in enumerate(lines) if line.strip()]
    if not rows:
        return Block()
    box = (0, -ascent, round(max(widths)), (len(lines) - 1) * pitch + descent)
    if edges == "ink":
        box = _around(
            piece.ink
            for row in rows
            for piece in _pieces(lines[row].translate(_DIGITS), face, pens[row], row * pitch)
        )
    left, top, right, bottom = box
    drawn = (_pieces(lines[row], face, pens[row] - left, row * pitch - top) for row in rows)
    return Block(tuple(piece for row in drawn for piece in row), right - left, bottom - top)


def _cut(line: str, face: Face) -> str:
    if len(line) * face.font.size * WIDEST <= LONGEST:
        return line
    while (length := face.font.getlength(line)) > LONGEST:
        line = line[: int(len(line) * LONGEST / length)]
    return line


def _split(line: str) -> list[str]:
    """The parts of a line that are drawn one by one.

    A digit alone: so numbers that run are put together from masks that are there already, which
    costs a fifth. Beyond ASCII a line stays whole, for its script may need it.
    """
    return _PIECE.findall(line) if line.isascii() else [line]


def _advance(line: str, face: Face) -> float:
    return sum(face.measure(part)[0] for part in _split(line))


def _pieces(line: str, face: Face, x: int, y: int) -> list[GlyphRun]:
    runs, pen = [], float(x)
    for part in _split(line):
        advance, ink = face.measure(part)
        if ink[0] < ink[2] and ink[1] < ink[3]:
            runs.append(GlyphRun(part, round(pen), y, _moved(ink, round(pen), y)))
        pen += advance
    return runs


def _around(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _moved(box: Box, x: int, y: int) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def grown(box: Box, by: int) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def bounds(block: Block, look: Look) -> Box:
    """Everything that is drawn, outline and box included, counted from the block's corner."""
    if not block.pieces:
        return (0, 0, 0, 0)
    boxes = [grown(_around(piece.ink for piece in block.pieces), look.outline)]
    if look.padding >= 0:
        boxes.append(_backdrop(block, look))
    return _around(boxes)


def _backdrop(block: Block, look: Look) -> Box:
    return grown((0, 0, block.width, block.height), look.padding + look.outline)


def draw(block: Block, face: Face, look: Look, part: Box) -> Plane:
    """(height, width, 4) uint8 RGBA of a part of bounds(), counted from the corner of bounds()."""
    corner = bounds(block, look)
    x, y = -corner[0] - part[0], -corner[1] - part[1]
    canvas = PIL.Image.new("RGBA", (part[2] - part[0], part[3] - part[1]), (0, 0, 0, 0))
    if look.padding >= 0:
        left, top, right, bottom = _moved(_backdrop(block, look), x, y)
        PIL.ImageDraw.Draw(canvas).rectangle((left, top, right - 1, bottom - 1), look.box_color)
    if look.outline:
        mask = _mask(block, face, (x, y), canvas.size, look.outline)
        _over(canvas, look.outline_color, mask)
    _over(canvas, look.color, _mask(block, face, (x, y), canvas.size))
    return np.asarray(canvas)


def _mask(
    block: Block, face: Face, corner: tuple[int, int], size: tuple[int, int], stroke: int = 0
) -> PIL.Image.Image:
    """How much of each pixel the letters cover, grown by `stroke` pixels."""
    mask = PIL.Image.new("L", size, 0)
    for piece in block.pieces:
        left, top, right, bottom = _moved(grown(piece.ink, stroke), *corner)
        if right > 0 and bottom > 0 and left < size[0] and top < size[1]:
            drawn = face.mask(piece.text, stroke)
            mask.paste(255, (left, top), drawn)
    return mask


def _over(canvas: PIL.Image.Image, color: RGBA, mask: PIL.Image.Image) -> None:
    """Lay a colour over the canvas where the mask is."""
    if color[3] < 255:
        mask = mask.point([round(level * color[3] / 255) for level in range(256)])
    layer = PIL.Image.new("RGBA", canvas.size, color)
    layer.putalpha(mask)
    canvas.alpha_composite(layer)
