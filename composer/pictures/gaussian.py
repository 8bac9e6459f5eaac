"""Gaussian blur of a planar YUV picture."""

from typing import Final

import av

from composer.pictures import boxes, pixels
from composer.pictures.chain import Chain, Filter

_SMALL_SIGMA: Final = 2.0
"""Pixels of the reduced copy: enough for the way back up to show no grid."""

_LEAST_SIDE: Final = 64
"""gblur's AVX-512 code gives garbage for planes up to 16 wide, and writes beyond them at 1."""

_STEPS: Final = "3"
"""Passes of gblur: an edge is then within 8 % of its height of a true Gaussian's (17 with one)."""


def blur(chain: Chain, image: av.VideoFrame, sigma: float) -> av.VideoFrame:
    """A new picture, blurred with a standard deviation of `sigma` luma pixels.

    Edges are repeated. A wide blur works on a copy reduced to a half, a quarter or an eighth, so
    its cost does not grow.
    """
    if min(image.width, image.height) < _LEAST_SIDE:
        here = boxes.PixelBox(0, 0, image.width, image.height)
        wide, high = (max(side, _LEAST_SIDE) for side in (image.width, image.height))
        return boxes.cut(blur(chain, boxes.padded(image, wide, high), sigma), here)
    part = _reduction(image, sigma)
    small = sigma / part
    shift_x, shift_y = pixels.CHROMA_SHIFT[image.format.name]
    filters: list[Filter] = [
        ("gblur", _options(small, small, planes=1)),
        (
            "gblur",
            _options(small / (1 << shift_x), small / (1 << shift_y), planes=14),
        ),  # alpha, too
    ]
    if part > 1:
        down = _scale(-(-image.width // part), -(-image.height // part), "area")
        filters = [down, *filters, _scale(image.width, image.height, "bicubic")]
    return chain.run(image, *filters)


def _reduction(image: av.VideoFrame, sigma: float) -> int:
    shorter = min(image.width, image.height)
    fitting = (
        part for part in (8, 4, 2) if sigma >= part * _SMALL_SIGMA and shorter >= part * _LEAST_SIDE
    )
    return next(fitting, 1)


def _options(across: float, down: float, *, planes: int) -> dict[str, str]:
    return {
        "sigma": f"{across:.4f}",
        "sigmaV": f"{down:.4f}",
        "steps": _STEPS,
        "planes": f"{planes}",
    }


def _scale(width: int, height: int, how: str) -> Filter:
    return "scale", {"w": str(width), "h": str(height), "flags": how}
