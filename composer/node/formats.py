"""What an edge carries: Format, and the annotations by which a node declares it.

In a node's `process` the names below are ordinary types (an editor and mypy see the real class).
At run time they are empty marker classes, so that a declaration imports neither NumPy nor PyAV.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from composer.node.values import Detections, Record


class Kind(StrEnum):
    """What sort of thing travels on an edge."""

    PICTURE = "picture"
    AUDIO = "audio"
    MASK = "mask"
    DETECTIONS = "detections"
    RECORD = "record"
    ARRAY = "array"


class Carrier(StrEnum):
    """The Python object it travels in."""

    FRAME = "frame"  # av.VideoFrame or av.AudioFrame
    ARRAY = "array"  # numpy.ndarray
    PACKET = "packet"  # av.Packet of a file, SoundPacket of a stream: still coded
    TENSOR = "tensor"  # torch.Tensor, on the device of the Format
    VALUE = "value"  # a plain Python value


YUV_LAYOUTS: Final = ("yuv420p", "yuv422p", "yuv444p")
"""Planar 8-bit YUV, limited range. Every YUV layout between nodes is one of these."""

LAYOUTS: Final = (*YUV_LAYOUTS, "rgb24", "rgba", "gray")
"""Every pixel layout that any node must be ready for (libavutil's names)."""

ALPHA_YUV: Final = "yuva444p"
"""Planar YUV with alpha: a fourth plane, 0..255, straight (colours are not multiplied by it).

It is the only one, so that in such a picture all four planes have one size.
"""

EVERY_LAYOUT: Final = (*LAYOUTS, ALPHA_YUV)
"""Every pixel layout that a picture may have between two nodes. The last one only comes up where a
source is known to have alpha."""

CODED_LAYOUTS: Final = ("yuv420p", "rgb24", "gray")
"""What a codec takes that holds no alpha and no colour of each pixel; it codes the first one."""


def is_yuv(layout: str) -> bool:
    return layout.startswith("yuv")


def has_alpha(layout: str) -> bool:
    """Whether a layout, of ours or of libavutil, has a sample of alpha for each pixel."""
    return layout.startswith(("yuva", "ya", "gbrap")) or layout[:4] in (
        "rgba",
        "bgra",
        "argb",
        "abgr",
    )


@dataclass(frozen=True, slots=True)
class Format:
    """What one edge carries. `width` and `height` are 0 while they are not known."""

    kind: Kind
    layout: str = ""
    carrier: Carrier = Carrier.VALUE
    width: int = 0
    height: int = 0
    device: str = "cpu"

    @property
    def dtype(self) -> str:
        """Type of one sample of a picture or mask, "" for anything else."""
        if self.carrier is Carrier.TENSOR:
            return "float32"
        return "uint8" if self.kind in (Kind.PICTURE, Kind.MASK) else ""

    @property
    def range(self) -> str:
        """Range of one sample: YUV is limited (16..235), tensors 0..1, the rest full (0..255)."""
        if not self.dtype:
            return ""
        if self.carrier is Carrier.TENSOR:
            return "unit"
        return "limited" if is_yuv(self.layout) else "full"

    def sized(self, width: int, height: int) -> "Format":
        return replace(self, width=width, height=height)

    def __str__(self) -> str:
        words = [self.layout or str(self.kind)]
        if (
            self.carrier in (Carrier.ARRAY, Carrier.PACKET, Carrier.TENSOR)
            and self.kind is not Kind.ARRAY
        ):
            words.append(str(self.carrier))
        if self.width and self.height:
            words.append(f"{self.width}x{self.height}")
        if self.device != "cpu":
            words.append(f"on {self.device}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Layouts:
    """Annotation: the pixel layouts a Picture port takes or gives, the preferred one first."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True, slots=True)
class Own:
    """Annotation. On an input: the node writes into this picture, so it must be the only holder.

    On an output: the picture is made anew for each frame and the node keeps no hold on it.
    """


@dataclass(frozen=True, slots=True)
class OrTensor:
    """Annotation: besides as a Picture, the port gives or takes it as a Tensor of its device."""


if TYPE_CHECKING:
    import av
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Picture: TypeAlias = av.VideoFrame
    RGB: TypeAlias = NDArray[np.uint8]
    Mask: TypeAlias = NDArray[np.uint8]
    Audio: TypeAlias = av.AudioFrame
    Array: TypeAlias = NDArray[Any]
    Tensor: TypeAlias = torch.Tensor
else:

    class Picture:
        """av.VideoFrame on the host, in the pixel layout that the plan chose. Never written to."""

    class RGB:
        """NumPy array (H, W, 3) uint8, 0..255, on the host. Read only."""

    class Mask:
        """NumPy array (H, W) uint8 on the host: 0 is outside, 255 inside. Read only."""

    class Audio:
        """av.AudioFrame: decoded samples on the host. Never written to."""

    class Array:
        """NumPy array of any shape and dtype on the host: what a model takes and gives raw."""

    class Tensor:
        """torch.Tensor (3, H, W) float32 RGB, 0..1, on the node's device. Never written to."""


YUV = Annotated[Picture, Layouts(*YUV_LAYOUTS)]
"""A Picture in planar 8-bit YUV (limited range): what codecs speak."""

OwnYUV = Annotated[Picture, Layouts(*YUV_LAYOUTS), Own()]
"""A planar YUV picture that the node may write into and hand on."""

YUVA = Annotated[Picture, Layouts(*YUV_LAYOUTS, ALPHA_YUV)]
"""YUV, with a fourth plane of alpha where the source has one: `yuva444p`."""

OwnYUVA = Annotated[Picture, Layouts(*YUV_LAYOUTS, ALPHA_YUV), Own()]
"""The same, and the node may write into it and hand it on."""

Chosen = Annotated[Picture, Layouts(*LAYOUTS), Own()]
"""A new Picture in whichever layout the plan chose for the node: `ctx.outputs[port].layout`."""

Sound = Annotated[Audio, "packets"]
"""Sound as decoded samples or, where no node needs them, as the packets of the source. Samples may
come among packets, too: what cannot be copied is decoded where it is read."""

_ONE: Final[dict[Any, Format]] = {
    RGB: Format(Kind.PICTURE, "rgb24", Carrier.ARRAY),
    Mask: Format(Kind.MASK, "gray", Carrier.ARRAY),
    Audio: Format(Kind.AUDIO, "samples", Carrier.FRAME),
    Array: Format(Kind.ARRAY, "", Carrier.ARRAY),
    Tensor: Format(Kind.PICTURE, "rgb", Carrier.TENSOR),
    Detections: Format(Kind.DETECTIONS),
    Record: Format(Kind.RECORD),
}
PACKETS: Final = Format(Kind.AUDIO, "coded", Carrier.PACKET)


def formats_of(annotation: Any, marks: tuple[Any, ...] = ()) -> tuple[Format, ...]:
    """The Formats an annotation stands for, the preferred one first; empty when it is none.

    Raises ValueError for a pixel layout that does not exist.
    """
    if annotation is Audio and "packets" in marks:
        return (PACKETS, _ONE[Audio])
    if annotation in _ONE:
        return (_ONE[annotation],)
    if annotation is not Picture:
        return ()
    names = next((mark.names for mark in marks if isinstance(mark, Layouts)), LAYOUTS)
    for name in names:
        if name not in EVERY_LAYOUT:
            known = ", ".join(EVERY_LAYOUT)
            raise ValueError(f"{name!r} is not a pixel layout; there are {known}")
    pictures = tuple(Format(Kind.PICTURE, name, Carrier.FRAME) for name in names)
    there = any(isinstance(mark, OrTensor) for mark in marks)
    return (*pictures, _ONE[Tensor]) if there else pictures
