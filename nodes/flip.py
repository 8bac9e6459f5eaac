"""Mirror the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PrivateAttr

from composer import YUVA, Context, Live, Node, OwnYUVA
from composer.pictures import chain

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.pictures.chain import Chain


class Flip(Node):
    """Mirror the picture left to right, top to bottom, or both.

    image: planar YUV of any size. Gives a new picture of the same layout and size, alpha
    included.
    """

    stateless = True

    direction: Literal["horizontal", "vertical", "both"] = Live(
        "horizontal", description="horizontal swaps left and right, vertical top and bottom"
    )

    _chain: Chain = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: YUVA) -> OwnYUVA:
        across, down = self.direction != "vertical", self.direction != "horizontal"
        return self._chain.run(image, *chain.MIRRORS[across, down])
