"""Cut out a part of the picture."""

from __future__ import annotations

from pydantic import Field, PrivateAttr

from composer import YUVA, Context, Live, Node, OwnYUVA, PositionX, PositionY, place
from composer.pictures import boxes, pixels


class Crop(Node):
    """Cut out a part of the picture.

    image: planar YUV of any size. Gives a new picture of the same layout, alpha included. x and y
    are rounded down to whole chroma samples (even pixels in yuv420p; x alone in yuv422p).

    The size is settled when the run begins: what of width x height at x, y is inside the picture,
    at least 1 pixel. When x or y change later the window moves and keeps its size; it stops at the
    picture's border. A width of 0 means the rest: from x to the right edge, or for a text such as
    `right-24` the whole width but what the text leaves out.
    """

    stateless = True

    x: PositionX = Live(0, description="left edge: pixels from the left, right-24 or center")
    y: PositionY = Live(0, description="upper edge: pixels from the top, bottom-24 or center")
    width: int = Field(0, ge=0, le=16384, description="pixels; 0 is the rest")
    height: int = Field(0, ge=0, le=16384, description="pixels; 0 is the rest")

    _planned: dict[tuple[int, int], tuple[int, int]] = PrivateAttr(default_factory=dict)

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return _extent(self.x, self.width, width), _extent(self.y, self.height, height)

    def setup(self, ctx: Context) -> None:
        taken, given = ctx.inputs["image"], ctx.outputs["image"]
        if taken.width and taken.height:
            self._planned = {(taken.width, taken.height): (given.width, given.height)}

    def process(self, image: YUVA) -> OwnYUVA:
        room = image.width, image.height
        width, height = self._planned.get(room) or self.picture_size(*room)
        self._planned = {room: (width, height)}
        left = _start(self.x, width, image.width)
        top = _start(self.y, height, image.height)
        shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
        left, top = left >> shift_x << shift_x, top >> shift_y << shift_y
        return boxes.cut(image, boxes.PixelBox(left, top, left + width, top + height))


def _extent(position: int | str, wanted: int, room: int) -> int:
    """Pixels of the window that are inside the picture along one side; 0 while that is unknown."""
    if not room:
        return 0
    extent = wanted or (room if isinstance(position, str) else room - position)
    start = place(position, extent, room)
    return max(min(start + extent, room) - max(start, 0), 1)


def _start(position: int | str, extent: int, room: int) -> int:
    return min(max(place(position, extent, room), 0), room - extent)
