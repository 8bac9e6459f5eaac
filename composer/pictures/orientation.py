"""How a picture is to be turned: the display matrix that it brings with it."""

import logging
import math
import struct
from typing import Any, Final

import av
from av.sidedata.sidedata import Type

from composer.pictures import pixels
from composer.pictures.chain import MIRRORS, Chain, Filter

log: Final = logging.getLogger(__name__)

_MOST_TYPES: Final = 64
"""FFmpeg 9 has 32 types of side data (enum AVFrameSideDataType in libavutil/frame.h)."""

_NAMED: Final[set[Any]] = {kind.value for kind in Type}
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

    lasts: what one picture says holds until another says something else, as in a film, whose coder
    may say it once; else each picture is for itself, as in a row of files. A look costs 0.05 ms, so
    pictures are looked at only where they may begin something (key pictures) or their angle is new.
    """

    def __init__(self, *, lasts: bool = True) -> None:
        self._chain, self._filters = Chain(), _KNOWN
        self._lasts = lasts
        self._angle = 0
        self._matrix: tuple[int, ...] | None = None

    def of(self, image: av.VideoFrame) -> tuple[int, ...] | None:
        """9 numbers, row by row (libavutil/display.h), or None where nothing is said."""
        angle = _angle(image)
        if image.key_frame or (angle and angle != self._angle):
            matrix = self._found(image)
            if matrix is not None or not self._lasts:
                self._angle, self._matrix = angle, matrix
        return self._matrix

    def upright(self, image: av.VideoFrame, layout: str) -> av.VideoFrame:
        """The picture in `layout`, as it is meant to be seen."""
        return turned(image, layout, self.of(image))

    def _found(self, image: av.VideoFrame) -> tuple[int, ...] | None:
        try:
            data = self._side_data(image)
        except ValueError:
            self._filters = _ANY
            data = self._side_data(image)
        written = data.get("DISPLAYMATRIX")
        matrix = written and struct.unpack("9i", bytes(written))
        return matrix if matrix and any(matrix[:2]) and any(matrix[3:5]) else None

    def _side_data(self, image: av.VideoFrame) -> Any:
        return self._chain.run(image, *self._filters).side_data


def _angle(image: av.VideoFrame) -> int:
    try:
        return image.rotation
    except (ValueError, OverflowError):  # a matrix of zeros turns by no number
        return 0


def turned(image: av.VideoFrame, layout: str, matrix: tuple[int, ...] | None) -> av.VideoFrame:
    """The picture in `layout`, upright as its display matrix says (ffmpeg's autorotate).

    matrix: 9 numbers, row by row (libavutil/display.h). Angles between are left alone.
    """
    if matrix is None:
        return pixels.convert(image, layout)
    across, down, angle = _turns(matrix)
    if angle not in (90, 270):
        image = pixels.convert(image, layout)
        return _rearranged(image, across=across, down=down) if across or down else image
    # transposed 4:2:2 would be 4:4:0
    image = pixels.convert(image, "yuv444p" if layout == "yuv422p" else layout)
    return pixels.convert(_rearranged(image, across=across, down=down, transpose=True), layout)


def _turns(matrix: tuple[int, ...]) -> tuple[bool, bool, int]:
    """(mirror left to right, mirror top to bottom, angle), mirrored after any transposition.

    The cases of configure_input_video_filter() in fftools/ffmpeg_filter.c.
    """
    angle = round(math.degrees(math.atan2(matrix[1], matrix[0]))) % 360
    if angle == 90:  # transpose=clock, or cclock_flip where it is mirrored
        return matrix[3] <= 0, False, angle
    if angle == 180:
        return matrix[0] < 0, matrix[4] < 0, angle
    if angle == 270:  # transpose=cclock, or clock_flip
        return matrix[3] < 0, True, angle
    return False, angle == 0 and matrix[4] < 0, angle


def _rearranged(
    image: av.VideoFrame, *, across: bool, down: bool, transpose: bool = False
) -> av.VideoFrame:
    turn: Filter = "transpose", {"dir": _TRANSPOSED[across, down]}
    steps = (turn,) if transpose else MIRRORS[across, down]
    return _TURNING.run(image, _without("DISPLAYMATRIX"), *steps)


_TURNING: Final = Chain()

_TRANSPOSED: Final = {
    (False, False): "cclock_flip",
    (True, False): "clock",
    (False, True): "cclock",
    (True, True): "clock_flip",
}
"""(mirrored left to right, top to bottom) after the transposition -> libavfilter's name."""
