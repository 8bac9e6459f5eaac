"""Turn parts of the picture into coarse blocks."""

from __future__ import annotations

from typing import Literal

from composer import Detections, Live, Node, OwnYUVA
from composer.pictures import boxes, mosaic


class PixelateRegions(Node):
    """Turn parts of the picture into coarse blocks of one colour each.

    A block is the mean of the pixels it covers. Only pixels of the region itself go into it, and
    nothing outside is touched.

    image: planar YUV of any size, written in place. regions: boxes in parts of the picture; they
    are rounded outwards to whole chroma samples. Gives the same picture.
    """

    stateless = True

    block: float = Live(
        0.125,
        gt=0,
        le=1000,
        description="side of a block: below 1 in parts of the region's shorter side, else in pixels"
        " (1 changes nothing)",
    )
    margin: float = Live(
        0.1, ge=0, le=10, description="added on each side of a region, in parts of its size"
    )
    min_score: float = Live(0, ge=0, le=1, description="regions that score less are left alone")
    shape: Literal["box", "ellipse"] = Live(
        "box", description="what is changed: the box, or the ellipse that fills it"
    )
    invert: bool = Live(
        default=False,
        description="change everything but the regions; a part is then one of the picture",
    )

    def process(self, image: OwnYUVA, regions: Detections) -> OwnYUVA:
        found = boxes.found(image, regions, margin=self.margin, min_score=self.min_score)
        kept = [(box, boxes.cut(image, box)) for box in found]
        if self.invert:
            mosaic.pixelate(image, self._side(image.width, image.height))
            for box, part in kept:
                boxes.paste(image, box, part, self.shape)
            return image
        for box, part in kept:
            mosaic.pixelate(part, self._side(box.width, box.height))
            boxes.paste(image, box, part, self.shape)
        return image

    def _side(self, width: int, height: int) -> int:
        return round(self.block if self.block >= 1 else self.block * min(width, height))
