"""Draw what was found as boxes with labels."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, PrivateAttr

from composer import Context, Detection, Detections, Live, Node, OwnYUVA, ReadFile, rgba
from composer.pictures import pixels, sprite
from composer.pictures import text as letters

if TYPE_CHECKING:
    import av

    from composer.node.colors import RGBA
    from composer.pictures.sprite import Box, Shelf
    from composer.pictures.text import Block, Face

PALETTE: Final = (
    "#ff3b30",
    "#34c759",
    "#0a84ff",
    "#ffcc00",
    "#bf5af2",
    "#ff9500",
    "#00c7be",
    "#ff2d92",
    "#a2d729",
    "#5e5ce6",
    "#c69c6d",
    "#64d2ff",
)
"""What `auto` chooses from; easy to tell from each other and from most pictures."""

MOST: Final = 1000
"""Most boxes drawn on one frame, in the order they come."""

_MARGIN: Final = 0.25
"""Empty room around a label, in parts of the text size."""


def auto_or_paint(value: Any) -> Any:
    """The value when it is `auto` or a colour. Raises ValueError otherwise."""
    if value == "auto":
        return value
    if not isinstance(value, str):
        raise ValueError("is not 'auto' or a colour; put '#rrggbb' in quotes")
    rgba(value)
    return value


def color_of(label: str, color: str) -> RGBA:
    """The colour as it was set, or always the same one for a label."""
    if color != "auto":
        return rgba(color)
    return rgba(PALETTE[zlib.crc32(label.encode()) % len(PALETTE)])


def readable_on(color: RGBA) -> RGBA:
    """Black or white, whichever is easier to read on a colour."""
    red, green, blue, _ = color
    bright = 299 * red + 587 * green + 114 * blue > 130_000
    return (0, 0, 0, 255) if bright else (255, 255, 255, 255)


def outline(
    image: av.VideoFrame, box: Box, thickness: int, color: RGBA, opacity: float = 1.0
) -> None:
    """Draw the four sides of a box inside of it, in place."""
    left, top, right, bottom = box
    across, down = min(thickness, right - left), min(thickness, bottom - top)
    yuv, alpha = pixels.yuv_of(color, image.colorspace), opacity * color[3] / 255
    sides = (
        (left, top, right, top + down),
        (left, max(bottom - down, top + down), right, bottom),
        (left, top + down, left + across, bottom - down),
        (max(right - across, left + across), top + down, right, bottom - down),
    )
    sprite.fill(image, sides, yuv, alpha)


class OverlayBoxes(Node):
    """Draw what was found as boxes, each with its label and score.

    image: planar YUV of any size, written in place. boxes: Detections, in parts of the picture, so
    they may come from a smaller copy of it. Gives the same picture.
    """

    thickness: int = Live(3, ge=1, le=100, description="pixels of the lines, inside of the box")
    color: Annotated[str, BeforeValidator(auto_or_paint)] = Live(
        "auto", description="auto: one for each label; else #rrggbb, #rrggbbaa or a CSS name"
    )
    labels: bool = Live(default=True, description="write what was found")
    scores: bool = Live(default=True, description="write how sure the detector is, 0.00 to 1.00")
    text_size: int = Live(18, ge=1, le=200, description="size of label and score, in pixels")
    font: str = ReadFile("", description="TTF or OTF file; empty is a plain sans serif (Latin)")
    min_score: float = Live(0.0, ge=0, le=1, description="boxes that score less are left out")
    opacity: float = Live(1.0, ge=0, le=1, description="0 is gone, 1 as opaque as the colour")

    _face: Face = PrivateAttr()
    _lay: Callable[..., Block] = PrivateAttr()
    _shelf: Shelf = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        self._face = letters.open_face(ctx.path(self.font) if self.font else None)
        self._lay = lru_cache(maxsize=512)(letters.lay)
        self._shelf = sprite.Shelf(most=256)

    def process(self, image: OwnYUVA, boxes: Detections) -> OwnYUVA:
        if not self.opacity:
            return image
        self._face = self._face.sized(self.text_size)
        shown = [each for each in boxes if each.score >= self.min_score][:MOST]
        for found in shown:
            self._draw(image, found)
        return image

    def _draw(self, image: av.VideoFrame, found: Detection) -> None:
        box = found.pixels(image.width, image.height)
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        color = color_of(found.label, self.color)
        outline(image, box, self.thickness, color, self.opacity)
        words = [found.label] if self.labels and found.label else []
        words += [f"{found.score:.2f}"] if self.scores else []
        if words:
            self._name(image, box, " ".join(words)[:100], color)

    def _name(self, image: av.VideoFrame, box: Box, words: str, color: RGBA) -> None:
        """Write words in a field above the box, or inside of it where there is no room above."""
        face, margin = self._face, round(self.text_size * _MARGIN)
        block = self._lay(words.replace("\n", " "), face, edges="font")
        look = letters.Look(readable_on(color), padding=margin, box_color=color)
        around = letters.bounds(block, look)
        width, height = around[2] - around[0], around[3] - around[1]
        left = max(min(box[0], image.width - width), 0)
        top = box[1] - height if box[1] >= height else box[1]
        self._shelf.stamp(
            image,
            (block, self.text_size, look),
            (left, top, left + width, top + height),
            lambda part: letters.draw(block, face, look, part),
            opacity=self.opacity,
        )
