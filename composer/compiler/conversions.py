"""The ways from one Format to another that the plan may put on an edge, and what they cost.

To add one, write a function below and a row in CONVERSIONS.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from composer import lazy
from composer.node.formats import ALPHA_YUV, Carrier, Format, Kind, has_alpha, is_yuv
from composer.node.frames import Frame

with lazy.deferred():
    from composer.device import lanes, tensors
    from composer.pictures import pixels

Convert = Callable[[Frame[Any], Format], Any]
"""(frame, wanted format) -> the value in that format."""

Shape = tuple[Kind, Carrier]
"""What a value is, and what it is carried in."""


@dataclass(frozen=True)
class Conversion:
    """A way between two shapes of value. `cost` is about milliseconds for a 1280x720 picture."""

    start: Shape
    end: Shape
    cost: Callable[[Format, Format], float]
    run: Convert


def _picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.convert(frame.value, wanted.layout, color=frame.color)


def _picture_to_array(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_rgb(frame.value)


def _array_to_picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.from_rgb(frame.value, wanted.layout, frame.color, frame.origin)


def _picture_to_mask(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_mask(frame.value)


def _array_to_mask(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_mask(pixels.from_rgb(frame.value))


def _mask_to_picture(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.from_mask(frame.value, wanted.layout, frame.color, frame.origin)


def _detections_to_record(frame: Frame[Any], wanted: Format) -> Any:
    return {"detections": [_rounded(asdict(detection)) for detection in frame.value]}


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers to a hundred-thousandth: a tenth of a pixel, and lines that a person can read."""
    return {
        k: round(number, 5) if isinstance(number, float) else number for k, number in fields.items()
    }


def _picture_to_tensor(frame: Frame[Any], wanted: Format) -> Any:
    if wanted.device == "cpu":  # swscale does on one core what takes torch several
        return tensors.hosted(pixels.to_rgb(frame.value))
    image = frame.value
    if image.format.name == ALPHA_YUV:  # what goes up has none
        image = pixels.convert(image, "yuv444p")
    return tensors.upload(image, wanted.device, lanes.pinned(wanted.device))


def _array_to_tensor(frame: Frame[Any], wanted: Format) -> Any:
    if wanted.device == "cpu":
        return tensors.hosted(frame.value)
    return tensors.upload(pixels.from_rgb(frame.value), wanted.device, lanes.pinned(wanted.device))


def _tensor_to_picture(frame: Frame[Any], wanted: Format) -> Any:
    return _down(frame, wanted.layout)


def _tensor_to_array(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_rgb(_down(frame, "rgb24"))


def _tensor_to_mask(frame: Frame[Any], wanted: Format) -> Any:
    return pixels.to_mask(_down(frame, "gray"))


def _down(frame: Frame[Any], layout: str) -> Any:
    device = str(frame.value.device)
    if device == "cpu":
        return pixels.from_rgb(tensors.as_rgb(frame.value), layout, frame.color, frame.origin)
    pool, coded = lanes.pinned(device), "yuv444p" if layout == ALPHA_YUV else layout
    image = tensors.download(frame.value, coded, frame.color, pool)
    return pixels.inheriting(pixels.convert(image, layout), frame.origin)


def _tensor_to_tensor(frame: Frame[Any], wanted: Format) -> Any:
    there = frame.value.to(wanted.device, non_blocking=True)
    if wanted.device == "cpu":
        lanes.mark(str(frame.value.device)).wait()  # the host would read what has not come yet
    return there


LOST: Final = 50.0
"""What it costs to lose colour, alpha or fine colour: more than any detour."""


def _to_device(start: Format, end: Format) -> float:
    """A copy up, and colours there; on the CPU what torch takes for it."""
    return 6.0 if end.device == "cpu" else 1.0


def _between_devices(start: Format, end: Format) -> float:
    """Floats, eight times the bytes of a picture: worse than to go up from the host elsewhere."""
    return 9.0 if end.device == "cpu" else 2.0


def _from_device(start: Format, end: Format) -> float:
    """A copy down, for which the host waits."""
    if end.layout == "gray" and end.kind == Kind.PICTURE:
        return LOST
    return 9.0 if start.device == "cpu" else 2.0 + (0.5 if end.carrier is Carrier.ARRAY else 0.0)


def _swscale(start: Format, end: Format) -> float:
    """Rough figures; only their order matters. What loses colour or alpha is never worth it."""
    if start.layout == end.layout:
        return 0.0
    if end.layout == "gray" and end.kind == Kind.PICTURE:
        return LOST
    if has_alpha(start.layout) and not has_alpha(end.layout):
        return LOST
    from_yuv, to_yuv = is_yuv(start.layout), is_yuv(end.layout)
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
_TENSOR: Final = (Kind.PICTURE, Carrier.TENSOR)

CONVERSIONS: Final = (
    Conversion(_FRAME, _FRAME, _swscale, _picture),
    Conversion(_FRAME, _ARRAY, _with(0.01), _picture_to_array),
    Conversion(_ARRAY, _FRAME, _with(0.2), _array_to_picture),
    Conversion(_FRAME, _MASK, _with(0.1), _picture_to_mask),
    Conversion(_ARRAY, _MASK, _with(0.4), _array_to_mask),
    Conversion(_MASK, _FRAME, _with(0.2), _mask_to_picture),
    Conversion(_FRAME, _TENSOR, _to_device, _picture_to_tensor),
    Conversion(_ARRAY, _TENSOR, _to_device, _array_to_tensor),
    Conversion(_TENSOR, _FRAME, _from_device, _tensor_to_picture),
    Conversion(_TENSOR, _ARRAY, _from_device, _tensor_to_array),
    Conversion(_TENSOR, _MASK, _from_device, _tensor_to_mask),
    Conversion(_TENSOR, _TENSOR, _between_devices, _tensor_to_tensor),
    Conversion(
        (Kind.DETECTIONS, Carrier.VALUE),
        (Kind.RECORD, Carrier.VALUE),
        lambda start, end: 0.01,
        _detections_to_record,
    ),
)
_TABLE: Final = {(way.start, way.end): way for way in CONVERSIONS}


def same(start: Format, end: Format) -> bool:
    """Whether a value needs no conversion; sizes do not count."""
    one, other = ((form.kind, form.layout, form.carrier, form.device) for form in (start, end))
    return one == other


def conversion(start: Format, end: Format) -> Conversion | None:
    return _TABLE.get(((start.kind, start.carrier), (end.kind, end.carrier)))


def between(start: Shape, end: Shape) -> Conversion:
    """The way between two shapes. Raises KeyError where there is none."""
    return _TABLE[start, end]


def convertible(start: Format, end: Format) -> bool:
    return same(start, end) or conversion(start, end) is not None


def loses_alpha(start: Format, end: Format) -> bool:
    pictured = start.kind == end.kind == Kind.PICTURE
    return pictured and has_alpha(start.layout) and not has_alpha(end.layout)


def loses_chroma(start: Format, end: Format) -> bool:
    """Whether colours are coarser afterwards: several pixels share one, as in 4:2:0."""
    whole, coarse = _coarseness(start), _coarseness(end)
    return start.kind == end.kind == Kind.PICTURE and coarse > whole


def _coarseness(form: Format) -> int:
    """Pixels that share a colour; a grey picture has no colour to lose."""
    return {"yuv420p": 4, "yuv422p": 2, "gray": 4}.get(form.layout, 1)


def cost(start: Format, end: Format) -> float:
    """What the way costs; infinite where there is none."""
    if same(start, end):
        return 0.0
    way = conversion(start, end)
    return float("inf") if way is None else way.cost(start, end)
