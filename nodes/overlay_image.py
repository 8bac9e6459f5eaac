"""Lay a still picture over the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import PIL.Image
from pydantic import PrivateAttr

from composer import Context, Live, Node, OwnYUVA, PositionX, PositionY, ReadFile, place
from composer.pictures import sprite

if TYPE_CHECKING:
    from PIL.Image import Image

    from composer.pictures.sprite import Box, Shelf

LARGEST: Final = 32_768
"""Pixels a side of the still after scaling; beyond that it cannot be told from one colour."""


def scaled(still: PIL.Image.Image, width: int, height: int, part: Box) -> PIL.Image.Image:
    """A part, in RGBA, of a still in RGBa when that is scaled to width x height.

    Only that part is computed.
    """
    if (width, height) == still.size:
        return still.crop(part).convert("RGBA")
    step_x, step_y = still.width / width, still.height / height
    left, top, right, bottom = part
    # Neither filter overshoots: colour and alpha cut at 255 apart would give bright rims.
    filters = PIL.Image.Resampling
    filter_ = filters.HAMMING if step_x * step_y > 1 else filters.BILINEAR
    laid = still.resize(
        (right - left, bottom - top),
        filter_,
        box=(
            left * step_x,
            top * step_y,
            min(right * step_x, still.width),
            min(bottom * step_y, still.height),
        ),
        reducing_gap=3.0,
    )
    return laid.convert("RGBA")


class OverlayImage(Node):
    """Lay a PNG, JPEG or WebP over the picture, with its own transparency: a logo, a frame.

    Without `width` and `height` it has the size of the file; with one of them the other follows.
    `scale` multiplies what comes of that. What does not fit the picture is cut.

    image: planar YUV of any size, written in place. Gives the same picture.
    """

    path: str = ReadFile(description="PNG, JPEG or WebP file of at most 64 megapixels")
    x: PositionX = Live(24, description="pixels from the left, right-24 or center")
    y: PositionY = Live(24, description="pixels from the top, bottom-24 or center")
    opacity: float = Live(1.0, ge=0, le=1, description="0 is gone, 1 as opaque as the file")
    scale: float = Live(1.0, ge=0.01, le=10, description="times its own size; 0.5 is half")
    width: int | None = Live(None, ge=1, le=16_384, description="pixels; empty follows the file")
    height: int | None = Live(None, ge=1, le=16_384, description="pixels; empty follows the file")

    _still: Image | None = PrivateAttr(default=None)
    _shelf: Shelf = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        # Colour times alpha: what lies under clear pixels must not bleed in when it is scaled.
        self._still = sprite.read(ctx.path(self.path)).convert("RGBa")
        self._shelf = sprite.Shelf()

    def process(self, image: OwnYUVA) -> OwnYUVA:
        still = self._still
        assert still is not None  # setup() read it
        width, height = self._measure(still)
        x, y = place(self.x, width, image.width), place(self.y, height, image.height)
        self._shelf.stamp(
            image,
            (width, height),
            (x, y, x + width, y + height),
            lambda part: np.asarray(scaled(still, width, height, part)),
            opacity=self.opacity,
        )
        return image

    def close(self) -> None:
        self._still = None

    def _measure(self, still: Image) -> tuple[int, int]:
        """Width and height of the still as it is laid on."""
        width, height = float(still.width), float(still.height)
        if self.width is not None:
            width, height = self.width, self.height or height * self.width / width
        elif self.height is not None:
            width, height = width * self.height / height, self.height
        return _side(width * self.scale), _side(height * self.scale)


def _side(length: float) -> int:
    return min(max(round(length), 1), LARGEST)
