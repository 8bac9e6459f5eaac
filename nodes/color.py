"""Change brightness, contrast, saturation, gamma and the strength of the primary colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from composer import YUV, Context, Live, Node
from composer.media import chain, gains

if TYPE_CHECKING:
    from composer.media.chain import Chain

KEPT = "val"
"""A plane that stays as it is (lutyuv)."""


class Color(Node):
    """Change brightness, contrast, saturation, gamma and the strength of red, green and blue.

    They work in this order, on samples of 0..1: red, green and blue multiply their channel;
    saturation multiplies the distance from grey; contrast multiplies the distance of the luma from
    mid grey (0.5); brightness is added to the luma; gamma is its exponent, 1 / gamma, so that more
    than 1 lifts the dark parts. Neutral settings give the very picture that came in.

    All of it happens in YUV. Different gains of red, green and blue are within 2 levels of the same
    in RGB, but for colours that would pass 255 in one channel: RGB would cut that channel off
    alone, here luma and chroma are cut off, which keeps more of the hue. Equal gains work like a
    contrast around black.

    image: planar YUV of any size. Gives the same layout and size, limited to 16..235 and 16..240 in
    the planes that change.
    """

    stateless = True

    brightness: float = Live(0, ge=-1, le=1, description="added to the luma; 1 is black to white")
    contrast: float = Live(1, ge=0, le=4, description="around mid grey; 0 is all grey, 1 neutral")
    saturation: float = Live(1, ge=0, le=4, description="0 is black and white, 1 neutral")
    gamma: float = Live(1, ge=0.1, le=10, description="above 1 lifts the dark parts, 1 neutral")
    red: float = Live(1, ge=0, le=4, description="gain of red, 1 neutral")
    green: float = Live(1, ge=0, le=4, description="gain of green, 1 neutral")
    blue: float = Live(1, ge=0, le=4, description="gain of blue, 1 neutral")

    _chain: Chain = PrivateAttr()

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: YUV) -> YUV:
        gain = self.green
        if not self.red == self.green == self.blue:
            image = gains.with_gains(image, (self.red, self.green, self.blue))
            gain = 1
        tables = {"y": self._luma(gain), "u": self._chroma(gain), "v": self._chroma(gain)}
        if set(tables.values()) == {KEPT}:
            return image
        return self._chain.run(image, ("lutyuv", tables))

    def _luma(self, gain: float) -> str:
        """The table of the luma plane, as lutyuv calculates it."""
        if (gain, self.contrast, self.brightness, self.gamma) == (1, 1, 0, 1):
            return KEPT
        part = f"(val-16)/219*{gain}"
        part = f"({part}-0.5)*{self.contrast}+0.5+{self.brightness}"
        return f"16.5+219*pow(clip({part},0,1),{1 / self.gamma})"

    def _chroma(self, gain: float) -> str:
        if gain * self.saturation == 1:
            return KEPT
        return f"clip(128.5+(val-128)*{gain * self.saturation},16,240)"
