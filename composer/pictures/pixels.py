"""Pictures: their planes as arrays, copies of them, and the one way from layout to layout.

Conversions go through swscale. An untagged picture is taken as BT.601, limited range, as FFmpeg
does; a tagged one by its tag (ISO/IEC 23091-2).
"""

import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import av
from av.video.reformatter import VideoReformatter

from composer import lazy
from composer.node.formats import ALPHA_YUV, YUV_LAYOUTS, is_yuv
from composer.node.frames import UNTAGGED, ColorTags
from composer.pictures.chain import Chain, Filter

with lazy.deferred():  # passing frames on needs no NumPy, and loading it takes 0.1 s
    import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Plane: TypeAlias = "NDArray[np.uint8]"

UNSPECIFIED: Final = 2
"""Colour tag that says nothing (ISO/IEC 23091-2)."""

LIMITED: Final = 1
"""AVCOL_RANGE_MPEG: luma 16..235 (libavutil/pixfmt.h)."""

FULL: Final = 2
"""AVCOL_RANGE_JPEG: 0..255 (libavutil/pixfmt.h)."""

CHROMA_SHIFT: Final = {"yuv420p": (1, 1), "yuv422p": (1, 0), "yuv444p": (0, 0), ALPHA_YUV: (0, 0)}
"""How often the chroma planes are halved: (horizontally, vertically)."""

CHANNELS: Final = {"rgb24": 3, "rgba": 4}

_SWS_COLORSPACE: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""AVColorSpace -> SWS_CS (libswscale/swscale.h)."""

SWS_BT601: Final = 5


def planes(image: av.VideoFrame) -> list[Plane]:
    """Views of the planes: (height, width) uint8 for planar layouts and gray, (height, width, 3 or
    4) for rgb24 and rgba. Chroma planes have their own size; a fourth plane is alpha. Writing to
    them changes the picture.
    """
    channels = CHANNELS.get(image.format.name, 0)
    return [_plane(plane, channels) for plane in image.planes]


def _plane(plane: Any, channels: int) -> Plane:
    rows = np.frombuffer(plane, np.uint8, plane.height * plane.line_size)
    rows = rows.reshape(plane.height, plane.line_size)
    if channels:
        return rows[:, : plane.width * channels].reshape(plane.height, plane.width, channels)
    return rows[:, : plane.width]


_VIEWS: Final = Chain()


def blank(image: av.VideoFrame, width: int = 0, height: int = 0, layout: str = "") -> av.VideoFrame:
    """A new picture that says of itself what another one does: time, tags, shape of pixels, fields,
    duration, side data. Its pixels are whatever was there before.

    Size and layout are those of the other one, too, unless they are given. PyAV sets few of these
    by itself, so the new picture is always one that FFmpeg made from the old.
    """
    width, height = width or image.width, height or image.height
    kept = min(width, image.width), min(height, image.height)
    if layout and layout != image.format.name:
        image = convert(cut(image, 0, 0, *(min(side, _SMALL) for side in kept)), layout)
        kept = image.width, image.height
    if kept == (width, height):
        return cut(image, 0, 0, width, height)
    even = {"w": str(width + width % 2), "h": str(height + height % 2)}  # pad cuts off odd sides
    return _VIEWS.run(image, _window(0, 0, *kept), ("pad", even), _window(0, 0, width, height))


_SMALL: Final = 16
"""Sides of a picture that is converted for what it says."""


def copy(image: av.VideoFrame) -> av.VideoFrame:
    """A picture of the same pixels that nobody else holds."""
    new = _VIEWS.run(image)
    new.make_writable()
    return new


def cut(image: av.VideoFrame, left: int, top: int, width: int, height: int) -> av.VideoFrame:
    """A part as a new picture. left and top must be on the chroma grid."""
    if (width, height) == _size(image):
        return copy(image)
    new = _VIEWS.run(image, _window(left, top, width, height))
    new.make_writable()
    return new


def _window(left: int, top: int, width: int, height: int) -> Filter:
    """A view of a part."""
    part = {"x": left, "y": top, "w": width, "h": height, "exact": 1}
    return "crop", {name: str(part[name]) for name in part}


def inheriting(image: av.VideoFrame, origin: av.VideoFrame | None) -> av.VideoFrame:
    """The pixels and the colours of a picture, in one that says the rest as `origin` does.

    The same object without one.
    """
    if origin is None:
        return image
    new = blank(origin, image.width, image.height, image.format.name)
    for target, source in zip(planes(new), planes(image), strict=True):
        target[...] = source
    own = tags(image)
    return with_tags(new, tags(origin) if own == UNTAGGED else own, image.color_range)


def aspect(image: av.VideoFrame) -> Fraction:
    """Width of one pixel in parts of its height; 1 when the picture does not say.

    PyAV does not show AVFrame.sample_aspect_ratio, but the scale filter counts with it: its high
    digits become the width of a small picture, its low ones the height.
    """
    untagged = with_tags(_VIEWS.run(image), UNTAGGED)  # scale refuses some tags
    measured = _VIEWS.run(untagged, ("scale", _MEASURING))
    ratio = Fraction((measured.width - _SMALL << 8) + measured.height - _SMALL, 1 << 16)
    return ratio.limit_denominator(255) if 0 < ratio < _WIDEST else Fraction(1)


_WIDEST: Final = 64
"""A shape of pixels from here on is too wide to be true."""

_MEASURING: Final = {
    "w": f"{_SMALL}+floor(min(round(sar*65536),{_WIDEST << 16})/256)",
    "h": f"{_SMALL}+mod(min(round(sar*65536),{_WIDEST << 16}),256)",
    "eval": "frame",
    "flags": "neighbor",
}


def shaped(image: av.VideoFrame, aspect: Fraction) -> av.VideoFrame:
    """The same pixels in a picture that says their shape; a view."""
    ratio = f"{aspect.numerator}/{aspect.denominator}"
    return _VIEWS.run(image, ("setsar", {"sar": ratio, "max": "65535"}))


def is_top_first(image: av.VideoFrame) -> bool:
    """Whether the upper field of an interlaced picture is the earlier one."""
    first = Chain()
    try:
        first.run(image, ("select", {"expr": "eq(interlace_type,TOPFIRST)"}))
    except BlockingIOError:  # it was not selected
        return False
    return True


MOST_TAGS: Final = 64
"""ColorTags that are kept, since each picture asks for its own, and all of a stream are alike."""

_TAGS: Final[dict[tuple[int, int, int], ColorTags]] = {}


def tags(image: av.VideoFrame) -> ColorTags:
    """How this picture says its colours are coded. RGB counts as "not said"."""
    matrix = int(image.colorspace)
    if matrix == 0:  # AVCOL_SPC_RGB
        return UNTAGGED
    numbers = matrix, int(image.color_primaries), int(image.color_trc)
    if (known := _TAGS.get(numbers)) is None:
        known = ColorTags(*numbers)
        if len(_TAGS) < MOST_TAGS:
            _TAGS[numbers] = known
    return known


def with_tags(image: av.VideoFrame, color: ColorTags, color_range: int = 0) -> av.VideoFrame:
    image.colorspace, image.color_primaries = color.matrix, color.primaries
    image.color_trc, image.color_range = color.transfer, color_range
    return image


def sws_matrix(matrix: int) -> int:
    """The swscale number of an AVColorSpace; BT.601 for what is not said or not known."""
    return _SWS_COLORSPACE.get(matrix, SWS_BT601)


def nearest(stored: av.VideoFormat) -> str:
    """The layout between two nodes into which pictures of a layout of libavutil lose least."""
    channels = [component.is_alpha for component in stored.components]
    if stored.has_palette or (any(channels) and (stored.is_rgb or len(channels) == 2)):
        return "rgba"
    if any(channels):
        return ALPHA_YUV
    if stored.is_rgb:
        return "rgb24"
    if len(channels) == 1:
        return "gray"
    wide, high = stored.chroma_width(8), stored.chroma_height(8)
    if wide == 8:
        return "yuv444p"
    return "yuv422p" if high == 8 else "yuv420p"


_FULL: Final = ("yuvj", "rgb", "bgr", "gbr", "argb", "abgr", "gray", "ya8", "ya16", "pal8")
"""How the names of layouts begin that have no limited range."""


def is_full_range(image: av.VideoFrame) -> bool:
    name = image.format.name
    return image.color_range == FULL or name.startswith(_FULL)


def is_as_wanted(image: av.VideoFrame, layout: str, width: int = 0, height: int = 0) -> bool:
    """Whether a picture is what convert() would make of it. Asked some times at each picture."""
    if image.format.name != layout or (width and width != image.width):
        return False
    if height and height != image.height:
        return False
    if layout in YUV_LAYOUTS:
        return image.color_range != FULL
    return is_yuv(layout) is not is_full_range(image)


def convert(
    image: av.VideoFrame,
    layout: str,
    width: int = 0,
    height: int = 0,
    color: ColorTags | None = None,
    interpolation: str = "BICUBIC",
) -> av.VideoFrame:
    """The picture in `layout` (YUV limited, everything else full range), scaled where a size is
    given, in one swscale call. `color`: the tags for the way from RGB to YUV.

    Returns the same object when there is nothing to do.
    """
    if is_as_wanted(image, layout, width, height):
        return image
    width, height = width or image.width, height or image.height
    full, to_yuv = is_full_range(image), is_yuv(layout)
    color = color if color is not None and tags(image) == UNTAGGED else tags(image)
    matrix = sws_matrix(color.matrix)
    key = (image.format.name, *_size(image), layout, width, height, matrix, full, interpolation)
    new = _scaler(key).reformat(
        image,
        width,
        height,
        layout,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        interpolation=interpolation,
        src_color_range=FULL if full else LIMITED,
        dst_color_range=LIMITED if to_yuv else FULL,
        threads=1,
    )
    return with_tags(new, color if to_yuv else UNTAGGED, LIMITED if to_yuv else FULL)


SCALERS: Final = 16
"""Most swscale contexts that one thread keeps. Making one costs up to twice what a frame does."""

_scalers = threading.local()


def _scaler(key: tuple[object, ...]) -> VideoReformatter:
    """The swscale context of this thread for one conversion; they may not be shared by threads.

    One slice thread each: more of them cost CPU, and the frames are already worked on in parallel.
    """
    kept: dict[tuple[object, ...], VideoReformatter] = _scalers.__dict__.setdefault("kept", {})
    scaler = kept.pop(key, None) or VideoReformatter()
    kept[key] = scaler
    if len(kept) > SCALERS:
        del kept[next(iter(kept))]
    return scaler


def _size(image: av.VideoFrame) -> tuple[int, int]:
    return image.width, image.height


def to_rgb(image: av.VideoFrame) -> Plane:
    """(height, width, 3) uint8 RGB, read only; a view of the converted picture, not a copy."""
    return _frozen(planes(convert(image, "rgb24"))[0])


def to_mask(image: av.VideoFrame) -> Plane:
    """(height, width) uint8, read only: the brightness of the picture, 0..255."""
    return _frozen(planes(convert(image, "gray"))[0])


def _frozen(array: Plane) -> Plane:
    array.flags.writeable = False
    return array


def from_rgb(
    array: Plane,
    layout: str = "rgb24",
    color: ColorTags | None = None,
    origin: av.VideoFrame | None = None,
) -> av.VideoFrame:
    """A picture in `layout` from (height, width, 3) uint8 RGB, or 4 with alpha. `color`: the tags
    of its YUV.

    origin: a picture that says the rest of what this one says of itself.
    """
    packed = "rgba" if array.shape[2] == 4 else "rgb24"
    return convert(_from_array(array, packed, origin), layout, color=color)


def from_mask(
    array: Plane,
    layout: str = "gray",
    color: ColorTags | None = None,
    origin: av.VideoFrame | None = None,
) -> av.VideoFrame:
    """A grey picture in `layout` from (height, width) uint8; the rest as in `from_rgb`."""
    return convert(_from_array(array, "gray", origin), layout, color=color)


def _from_array(array: Plane, layout: str, origin: av.VideoFrame | None) -> av.VideoFrame:
    height, width = array.shape[:2]
    if origin is None:
        image = av.VideoFrame(width, height, layout)
    else:
        image = blank(origin, width, height, layout)
    planes(image)[0][...] = array
    return with_tags(image, UNTAGGED, FULL)


_RED_BLUE: Final = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}
"""Kr and Kb of BT.709, BT.2020 and SMPTE 240M; everything else is BT.601 (0.299, 0.114)."""


def yuv_of(rgb: Sequence[int], matrix: int) -> tuple[int, int, int]:
    """Limited-range Y, Cb, Cr (16..235, 16..240) of an RGB colour (0..255) under a matrix tag."""
    red, green, blue = (value / 255 for value in rgb[:3])
    kr, kb = _RED_BLUE.get(matrix, (0.299, 0.114))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    return round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr)


def yuv_weights(matrix: int) -> tuple[tuple[float, float, float], ...]:
    """What red, green and blue (0..255) weigh in Y, Cb and Cr, limited range, under a matrix tag.

    16 is to be added to Y, 128 to Cb and Cr.
    """
    kr, kb = _RED_BLUE.get(matrix, (0.299, 0.114))
    kg = 1 - kr - kb
    luma, blue, red = 219 / 255, 112 / 255 / (1 - kb), 112 / 255 / (1 - kr)
    return (
        (kr * luma, kg * luma, kb * luma),
        (-kr * blue, -kg * blue, (1 - kb) * blue),
        ((1 - kr) * red, -kg * red, -kb * red),
    )
