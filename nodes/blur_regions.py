"""Blur parts of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import PrivateAttr

from composer import Context, Detections, Live, Node, OwnYUVA
from composer.pictures import boxes, chain, gaussian

if TYPE_CHECKING:
    from composer.pictures.chain import Chain

SIGMA: Final = 0.2
"""Standard deviation at strength 1, in parts of the shorter side of what is blurred."""


class BlurRegions(Node):
    """Blur parts of the picture, so that faces or number plates cannot be recognised.

    The blur grows with the region: at strength 1 its standard deviation is a fifth of the shorter
    side. From 0.8 on nothing finer than a third of the region is left of it. Only pixels of the
    region itself go into it, and nothing outside is touched.

    image: planar YUV of any size, written in place. regions: boxes in parts of the picture; they
    are rounded outwards to whole chroma samples. Gives the same picture.
    """

    stateless = True

    strength: float = Live(
        0.8, ge=0, le=1, description="relative to the size of the region; 0 leaves it alone"
    )
    margin: float = Live(
        0.1, ge=0, le=10, description="added on each side of a region, in parts of its size"
    )
    min_score: float = Live(0, ge=0, le=1, description="regions that score less are left alone")
    shape: Literal["box", "ellipse"] = Live(
        "box", description="what is blurred: the box, or the ellipse that fills it"
    )
    invert: bool = Live(
        default=False,
        description="blur everything but the regions; strength then means the picture's size",
    )

    _chain: Chain = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: OwnYUVA, regions: Detections) -> OwnYUVA:
        if self.strength == 0:
            return image
        found = boxes.found(image, regions, margin=self.margin, min_score=self.min_score)
        kept = [(box, boxes.cut(image, box)) for box in found]
        if self.invert:
            image = gaussian.blur(self._chain, image, self._sigma(image.width, image.height))
            for box, part in kept:
                boxes.paste(image, box, part, self.shape)
            return image
        for box, part in kept:
            soft = gaussian.blur(self._chain, part, self._sigma(box.width, box.height))
            boxes.paste(image, box, soft, self.shape)
        return image

    def _sigma(self, width: int, height: int) -> float:
        return self.strength * SIGMA * min(width, height)
