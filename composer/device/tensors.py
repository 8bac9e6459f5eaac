"""Pictures as torch tensors on a device: up, down, scaled, fed to models, mixed.

A device picture is a (3, H, W) float tensor, RGB in 0..1. All work is given to the lane that the
thread is on, and nothing waits for it but `finish_download`. The numbers follow swscale, so that a
pipeline shows the same on a GPU as on a CPU; tests/device/test_tensors.py says how closely.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

from composer import lazy
from composer.device import lanes
from composer.device.lanes import Mark, Pinned
from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import UNTAGGED, ColorTags

with lazy.deferred():
    import av
    import numpy as np
    import torch

    from composer.pictures import pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

Shape: TypeAlias = tuple[int, ...]


def inferring(function: Callable[P, R]) -> Callable[P, R]:
    """torch.inference_mode as a decorator that does not import torch."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode():
            return function(*args, **kwargs)

    return call


class Extent(NamedTuple):
    width: int
    height: int


# up


@inferring
def upload(image: "av.VideoFrame", device: str, pinned: Pinned, dtype: str = "float32") -> "Tensor":
    """(3, H, W) RGB in 0..1 on the device, of a picture in one of LAYOUTS; alpha is dropped.

    The planes go up as bytes, in one copy through a buffer of `pinned`, and become RGB there.
    """
    layout = image.format.name
    shapes = _shapes(layout, image.width, image.height)
    buffer = pinned.borrow(_size(shapes))
    for there, plane in zip(_parts(buffer.numpy(), shapes), pixels.planes(image), strict=True):
        there[...] = plane
    flat = buffer.to(device, non_blocking=True)
    copied = lanes.mark(device)
    planes = _parts(flat, shapes)
    if layout in YUV_LAYOUTS:
        luma, blue, red = planes
        color, full = pixels.tags(image), pixels.is_full_range(image)
        new = from_yuv(luma, blue, red, color, full=full, dtype=dtype)
    else:
        new = torch.empty((3, image.height, image.width), dtype=dtype_of(dtype), device=device)
        new.copy_(planes[0] if layout == "gray" else planes[0][..., :3].permute(2, 0, 1))
        new.mul_(1 / 255)
    pinned.give_back(buffer, copied)
    return new


@inferring
def from_yuv(
    luma: "Tensor",
    blue: "Tensor",
    red: "Tensor",
    color: ColorTags,
    *,
    full: bool = False,
    dtype: str = "float32",
) -> "Tensor":
    """(3, H, W) RGB in 0..1 of planes of YUV on their device, as its colour tags say.

    luma: (H, W). blue, red: as large, or half as wide, or half as wide and high. uint8, or uint16
    whose upper byte is one (P010). full: their range is 0..255. A chroma sample is repeated for all
    pixels it covers: that is what swscale does where the size stays.
    """
    height, width = luma.shape
    base, gain, of_blue, of_red = _to_rgb(pixels.sws_matrix(color.matrix), full=full)
    luma, blue, red = _as_float(luma), _as_float(blue), _as_float(red)
    new = torch.empty((3, *blue.shape), device=luma.device)
    for plane, offset, in_blue, in_red in zip(new, base, of_blue, of_red, strict=True):
        torch.mul(blue, in_blue, out=plane).add_(red, alpha=in_red).add_(offset)
    new = _spread(new, width, height).add_(luma, alpha=gain).clamp_(0, 1)
    return new.to(dtype_of(dtype))


def from_nv12(
    luma: "Tensor",
    chroma: "Tensor",
    color: ColorTags,
    *,
    full: bool = False,
    dtype: str = "float32",
) -> "Tensor":
    """(3, H, W) RGB in 0..1 of NV12 or P010: luma (H, W), chroma (H/2, W/2, 2), uint8 or uint16."""
    return from_yuv(luma, chroma[..., 0], chroma[..., 1], color, full=full, dtype=dtype)


HARDWARE: Final = ("nv12", "p010le")
"""What a decoder leaves on the device (`sw_format` of a frame whose format is cuda)."""


@inferring
def from_hardware(image: "av.VideoFrame", dtype: str = "float32") -> "Tensor":
    """(3, H, W) RGB in 0..1 of a frame in NV12 or P010, on the device where it was decoded.

    Give such frames a lane of their own: their decoder waits for what that lane has to do.
    """
    inner = image.sw_format or image.format
    if inner.name not in HARDWARE or image.format.name not in (inner.name, "cuda"):
        raise ValueError(f"a decoder leaves {' or '.join(HARDWARE)} on a device, got {inner.name}")

    def read() -> "Tensor":
        # PyAV refuses the lane that torch would hand to __dlpack__, so torch gets the capsule.
        luma, chroma = (torch.from_dlpack(plane.__dlpack__()) for plane in image.planes)
        full = image.color_range == pixels.FULL
        return from_nv12(luma, chroma, pixels.tags(image), full=full, dtype=dtype)

    number = image.planes[0].__dlpack_device__()[1]
    return lanes.with_decoder(f"cuda:{number}" if image.format.name == "cuda" else "cpu", read)


def dtype_of(name: str) -> Any:
    return getattr(torch, name)


def _as_float(plane: "Tensor") -> "Tensor":
    """Levels of 0..255, with a fraction where the plane has more than 8 bits."""
    levels = plane.to(torch.float32)
    return levels.mul_(1 / 256) if plane.dtype == torch.uint16 else levels


@lru_cache(maxsize=32)
def _to_rgb(matrix: int, *, full: bool) -> tuple[list[float], float, list[float], list[float]]:
    """(offsets, gain of Y, gains of Cb, gains of Cr) that make R, G and B of 0..1 of levels."""
    weights = np.array(pixels.yuv_weights(matrix))
    if full:
        weights *= [[255 / 219], [255 / 224], [255 / 224]]
    luma, blue, red = np.linalg.inv(weights).T / 255
    base = luma * (0 if full else -16) - 128 * (blue + red)
    return base.tolist(), float(luma[0]), blue.tolist(), red.tolist()


def _spread(chroma: "Tensor", width: int, height: int) -> "Tensor":
    """(channels, height, width): each sample of planes half as wide or high repeated."""
    channels, rows, columns = chroma.shape
    down, across = (1 if rows == height else 2), (1 if columns == width else 2)
    spread = chroma[:, :, None, :, None].expand(-1, -1, down, -1, across)
    spread = spread.reshape(channels, rows * down, columns * across)
    # NV12 of an odd size comes without the chroma of the last row and column.
    missing = width - columns * across, height - rows * down
    if max(missing) > 0:
        ends = (0, max(missing[0], 0), 0, max(missing[1], 0))
        spread = torch.nn.functional.pad(spread, ends, mode="replicate")
    return spread[:, :height, :width].contiguous()


def _shapes(layout: str, width: int, height: int) -> list[Shape]:
    """Shapes of the planes of a picture, as pixels.planes gives them."""
    if layout not in YUV_LAYOUTS:
        channels = pixels.CHANNELS.get(layout)
        return [(height, width) if channels is None else (height, width, channels)]
    across, down = pixels.CHROMA_SHIFT[layout]
    chroma = (-(-height >> down), -(-width >> across))
    return [(height, width), chroma, chroma]


def _size(shapes: Sequence[Shape]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)


def _parts(flat: Any, shapes: Sequence[Shape]) -> list[Any]:
    """Views of one array or tensor, one behind the other."""
    ends = np.cumsum([np.prod(shape) for shape in shapes]).tolist()
    starts = [0, *ends[:-1]]
    return [
        flat[start:end].reshape(shape)
        for start, end, shape in zip(starts, ends, shapes, strict=True)
    ]


# down


@dataclass(frozen=True, slots=True)
class Download:
    """A picture on its way to the host. mark: when it has come; buffer: (size,) uint8, its planes.

    Belongs to one thread at a time; `finish_download` gives the buffer back.
    """

    buffer: "Tensor"
    mark: Mark
    pinned: Pinned
    layout: str
    width: int
    height: int
    color: ColorTags


@inferring
def begin_download(image: "Tensor", layout: str, color: ColorTags, pinned: Pinned) -> Download:
    """Send a (3, H, W) RGB picture to the host in one of LAYOUTS. color: the tags of its YUV.

    It is converted on its device and copied once, to a buffer of `pinned`; nothing waits.
    """
    flat = packed(image, layout, color)
    buffer = pinned.borrow(len(flat))
    buffer.copy_(flat, non_blocking=True)
    mark = lanes.mark(str(image.device))
    height, width = image.shape[1:]
    return Download(buffer, mark, pinned, layout, width, height, color)


def finish_download(begun: Download) -> "av.VideoFrame":
    """The picture, without a time. Waits until it has come; meant for the thread of the encoder."""
    begun.mark.wait()
    shapes = _shapes(begun.layout, begun.width, begun.height)
    image = av.VideoFrame(begun.width, begun.height, begun.layout)
    for plane, came in zip(pixels.planes(image), _parts(begun.buffer.numpy(), shapes), strict=True):
        plane[...] = came
    begun.pinned.give_back(begun.buffer)
    if begun.layout in YUV_LAYOUTS:
        return pixels.with_tags(image, begun.color, pixels.LIMITED)
    return pixels.with_tags(image, UNTAGGED, pixels.FULL)


def download(image: "Tensor", layout: str, color: ColorTags, pinned: Pinned) -> "av.VideoFrame":
    """Both at once, where the thread has nothing else to do."""
    return finish_download(begin_download(image, layout, color, pinned))


@inferring
def packed(image: "Tensor", layout: str, color: ColorTags) -> "Tensor":
    """(size,) uint8 on the device: the planes of the picture in `layout`, one behind the other.

    A sample of 4:2:0 chroma is the mean of the pixels it covers.
    """
    height, width = image.shape[1:]
    shapes = _shapes(layout, width, height)
    flat = torch.empty(_size(shapes), dtype=torch.uint8, device=image.device)
    parts = _parts(flat, shapes)
    image = image.to(torch.float32).clamp(0, 1)
    if layout in pixels.CHANNELS:
        parts[0][..., :3] = rounded(image.mul_(255)).permute(1, 2, 0)
        parts[0][..., 3:].fill_(255)
        return flat
    if layout == "gray":
        parts[0].copy_(rounded(gray(image).mul_(255)))
        return flat
    chroma = _shared(image, *pixels.CHROMA_SHIFT[layout])
    weights_of = pixels.yuv_weights(pixels.sws_matrix(color.matrix))
    for part, source, weights, offset in zip(
        parts, (image, chroma, chroma), weights_of, (16, 128, 128), strict=True
    ):
        part.copy_(rounded(_weighed(source, [255 * weight for weight in weights]).add_(offset)))
    return flat


def _weighed(image: "Tensor", weights: Sequence[float]) -> "Tensor":
    """(H, W): the channels' sum. (Multiplied matrices would be in TF32 where that is allowed.)"""
    red, green, blue = image
    return (red * weights[0]).add_(green, alpha=weights[1]).add_(blue, alpha=weights[2])


def gray(image: "Tensor") -> "Tensor":
    """(H, W) brightness, 0 black and 1 white: that of BT.601, as swscale's is for every source."""
    return _weighed(
        image, [weight * 255 / 219 for weight in pixels.yuv_weights(UNTAGGED.matrix)[0]]
    )


def rounded(levels: "Tensor") -> "Tensor":
    """Ready to be cut down to uint8; written over."""
    return levels.add_(0.5).clamp_(0, 255)


def _shared(image: "Tensor", across: int, down: int) -> "Tensor":
    """Means of the pixels that share a chroma sample; a last odd one counts for itself."""
    if not across:
        return image
    return torch.nn.functional.avg_pool2d(image, (1 << down, 1 << across), ceil_mode=True)


# size


@inferring
def resized(image: "Tensor", width: int, height: int) -> "Tensor":
    """(channels, height, width): means of what a new pixel covers where there are less pixels, as
    swscale's AREA; else what lies between, as its BILINEAR. May be the same tensor.
    """
    old = Extent(image.shape[2], image.shape[1])
    if width * height < old.width * old.height:
        if height < old.height:
            image = _narrowed(image, 1, height)
        if width < old.width:
            image = _narrowed(image, 2, width)
    if (height, width) == image.shape[1:]:
        return image
    between = torch.nn.functional.interpolate(
        image[None].to(torch.float32), (height, width), mode="bilinear", antialias=True
    )
    return between[0].to(image.dtype)  # on a CPU torch does not do it in halves


def _narrowed(image: "Tensor", axis: int, size: int) -> "Tensor":
    """Means along one axis. (torch's own `area` counts a pixel that two share twice.)"""
    device = str(image.device)
    places, weights = _cover(image.shape[axis], size, device, lanes.pointer(device))
    covered = image.index_select(axis, places).unflatten(axis, weights.shape)
    weights = weights.to(image.dtype)
    return (covered * (weights[..., None] if axis == 1 else weights)).sum(axis)


@lru_cache(maxsize=64)
def _cover(old: int, new: int, device: str, lane: int) -> "tuple[Tensor, Tensor]":
    """Which old pixels each new one covers, and how much of it each of them is.

    Returns (taps * new,) places and (taps, new) weights. They are made on the lane whose pointer is
    given, so another lane must not use them.
    """
    taps = -(-old // new) + (1 if old % new else 0)
    edges = torch.arange(new + 1, dtype=torch.float64, device=device) * (old / new)
    places = edges[:-1].floor() + torch.arange(taps, dtype=torch.float64, device=device)[:, None]
    upper = torch.minimum(edges[1:], places + 1)
    weights = (upper - torch.maximum(edges[:-1], places)).clamp_(min=0).mul_(new / old)
    return places.clamp_(max=old - 1).long().flatten(), weights.float()


# on the host


@inferring
def hosted(rgb: "NDArray[np.uint8]") -> "Tensor":
    """(3, H, W) in 0..1 on the CPU, of (H, W, 3) uint8 RGB."""
    # By NumPy, since torch warns of arrays that may not be written to.
    return torch.from_numpy(np.multiply(rgb.transpose(2, 0, 1), np.float32(1 / 255), order="C"))


@inferring
def as_rgb(image: "Tensor") -> "NDArray[np.uint8]":
    """(H, W, 3) uint8 RGB of a picture on the CPU, rounded and cut off at 0 and 255."""
    levels = image.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    rgb: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().numpy()
    return rgb


# nodes


@inferring
def mixed(base: "Tensor", top: "Tensor", weight: "float | Tensor") -> "Tensor":
    """`top` over `base`: 0 shows base, 1 top. weight: one number, or (H, W) on their device."""
    if isinstance(weight, float | int):
        return torch.lerp(base, top, weight)
    return torch.lerp(base, top, weight.to(base.dtype))
