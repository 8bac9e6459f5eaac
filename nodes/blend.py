"""Lay one picture over another."""

from __future__ import annotations

from typing import Literal

from composer import YUVA, Live, Mask, Node, OwnYUVA
from composer.node.formats import has_alpha
from composer.pictures import mixing


class Blend(Node):
    """Lay one picture over another, evenly or through a mask.

    base: planar YUV of any size, written in place. top: planar YUV; another size, layout or colour
    matrix is brought to that of base (bilinear). mask: (height, width) 0..255, how much of top is
    seen at each pixel, scaled to base (bilinear); everywhere when it is not connected. Gives base.

    Where top has alpha, base is seen through it; where base has alpha, too, it gets that of both
    together. Alpha is straight: colours are not multiplied by it.

    `normal` stays in YUV, where a weighted sum is the same as in RGB (weights are 256ths: within
    one level). The other modes are defined on RGB channels that are cut off at 0 and 255, for which
    YUV has no honest equal: both pictures are converted to RGB and the result back (within 3
    levels), then laid over base by opacity and mask in YUV as in `normal`. With b and t of 0..1:
    add b + t; multiply b t; screen 1 - (1 - b)(1 - t); overlay 2 b t where b < 0.5, else
    1 - 2 (1 - b)(1 - t); darken and lighten the smaller and the larger; difference |b - t|.
    """

    stateless = True

    opacity: float = Live(1, ge=0, le=1, description="0 is base alone, 1 is all of top")
    mode: Literal[
        "normal", "add", "multiply", "screen", "overlay", "darken", "lighten", "difference"
    ] = Live(
        "normal", description="how the two pictures meet; all but normal cost a way through RGB"
    )

    def process(self, base: OwnYUVA, top: YUVA, mask: Mask | None = None) -> OwnYUVA:
        if self.opacity == 0:
            return base
        seen = mixing.seen(top, mask, base.width, base.height)
        top = mixing.like(top, base)
        if self.mode != "normal":
            top = mixing.blend(base, top, self.mode)
        if has_alpha(base.format.name):
            mixing.over(base, top, seen, self.opacity)
        elif seen is not None:
            mixing.mix_through(base, top, seen, self.opacity)
        else:
            mixing.mix(base, top, mixing.weight_of(self.opacity))
        return base
