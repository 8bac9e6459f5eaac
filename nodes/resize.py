"""Scale the picture."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import av
from pydantic import Field

from composer import Context, Layouts, Live, Moment, Node, Paint, Picture, rgba
from composer.node.formats import EVERY_LAYOUT
from composer.pictures import areas, chain, pixels

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.pictures.chain import Chain

Scaled: TypeAlias = Annotated[Picture, Layouts(*EVERY_LAYOUT)]

LARGEST: Final = 8192

INTERPOLATION: Final = {
    "fast": "FAST_BILINEAR",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
    "area": "AREA",
}
"""quality -> the flag of swscale (libswscale/swscale.h)."""


class Resize(Node):
    """Scale the picture to a size, and change its layout on the way.

    image: any layout and size. Gives a picture of `width` x `height` in the layout that the next
    node takes, with the tags and the time of the input; the input itself where there is nothing to
    do. Scaling and layout are one swscale call.

    `width` or `height` 0: as the other one and the shape of the picture say, in even numbers. Both
    0: the size stays. `fit` says what happens when the shape differs: `pad` shows the whole
    picture between bars of `color`, `crop` fills the size and cuts off what hangs over on both
    sides, `stretch` distorts. `pad` is the default because it loses nothing.

    Shapes are counted in pixels, whatever shape a pixel has, and the pixels keep theirs. Where they
    are not square `stretch` gives them the shape that shows the picture as before, as FFmpeg's
    scale does: 720x576 at 64:45 becomes 1280x720 at 1:1.
    """

    stateless = True

    width: int = Field(0, ge=0, le=LARGEST, description="pixels; 0 keeps the shape of the picture")
    height: int = Field(0, ge=0, le=LARGEST, description="pixels; 0 keeps the shape of the picture")
    fit: Literal["pad", "crop", "stretch"] = Field(
        "pad", description="when the shape differs: bars, cut off the overhang, or distort"
    )
    quality: Literal["fast", "bilinear", "bicubic", "lanczos", "area"] = Field(
        "bicubic",
        description="how samples are mixed; bicubic as in FFmpeg, bilinear is a quarter faster,"
        " lanczos the sharpest, area the calmest when it gets smaller",
    )
    color: Paint = Live(
        "black", description="colour of the bars; #00000000 is clear where there is alpha"
    )

    _layout: str
    _chain: Chain

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        if self.width and self.height:
            return self.width, self.height
        return _goal(self, width, height) if width and height else (0, 0)

    def setup(self, ctx: Context) -> None:
        self._layout = ctx.outputs["image"].layout
        self._chain = chain.Chain()

    def process(self, image: Scaled, at: Moment) -> Scaled:
        width, height = _goal(self, image.width, image.height)
        if self.fit == "crop":
            image = self._without_overhang(image, width, height)
        inner = (width, height)
        if self.fit == "pad":
            inner = fitted(image.width, image.height, width, height)
        scaled = pixels.convert(
            image, self._layout, *inner, color=at.color, interpolation=INTERPOLATION[self.quality]
        )
        if self.fit == "stretch":
            return _shown_as(image, scaled)
        return scaled if inner == (width, height) else self._with_bars(scaled, width, height)

    def _without_overhang(self, image: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """A view of the middle of the picture, in the shape of the goal; no pixel is copied."""
        kept = fitted(width, height, image.width, image.height, grid=1)
        if kept == (image.width, image.height):
            return image
        left, top = centred(kept, image.width, image.height)
        part = {"w": kept[0], "h": kept[1], "x": left, "y": top, "exact": 1}
        return self._chain.run(image, ("crop", {name: str(part[name]) for name in part}))

    def _with_bars(self, scaled: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        new = pixels.blank(scaled, width, height)
        left, top = centred((scaled.width, scaled.height), width, height)
        right, bottom = left + scaled.width, top + scaled.height
        color = rgba(self.color)
        areas.fill(new, color, (0, 0, width, top))
        areas.fill(new, color, (0, bottom, width, height))
        areas.fill(new, color, (0, top, left, bottom))
        areas.fill(new, color, (right, top, width, bottom))
        across, down = pixels.CHROMA_SHIFT.get(scaled.format.name, (0, 0))
        shifts = ((0, 0), (across, down), (across, down), (0, 0))
        for target, source, (x, y) in zip(
            pixels.planes(new), pixels.planes(scaled), shifts, strict=False
        ):
            rows, columns = source.shape[:2]
            target[top >> y : (top >> y) + rows, left >> x : (left >> x) + columns] = source
        return new


def _goal(node: Resize, width: int, height: int) -> tuple[int, int]:
    """The size that comes out for a picture of width x height."""
    if node.width and node.height:
        return node.width, node.height
    if node.width:
        return node.width, _near(height * node.width / width, 2, LARGEST)
    if node.height:
        return _near(width * node.height / height, 2, LARGEST), node.height
    return width, height


def _shown_as(image: av.VideoFrame, scaled: av.VideoFrame) -> av.VideoFrame:
    """The scaled picture; its pixels get another shape where those of `image` were not square."""
    wider = Fraction(image.width * scaled.height, image.height * scaled.width)
    aspect = Fraction(1) if wider == 1 else pixels.aspect(image)
    return scaled if aspect == 1 else pixels.shaped(scaled, aspect * wider)


def fitted(width: int, height: int, room_x: int, room_y: int, grid: int = 2) -> tuple[int, int]:
    """The largest size of the shape width:height inside a room; where it does not fill the room, a
    multiple of `grid`."""
    if width * room_y >= height * room_x:
        return room_x, _near(height * room_x / width, grid, room_y)
    return _near(width * room_y / height, grid, room_x), room_y


def centred(inner: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The left and top edge of a part in the middle, on the chroma grid."""
    return (width - inner[0]) // 4 * 2, (height - inner[1]) // 4 * 2


def _near(number: float, grid: int, most: int) -> int:
    return min(max(round(number / grid) * grid, grid), most)
