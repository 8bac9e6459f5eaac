"""The ways from one Format to another that the plan may put on an edge, and what they cost.

To add one, write a function below and a row in CONVERSIONS.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from composer import lazy
from composer.formats import YUV_LAYOUTS, Carrier, Format, Kind
from composer.frames import Frame

with lazy.deferred():
    from composer.media import pixels

Convert = Callable[[Frame[Any], Format], Any]
"""(frame, wanted format) -> the value in that format."""


@dataclass(frozen=True)
class Conversion:
    """A way between two shapes of value. `cost` is about milliseconds for a 1280x720 picture."""

    start: tuple[Kind, Carrier]
    end: tuple[Kind, Carrier]
    cost: Callable[[Format, Format], float]
    run: Convert


def _picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.convert(frame.value, wanted.layout, color=frame.color)


def _picture_to_array(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_rgb(frame.value)


def _array_to_picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.from_rgb(frame.value, wanted.layout, frame.color)


def _picture_to_mask(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_mask(frame.value)


def _array_to_mask(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_mask(pixels.from_rgb(frame.value))


def _mask_to_picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.from_mask(frame.value, wanted.layout)


def _detections_to_record(frame: Frame[Any], wanted: Format) -> Any:
    return {"detections": [asdict(each) for each in frame.value]}


def _swscale(start: Format, end: Format) -> float:
    """Rough figures; only their order matters. What loses colour or alpha is never worth it."""
    if start.layout == end.layout:
        return 0.0
    if (end.layout == "gray" and end.kind == Kind.PICTURE) or start.layout == "rgba":
        return 50.0
    from_yuv, to_yuv = start.layout in YUV_LAYOUTS, end.layout in YUV_LAYOUTS
    if from_yuv and to_yuv:
        return 0.6
    if to_yuv:
        return 2.1 if start.layout != "gray" else 0.4
    if from_yuv:
        return 0.4 if end.layout != "gray" else 0.1
    return 0.5


def _with(copy: float) -> Callable[[Format, Format], float]:
    return lambda start, end: _swscale(start, end) + copy


_FRAME: Final = (Kind.PICTURE, Carrier.FRAME)
_ARRAY: Final = (Kind.PICTURE, Carrier.ARRAY)
_MASK: Final = (Kind.MASK, Carrier.ARRAY)

CONVERSIONS: Final = (
    Conversion(_FRAME, _FRAME, _swscale, _picture),
    Conversion(_FRAME, _ARRAY, _with(0.01), _picture_to_array),
    Conversion(_ARRAY, _FRAME, _with(0.2), _array_to_picture),
    Conversion(_FRAME, _MASK, _with(0.1), _picture_to_mask),
    Conversion(_ARRAY, _MASK, _with(0.4), _array_to_mask),
    Conversion(_MASK, _FRAME, _with(0.2), _mask_to_picture),
    Conversion(
        (Kind.DETECTIONS, Carrier.VALUE),
        (Kind.RECORD, Carrier.VALUE),
        lambda start, end: 0.01,
        _detections_to_record,
    ),
)
_TABLE: Final = {(each.start, each.end): each for each in CONVERSIONS}


def same(start: Format, end: Format) -> bool:
    """Whether a value needs no conversion; sizes do not count."""
    return (start.kind, start.layout, start.carrier) == (end.kind, end.layout, end.carrier)


def conversion(start: Format, end: Format) -> Conversion | None:
    return _TABLE.get(((start.kind, start.carrier), (end.kind, end.carrier)))


def convertible(start: Format, end: Format) -> bool:
    return same(start, end) or conversion(start, end) is not None


def cost(start: Format, end: Format) -> float:
    """What the way costs; infinite where there is none."""
    if same(start, end):
        return 0.0
    found = conversion(start, end)
    return float("inf") if found is None else found.cost(start, end)
