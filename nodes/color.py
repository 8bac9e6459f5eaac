"""Change brightness, contrast, saturation, gamma and the strength of the primary colours."""

from functools import lru_cache

import numpy as np

from composer import YUVA, Live, Node
from composer.pictures import gains, tables


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

    def process(self, image: YUVA) -> YUVA:
        gain = self.green
        if not self.red == self.green == self.blue:
            image = gains.with_gains(image, (self.red, self.green, self.blue))
            gain = 1
        luma = _luma(gain, self.contrast, self.brightness, self.gamma)
        chroma = _chroma(gain * self.saturation)
        if luma is chroma is None:
            return image
        return tables.applied(image, (luma, chroma, chroma))


@lru_cache(maxsize=64)
def _luma(gain: float, contrast: float, brightness: float, gamma: float) -> bytes | None:
    """The table of the luma plane, None where it stays as it is."""
    if (gain, contrast, brightness, gamma) == (1, 1, 0, 1):
        return None
    part = (np.arange(256) - 16) / 219 * gain
    part = ((part - 0.5) * contrast + 0.5 + brightness).clip(0, 1)
    return (16.5 + 219 * part ** (1 / gamma)).astype(np.uint8).tobytes()


@lru_cache(maxsize=64)
def _chroma(gain: float) -> bytes | None:
    if gain == 1:
        return None
    return (128.5 + (np.arange(256) - 128) * gain).clip(16, 240).astype(np.uint8).tobytes()
