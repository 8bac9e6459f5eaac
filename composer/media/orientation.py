"""How a picture is to be turned: the display matrix that it brings with it."""

import logging
import struct
from typing import Any, Final

import av
from av.sidedata.sidedata import Type

from composer.media.chain import Chain, Filter

log: Final = logging.getLogger(__name__)

_MOST_TYPES: Final = 64
"""FFmpeg 9 has 32 types of side data (enum AVFrameSideDataType in libavutil/frame.h)."""

_NAMED: Final[set[Any]] = {each.value for each in Type}
_UNNAMED: Final = [number for number in range(_MOST_TYPES) if number not in _NAMED]


def _without(number: object) -> Filter:
    return "sidedata", {"mode": "delete", "type": str(number)}


_TINY: Final[tuple[Filter, ...]] = ("crop", {"w": "min(iw,16)", "h": "min(ih,16)"}), ("copy", {})
"""A frame whose side data was asked for lives until the garbage collector finds it."""

# PyAV 18.1 frees the side data of a picture with a colour profile twice.
_KNOWN: Final = (_without("ICC_PROFILE"), *_TINY)

# It raises for all side data of a picture where it has no name for one of them (EXIF).
_ANY: Final = (*map(_without, _UNNAMED), *_KNOWN)


class Orientation:
    """The display matrix of the pictures of one track, in the order in which they are shown.

    It is looked up for key pictures, and where the angle changes: a single look costs 0.05 ms.
    """

    def __init__(self) -> None:
        self._chain, self._filters = Chain(), _KNOWN
        self._angle: int | None = None
        self._matrix: tuple[int, ...] | None = None

    def of(self, image: av.VideoFrame) -> tuple[int, ...] | None:
        """9 numbers, row by row (libavutil/display.h), or None where the picture says nothing."""
        angle = _angle(image)
        if angle != self._angle or image.key_frame:
            self._angle, self._matrix = angle, self._found(image)
        return self._matrix

    def _found(self, image: av.VideoFrame) -> tuple[int, ...] | None:
        try:
            data = self._side_data(image)
        except ValueError:
            self._filters = _ANY
            data = self._side_data(image)
        found = data.get("DISPLAYMATRIX")
        matrix = found and struct.unpack("9i", bytes(found))
        return matrix if matrix and any(matrix[:2]) and any(matrix[3:5]) else None

    def _side_data(self, image: av.VideoFrame) -> Any:
        return self._chain.run(image, *self._filters).side_data


def _angle(image: av.VideoFrame) -> int:
    try:
        return image.rotation
    except (ValueError, OverflowError):  # a matrix of zeros turns by no number
        return 0
