"""Parts of a planar YUV picture: where they are, taking them out, putting them back."""

from typing import Literal, NamedTuple, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from composer.node.values import Detection, Detections
from composer.pictures import pixels
from composer.pictures.pixels import Plane

Shape: TypeAlias = Literal["box", "ellipse"]


class PixelBox(NamedTuple):
    """Pixels of a picture, left and top included, right and bottom not."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def found(
    image: av.VideoFrame, regions: Detections, *, margin: float = 0, min_score: float = 0
) -> list[PixelBox]:
    """Where the regions are in a picture, grown by `margin` of their size on each side.

    They are rounded outwards to the picture's chroma grid and cut at its borders; regions that
    lie outside, and those that score less than `min_score`, are left out.
    """
    grown = (
        _box(image, region, margin)
        for region in regions
        if not region.score < min_score  # a score that is not a number hides rather than shows
    )
    return [_on_grid(image, box) for box in grown if box.width > 0 and box.height > 0]


def _box(image: av.VideoFrame, region: Detection, margin: float) -> PixelBox:
    left, right = _span(region.x, region.width, margin, image.width)
    top, bottom = _span(region.y, region.height, margin, image.height)
    return PixelBox(left, top, right, bottom)


def _on_grid(image: av.VideoFrame, box: PixelBox) -> PixelBox:
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    return PixelBox(
        box.left >> shift_x << shift_x,
        box.top >> shift_y << shift_y,
        min(-(-box.right >> shift_x) << shift_x, image.width),
        min(-(-box.bottom >> shift_y) << shift_y, image.height),
    )


def _span(start: float, extent: float, margin: float, room: int) -> tuple[int, int]:
    first, last = (start - margin * extent) * room, (start + (1 + margin) * extent) * room
    return min(max(round(first), 0), room), min(max(round(last), 0), room)


def parts(image: av.VideoFrame, box: PixelBox) -> list[Plane]:
    """Views of the planes inside a box; writing to them changes the picture."""
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    luma, *chroma = pixels.planes(image)
    rows = slice(box.top >> shift_y, -(-box.bottom >> shift_y))
    columns = slice(box.left >> shift_x, -(-box.right >> shift_x))
    return [
        luma[box.top : box.bottom, box.left : box.right],
        *(plane[rows, columns] for plane in chroma),
    ]


def cut(image: av.VideoFrame, box: PixelBox) -> av.VideoFrame:
    """What is inside a box, as a new picture. left and top must be on the chroma grid."""
    return pixels.cut(image, box.left, box.top, box.width, box.height)


def padded(image: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A larger new picture with `image` at the upper left, whose last column and row go on."""
    new = pixels.blank(image, width, height)
    for target, source in zip(pixels.planes(new), pixels.planes(image), strict=True):
        rows, columns = source.shape
        np.copyto(target[:rows, :columns], source)
        np.copyto(target[:rows, columns:], source[:, -1:])
        np.copyto(target[rows:], target[rows - 1])
    return new


def paste(image: av.VideoFrame, box: PixelBox, part: av.VideoFrame, shape: Shape = "box") -> None:
    """Write a picture of the box's size into `image`: all of it, or the ellipse inside the box."""
    for target, source in zip(parts(image, box), pixels.planes(part), strict=True):
        if shape == "box":
            np.copyto(target, source)
        else:
            np.copyto(target, source, where=ellipse(target.shape[1], target.shape[0]))


def ellipse(width: int, height: int) -> NDArray[np.bool_]:
    """(height, width): whether the middle of a pixel is inside the ellipse that fills the box."""
    across, down = (((np.arange(size) + 0.5) * 2 / size - 1) ** 2 for size in (width, height))
    inside: NDArray[np.bool_] = across[None, :] + down[:, None] <= 1
    return inside
