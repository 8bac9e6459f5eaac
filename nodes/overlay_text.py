"""Lay text over the picture."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from pydantic import PrivateAttr

from composer import (
    Context,
    Live,
    Moment,
    Node,
    OwnYUVA,
    Paint,
    PositionX,
    PositionY,
    ReadFile,
    place,
    rgba,
)
from composer.pictures import sprite
from composer.pictures import text as letters

if TYPE_CHECKING:
    from composer.pictures.sprite import Shelf
    from composer.pictures.text import Block, Face, Look

PLACEHOLDER: Final = re.compile(r"\{(?:\{|(fps|pts|time|frame)\})")


def clock(seconds: float) -> str:
    """H:MM:SS.mmm of a time."""
    millis = round(abs(seconds) * 1000)
    minutes, millis = divmod(millis, 60_000)
    sign = "-" if seconds < 0 and (minutes or millis) else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{millis // 1000:02}.{millis % 1000:03}"


class OverlayText(Node):
    """Lay text over the picture: a caption, a clock, a frame counter.

    Placeholders in the text are filled in for each frame: `{time}` is H:MM:SS.mmm of its pts,
    `{pts}` the pts itself, `{frame}` counts the frames from 0, `{fps}` is their rate over the last
    second of pts. `{{` stands for `{`; every other brace stays as it is.

    Positions mean the text itself: at `x: right-24` its last letter ends 24 pixels before the
    picture does, with or without a box. A running clock does not move: digits are measured as 0.

    image: planar YUV of any size, written in place. Gives the same picture.
    """

    text: str = Live("", max_length=1000, description="what is shown; may have several lines")
    font: str = ReadFile("", description="TTF or OTF file; empty is a plain sans serif (Latin)")
    size: int = Live(36, ge=1, le=1000, description="height of the letters' em square, in pixels")
    color: Paint = Live("white", description="#rrggbb, #rrggbbaa or a CSS name")
    x: PositionX = Live(24, description="pixels from the left, right-24 or center")
    y: PositionY = Live(24, description="pixels from the top, bottom-24 or center")
    opacity: float = Live(1.0, ge=0, le=1, description="of all of it: 0 is gone, 1 as its colours")
    outline: int = Live(0, ge=0, le=100, description="pixels around each letter")
    outline_color: Paint = Live("black", description="#rrggbb, #rrggbbaa or a CSS name")
    box: bool = Live(default=False, description="a rectangle behind the text")
    box_color: Paint = Live("#000000a0", description="#rrggbb, #rrggbbaa or a CSS name")
    padding: int = Live(8, ge=0, le=1000, description="pixels of the box around the text")
    align: Literal["left", "center", "right"] = Live(
        "left", description="how several lines stand below each other"
    )
    spacing: int = Live(0, ge=-1000, le=1000, description="pixels added between two lines")
    edges: Literal["ink", "font"] = Live(
        "ink",
        description="what x and y place: ink is the letters themselves; font is the full height of"
        " the lines, so that the baseline stays where it is when the letters change",
    )

    _face: Face = PrivateAttr()
    _lay: Callable[..., Block] = PrivateAttr()
    _shelf: Shelf = PrivateAttr()
    _times: deque[float] = PrivateAttr(default_factory=lambda: deque(maxlen=1000))
    _count: int = PrivateAttr(default=-1)

    def setup(self, ctx: Context) -> None:
        self._face = letters.open_face(ctx.path(self.font) if self.font else None)
        self._lay = lru_cache(maxsize=32)(letters.lay)
        self._shelf = sprite.Shelf()

    def process(self, image: OwnYUVA, at: Moment) -> OwnYUVA:
        words = self._filled(at)
        self._face = face = self._face.sized(self.size)
        block, look = self._lay(words, face, self.align, self.spacing, self.edges), self._look()
        x = place(self.x, block.width, image.width)
        y = place(self.y, block.height, image.height)
        left, top, right, bottom = letters.bounds(block, look)
        self._shelf.stamp(
            image,
            (block, self.size, look),
            (x + left, y + top, x + right, y + bottom),
            lambda part: letters.draw(block, face, look, part),
            opacity=self.opacity,
        )
        return image

    def _look(self) -> Look:
        return letters.Look(
            color=rgba(self.color),
            outline=self.outline,
            outline_color=rgba(self.outline_color),
            padding=self.padding if self.box else -1,
            box_color=rgba(self.box_color),
        )

    def _filled(self, at: Moment) -> str:
        """The text with its placeholders filled in."""
        self._count += 1
        if self._times and at.seconds < self._times[-1]:
            self._times.clear()
        self._times.append(at.seconds)
        while at.seconds - self._times[0] > 1:
            self._times.popleft()
        if "{" not in self.text:
            return self.text
        values = {
            "fps": f"{self._rate():.1f}",
            "pts": str(at.pts),
            "time": clock(at.seconds),
            "frame": str(self._count),
        }
        return PLACEHOLDER.sub(lambda match: values.get(match[1], "{"), self.text)

    def _rate(self) -> float:
        """Frames a second, over the last second."""
        passed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / passed if passed else 0.0
