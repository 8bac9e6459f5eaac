"""Mirror the picture."""

from typing import Literal

import numpy as np

from composer import YUVA, Live, Node, OwnYUVA
from composer.media import pixels


class Flip(Node):
    """Mirror the picture left to right, top to bottom, or both.

    image: planar YUV of any size. Gives a new picture of the same layout and size, alpha
    included.
    """

    stateless = True

    direction: Literal["horizontal", "vertical", "both"] = Live(
        "horizontal", description="horizontal swaps left and right, vertical top and bottom"
    )

    def process(self, image: YUVA) -> OwnYUVA:
        new = pixels.blank(image)
        step_y = -1 if self.direction != "horizontal" else 1
        step_x = -1 if self.direction != "vertical" else 1
        for target, source in zip(pixels.planes(new), pixels.planes(image), strict=True):
            np.copyto(target, source[::step_y, ::step_x])
        return new
