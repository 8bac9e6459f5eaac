"""Feed: how a picture becomes the input of a model, and where in the picture an answer lies."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from composer import lazy
from composer.models.onnxfile import Value
from composer.node.node import BadSetting

with lazy.deferred():
    import numpy as np

    from composer.pictures import boxes, pixels

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

Fitting: TypeAlias = Literal["stretch", "pad", "crop"]

_SIZE: Final = r"[0-9]{1,5}|[0-9]{1,5}x[0-9]{1,5}|[0-9]{1,5}x|x[0-9]{1,5}"
LARGEST: Final = 16_384
"""Largest width or height of an input."""


def _size(text: str) -> str:
    if not re.fullmatch(_SIZE, text):
        raise ValueError("should be a size as 640x480, 640 for a square, or 640x or x480")
    width, height = parsed(text)
    if not 0 < max(width, height) <= LARGEST or (text[0] != "x" != text[-1] and not width * height):
        raise ValueError(f"should be 1 to {LARGEST} pixels wide and high")
    return text


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parsed(text: str) -> tuple[int, int]:
    """(width, height) of "640x480" or "640"; 0 for the one that "640x" or "x480" leaves open.

    It follows from the picture's shape. (0x48 would be a number in YAML.)
    """
    width, cross, height = text.partition("x")
    return int(width or 0), int(height or 0) if cross else int(width)


def _axes(text: str) -> str:
    if not set("hwc") <= set(text) <= set("ntchw") or len(set(text)) != len(text):
        raise ValueError("should name each axis once: n (batch), t (time), c, h and w, as in nchw")
    return text


def _apart(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] == ends[1]:
        raise ValueError("should be two different numbers")
    return ends


Size = Annotated[
    str,
    BeforeValidator(_as_text, json_schema_input_type=str | int),
    AfterValidator(_size),
]
Axes = Annotated[str, AfterValidator(_axes)]
Range = Annotated[
    tuple[float, float], AfterValidator(_apart), Field(description="what 0 and 255 become")
]
PerChannel = Annotated[float | tuple[float, ...], Field(description="one number, or one a channel")]

_MULTIPLE: Final = "sizes that the model leaves open are rounded to a multiple of this"


class Feed(BaseModel):
    """How a picture becomes an input. What is not said follows from the model's own shapes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    size: Size | None = Field(
        None, description="640x480, 640 for a square; 640x or x480 keep the picture's shape"
    )
    multiple: int | None = Field(None, ge=1, le=1024, description=_MULTIPLE)
    fit: Fitting | None = Field(
        None, description="what happens to a picture of another shape: stretch, pad or crop"
    )
    fill: int | None = Field(None, ge=0, le=255, description="grey that pad fills with")
    layout: Axes | None = Field(None, description="order of the axes: nchw, nhwc, chw, ntchw ...")
    dtype: Literal["float32", "float16", "uint8"] | None = Field(
        None, description="type of the numbers"
    )
    channels: Literal["rgb", "bgr", "gray"] | None = Field(None, description="order of colours")
    range: Range | None = Field(None, description="what 0 and 255 become; [0, 1] for floats")
    mean: PerChannel | None = Field(None, description="subtracted, on the scale of `range`")
    std: PerChannel | None = Field(None, description="divided by after that")


@dataclass(frozen=True, slots=True)
class Feeding:
    """A Feed with nothing left open. width, height: 0 where the picture's own size is taken.

    An input number is `level * scale + offset` per channel, in the order of `channels`.
    """

    layout: str
    dtype: str
    width: int
    height: int
    multiple: int
    fit: Fitting
    fill: int
    channels: Literal["rgb", "bgr", "gray"]
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Size of the input for a picture of this size."""
        wide, high = self.width, self.height
        if not wide and not high:
            wide, high = width, height
        elif not wide:
            wide = min(max(1, round(width * high / height)), LARGEST)
        elif not high:
            high = min(max(1, round(height * wide / width)), LARGEST)
        return self._rounded(wide, self.width), self._rounded(high, self.height)

    def _rounded(self, value: int, said: int) -> int:
        if said or self.multiple == 1:
            return value
        # What is shown whole keeps its size, and gets bars.
        times = value / self.multiple
        return max(1, math.ceil(times) if self.fit == "pad" else round(times)) * self.multiple

    def shape(self, width: int, height: int, frames: int = 1) -> tuple[int, ...]:
        """Shape of the input for an input picture of this size."""
        extents = {"n": 1, "t": frames, "c": len(self.scale), "h": height, "w": width}
        return tuple(extents[axis] for axis in self.layout)


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the model's input lies in the picture: picture = input * scale + offset, in parts."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0


WHOLE: Final = Fit()


def settle(feed: Feed, value: Value | None, window: int = 1, at: tuple[str, ...] = ()) -> Feeding:
    """The Feed for one input of a model, None where the model is not at hand.

    at: where the Feed stands below the node. Raises BadSetting for what the model cannot take.
    """
    layout = _layout(feed, value, window, at)
    shape = value.shape if value is not None and value.shape is not None else ()
    extents = dict(zip(layout, shape, strict=True)) if shape else {}
    colours = extents.get("c")
    channels = feed.channels or ("gray" if colours == 1 else "rgb")
    count = 1 if channels == "gray" else 3
    if isinstance(colours, int) and colours != count:
        said = f"the model takes {colours} channels in {_said(value)}, and {channels} has {count}"
        raise BadSetting((*at, "channels" if feed.channels else "layout"), said)
    together = extents.get("n")
    if isinstance(together, int) and together > 1:
        said = f"the model takes {together} pictures at once in {_said(value)}"
        raise BadSetting(at, said, "export it for one picture, or for any number")
    frames = extents.get("t")
    if isinstance(frames, int) and frames != window:
        many = f"{frames} frames at once" if frames > 1 else "one frame at a time"
        hint = f"write `window: {frames}`" if frames > 1 else "leave it out"
        raise BadSetting(("window",), f"the model takes {many} in {_said(value)}", hint)
    width, height = _extent(feed, extents, value, at)
    dtype = _dtype(feed, value, at)
    scale, offset = _affine(feed, dtype, count, at)
    return Feeding(
        layout=layout,
        dtype=dtype,
        width=width,
        height=height,
        multiple=feed.multiple or 1,
        fit=feed.fit or "stretch",
        fill=feed.fill or 0,
        channels=channels,
        scale=scale,
        offset=offset,
    )


_ELSE: Final = "say what it takes in `takes:`"


def _said(value: Value | None) -> str:
    return "" if value is None else f"{value.name!r} ({value})"


def _layout(feed: Feed, value: Value | None, window: int, at: tuple[str, ...]) -> str:
    shape = value.shape if value is not None else None
    if feed.layout is not None:
        if shape is not None and len(shape) != len(feed.layout):
            said = f"{feed.layout} has {len(feed.layout)} axes, and the model takes {_said(value)}"
            raise BadSetting((*at, "layout"), said)
        if window > 1 and "t" not in feed.layout:
            said = "the layout needs an axis t for the frames of `window`"
            raise BadSetting((*at, "layout"), said, "write it as ntchw, say")
        return feed.layout
    if shape is None:
        return "ntchw" if window > 1 else "nchw"
    time = "t" if window > 1 else ""
    known = [f"n{time}chw", f"n{time}hwc", f"{time}chw", f"{time}hwc", f"nc{time}hw"]
    fitting = [each for each in known if len(each) == len(shape) and len(set(each)) == len(each)]
    if not fitting:
        said = f"the model takes no picture in {_said(value)}"
        raise BadSetting(at, said, "`window:` frames of it?" if len(shape) == 5 else _ELSE)
    sure = [each for each in fitting if shape[each.index("c")] in (1, 3)]
    return (sure or fitting)[0]


def _extent(
    feed: Feed, extents: dict[str, int | str], value: Value | None, at: tuple[str, ...]
) -> tuple[int, int]:
    """(width, height) as said, and as the model has it where it is fixed."""
    said = parsed(feed.size) if feed.size is not None else (0, 0)
    found = []
    for axis, wanted in zip("wh", said, strict=True):
        own = extents.get(axis, 0)
        own = own if isinstance(own, int) else 0
        if own and wanted and wanted != own:
            what = f"the model takes {_said(value)}, got {feed.size}"
            raise BadSetting((*at, "size"), what, "leave it out: it follows from the model")
        found.append(own or wanted)
    return found[0], found[1]


def _dtype(feed: Feed, value: Value | None, at: tuple[str, ...]) -> str:
    own = value.dtype if value is not None else ""
    if feed.dtype is not None:
        if own and feed.dtype != own:
            raise BadSetting((*at, "dtype"), f"the model takes {_said(value)}, got {feed.dtype}")
        return feed.dtype
    if own and own not in ("float32", "float16", "uint8"):
        said = f"the model takes {_said(value)}, and a picture has no numbers of that type"
        raise BadSetting(at, said, _ELSE)
    return own or "float32"


def _affine(
    feed: Feed, dtype: str, count: int, at: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if dtype == "uint8":
        for name in ("range", "mean", "std"):
            if getattr(feed, name) is not None:
                raise BadSetting((*at, name), "the model takes bytes, which stay as they are")
        return (1.0,) * count, (0.0,) * count
    low, high = feed.range if feed.range is not None else (0.0, 1.0)
    mean = _each(feed.mean, 0.0, count, (*at, "mean"))
    std = _each(feed.std, 1.0, count, (*at, "std"))
    if not all(std):
        raise BadSetting((*at, "std"), "nothing can be divided by 0")
    scale = tuple((high - low) / 255 / each for each in std)
    offset = tuple((low - middle) / each for middle, each in zip(mean, std, strict=True))
    return scale, offset


def _each(
    given: float | Sequence[float] | None, default: float, count: int, at: tuple[str, ...]
) -> tuple[float, ...]:
    if given is None:
        return (default,) * count
    if isinstance(given, int | float):
        return (float(given),) * count
    if len(given) != count:
        raise BadSetting(at, f"should be one number, or {count}, got {len(given)}")
    return tuple(map(float, given))


# pictures


@dataclass(frozen=True, slots=True)
class Placed:
    """How a picture comes into an input. left, top, width, height: where in the input it is seen.

    cut: the part of the picture that is seen (left, top, right, bottom), None for all of it.
    """

    left: int
    top: int
    width: int
    height: int
    fit: Fit = WHOLE
    cut: tuple[int, int, int, int] | None = None


def placed(how: Fitting, picture: tuple[int, int], target: tuple[int, int]) -> Placed:
    """Where a picture of one size goes in an input of another, both (width, height)."""
    (wide, high), (width, height) = picture, target
    if how == "pad":
        ratio = min(width / wide, height / high)
        across = min(max(1, round(wide * ratio)), width)
        down = min(max(1, round(high * ratio)), height)
        left, top = (width - across) // 2, (height - down) // 2
        fit = Fit(width / across, height / down, -left / across, -top / down)
        return Placed(left, top, across, down, fit)
    if how == "crop" and wide * height != high * width:
        left, top, right, bottom = cut = _middle(picture, target)
        fit = Fit((right - left) / wide, (bottom - top) / high, left / wide, top / high)
        return Placed(0, 0, width, height, fit, cut)
    return Placed(0, 0, width, height)


def _middle(picture: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest part in the middle with the shape of the input, on the chroma grid."""
    (wide, high), (width, height) = picture, target
    ratio = min(wide / width, high / height)
    across, down = (max(2, round(extent * ratio)) for extent in (width, height))
    across, down = min(across, wide), min(down, high)
    left, top = (wide - across) // 2 & ~1, (high - down) // 2 & ~1
    return left, top, left + across, top + down


class Feeder:
    """Turns pictures into inputs, into one buffer that is used again for the next picture."""

    def __init__(self, feeding: Feeding, window: int = 1) -> None:
        self._how, self._window = feeding, window
        self._buffer: NDArray[Any] = np.empty(0, feeding.dtype)
        self._held = 0

    def __call__(self, image: "av.VideoFrame") -> "tuple[NDArray[Any], Fit]":
        """The input for a picture in any layout, and where it lies in it.

        With a window: the last pictures, the newest last; the first picture fills the window.
        """
        how = self._how
        width, height = how.target(image.width, image.height)
        shape = how.shape(width, height, self._window)
        if self._buffer.shape != shape:
            self._buffer = np.full(shape, 0, how.dtype)
            self._held = 0
        seen = self._pictured(image, width, height)
        target = self._planes()
        if self._window > 1:
            target[:-1] = target[1:].copy()
        fit = self._write(seen, target[-1])
        if not self._held:
            target[:-1] = target[-1]
        self._held += 1
        return self._buffer, fit

    def _planes(self) -> "NDArray[Any]":
        """A view of the buffer as (time, channel, height, width)."""
        layout = self._how.layout
        view = self._buffer
        if "n" in layout:
            view = view[(slice(None),) * layout.index("n") + (0,)]
            layout = layout.replace("n", "")
        if "t" not in layout:
            view, layout = view[None], "t" + layout
        return view.transpose([layout.index(axis) for axis in "tchw"])

    def _pictured(self, image: "av.VideoFrame", width: int, height: int) -> "_ScaledPlanes":
        """The picture at the size that the input has room for."""
        place = placed(self._how.fit, (image.width, image.height), (width, height))
        part = image if place.cut is None else boxes.cut(planar(image), boxes.PixelBox(*place.cut))
        planes = _scaled(part, self._how, place.width, place.height)
        return _ScaledPlanes(planes, place.left, place.top, place.fit)

    def _write(self, seen: "_ScaledPlanes", target: "NDArray[Any]") -> Fit:
        how = self._how
        high, wide = seen.planes[0].shape
        inner = target[:, seen.top : seen.top + high, seen.left : seen.left + wide]
        if inner.shape != target.shape:
            for plane, scale, offset in zip(target, how.scale, how.offset, strict=True):
                plane[...] = how.fill * scale + offset
        for plane, levels, scale, offset in zip(
            inner, seen.planes, how.scale, how.offset, strict=True
        ):
            if how.dtype == "uint8":
                np.copyto(plane, levels)
                continue
            np.multiply(levels, np.float32(scale), out=plane, casting="same_kind")
            if offset:
                plane += np.asarray(offset, how.dtype)
        return seen.fit


@dataclass(frozen=True, slots=True)
class _ScaledPlanes:
    """The levels of a picture that is scaled already, plane by plane, and its place in an input."""

    planes: "tuple[NDArray[np.uint8], ...]"
    left: int
    top: int
    fit: Fit


def _scaled(
    image: "av.VideoFrame", how: Feeding, width: int, height: int
) -> "tuple[NDArray[np.uint8], ...]":
    smaller = width * height < image.width * image.height
    # An area filter keeps fine detail from turning into noise, as antialiasing does elsewhere.
    kind = "AREA" if smaller else "BILINEAR"
    if how.channels == "gray":
        gray = pixels.convert(image, "gray", width, height, interpolation=kind)
        return (pixels.planes(gray)[0],)
    if how.layout.endswith("c") and how.channels == "rgb":
        rgb = pixels.planes(pixels.convert(image, "rgb24", width, height, interpolation=kind))[0]
        return (rgb[..., 0], rgb[..., 1], rgb[..., 2])
    # Planes are read in a row: half the time of every third byte.
    planar = pixels.convert(image, "gbrp", width, height, interpolation=kind)
    green, blue, red = pixels.planes(planar)
    return (red, green, blue) if how.channels == "rgb" else (blue, green, red)


def planar(image: "av.VideoFrame") -> "av.VideoFrame":
    if image.format.name in pixels.CHROMA_SHIFT:
        return image
    return pixels.convert(image, "yuv444p")
