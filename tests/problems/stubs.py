"""Nodes for the broken pipelines beside this file. None of them ever runs."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from composer import (
    RGB,
    YUV,
    Audio,
    Detections,
    Fixed,
    Live,
    Mask,
    Node,
    OwnYUV,
    Position,
    ReadFile,
)


class Camera(Node):
    """A source of pictures."""

    fps: int = Fixed(30, ge=1, le=120)

    def process(self) -> Iterator[OwnYUV]:
        raise NotImplementedError


class Microphone(Node):
    """A source of sound."""

    def process(self) -> Iterator[Audio]:
        raise NotImplementedError


class Both(NamedTuple):
    image: OwnYUV
    audio: Audio


class Recording(Node):
    """A source of pictures and sound."""

    path: str = ReadFile("")

    def process(self) -> Iterator[Both]:
        raise NotImplementedError


class Tint(Node):
    """YUV in, YUV out, with a field of every kind."""

    stateless = True

    amount: float = Live(0.5, ge=0, le=1)
    mode: Literal["warm", "cold"] = Live("warm")
    steps: int = Live(3, ge=1, le=10)
    inverted: bool = Live(False)  # noqa: FBT003 - the default of a field
    title: str = Live("", max_length=20)
    x: Position = Live("center")
    colors: int = 16
    table: str = ReadFile("")
    script: str = Fixed("")

    def process(self, image: YUV) -> OwnYUV:
        raise NotImplementedError


class Sharpen(Node):
    """RGB in, RGB out; keeps state; one field must be given."""

    radius: int = Live(ge=1, le=64)

    def process(self, image: RGB) -> RGB:
        raise NotImplementedError


class FindFaces(Node):
    """Takes pictures, gives what it finds in them."""

    least: float = Live(0.5, ge=0, le=1)

    def process(self, image: RGB) -> Detections:
        raise NotImplementedError


class HideFaces(Node):
    """Takes pictures and what was found in them."""

    strength: float = Live(0.8, ge=0, le=1)

    def process(self, image: RGB, regions: Detections) -> RGB:
        raise NotImplementedError


class Outline(Node):
    """Takes what was found, gives a mask."""

    def process(self, regions: Detections) -> Mask:
        raise NotImplementedError


class Loudness(Node):
    """Sound in, sound out."""

    gain: float = Live(0.0, ge=-60, le=20)

    def process(self, audio: Audio) -> Audio:
        raise NotImplementedError


class Screen(Node):
    """A sink of pictures."""

    def process(self, image: YUV) -> None:
        raise NotImplementedError


class Speaker(Node):
    """A sink of sound."""

    def process(self, audio: Audio) -> None:
        raise NotImplementedError


class Log(Node):
    """A sink of what was found."""

    def process(self, regions: Detections) -> None:
        raise NotImplementedError


class Palette:
    """Not a node."""
