"""Blur the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from composer import YUVA, Context, Live, Node
from composer.pictures import chain, gaussian

if TYPE_CHECKING:
    from composer.pictures.chain import Chain


class Blur(Node):
    """Blur the whole picture softly, as a Gaussian does.

    image: planar YUV of any size. Gives the same layout and size; with radius 0 the very picture
    that came in. The standard deviation is half of the radius, so that 95 % of a bright dot stays
    within the radius on either side. Beyond its border the picture is taken to go on as it ends.
    """

    stateless = True

    radius: float = Live(
        8, ge=0, le=100, description="pixels of the picture; the standard deviation is half of it"
    )

    _chain: Chain = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: YUVA) -> YUVA:
        if self.radius == 0:
            return image
        return gaussian.blur(self._chain, image, self.radius / 2)
