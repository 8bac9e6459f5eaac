"""Alpha: how opaque each pixel is. It is straight everywhere, as in FFmpeg and in PNG: colours are
not multiplied by it, so what is under a clear pixel is still there.
"""

from typing import Final, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from composer.node.formats import has_alpha
from composer.pictures import pixels
from composer.pictures.pixels import Plane

Weights: TypeAlias = NDArray[np.uint16]
"""0..256: how much of what lies above is seen."""

OPAQUE: Final = 255


def plane(image: av.VideoFrame) -> Plane:
    """A view of the alpha, (height, width) 0..255, of a picture in yuva444p or rgba."""
    last = pixels.planes(image)[-1]
    return last[..., 3] if last.ndim == 3 else last


def taken(image: av.VideoFrame, like: av.VideoFrame) -> av.VideoFrame:
    """The same picture with the alpha of another of its layout and size, where they have one."""
    if has_alpha(image.format.name):
        plane(image)[...] = plane(like)
    return image


def is_used(image: av.VideoFrame) -> bool:
    """Whether a picture of any layout has a pixel that is not opaque."""
    if not has_alpha(image.format.name) and not image.format.has_palette:
        return False
    return bool(plane(pixels.convert(image, "rgba")).min() < OPAQUE)


def over(below: Plane, weights: Weights | np.uint16) -> tuple[Weights, Plane]:
    """What part of each colour is that of the upper one, 0..256, and the alpha of both together.

    below: alpha of what is there. weights: that of what is laid over it, 0..256.
    """
    upper = np.asarray(weights, np.float32) / 256
    total = upper + below.astype(np.float32) / OPAQUE * (1 - upper)
    share = np.divide(upper, total, out=np.zeros_like(total), where=total > 0)
    return np.rint(share * 256).astype(np.uint16), np.rint(total * OPAQUE).astype(np.uint8)
