"""Make test pictures and a test tone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from math import ceil, tau
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias

import av
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from pydantic import Field, field_validator

from composer import Audio, Chosen, Context, Live, Node, Paint, rgba
from composer.media import rates
from composer.node.formats import YUV_LAYOUTS
from composer.node.frames import UNTAGGED, ColorTags
from composer.pictures import areas, barcode, chain, pixels

BT601: Final = ColorTags(6, 6, 6)
"""SMPTE 170M for matrix, primaries and transfer (ISO/IEC 23091-2)."""

SAMPLE_RATE: Final = 48_000
BLOCK: Final = 1024
"""Samples in a block of sound: one AAC frame."""

LOUDNESS: Final = 0.125
"""Peak of the tone: -18 dB below full scale, the alignment level of EBU R 68."""

SWEEP_SECONDS: Final = 4
"""Time in which the marker of `bars` crosses the picture."""

_TOP: Final = ("#bfbfbf", "#bfbf00", "#00bfbf", "#00bf00", "#bf00bf", "#bf0000", "#0000bf")
_MIDDLE: Final = ("#0000bf", "#131313", "#bf00bf", "#131313", "#00bfbf", "#131313", "#bfbfbf")
_BOTTOM: Final = ("#00214c", "#ffffff", "#32006a", "#131313", "#090909", "#131313", "#1d1d1d")
"""The three rows of SMPTE EG 1: bars at 75 %, castellations, and -I, white, +Q, black, PLUGE."""

_GLYPHS: Final = "0123456789:."

Draw: TypeAlias = "Callable[[int], av.VideoFrame]"


class SourceItem(NamedTuple):
    """A picture or a block of sound."""

    image: Chosen | None = None
    audio: Audio | None = None


class TestSource(Node):
    """Make pictures and a tone to try a pipeline with; no file is needed.

    image: `width` x `height` at `fps`, times in 1/90000 second from 0, BT.601 tags. audio: blocks
    of 1024 samples, 48 kHz, mono float, a sine at -18 dB full scale; none while `tone` is 0.
    Everything is made as fast as it is asked for, and is the same at each run. In a session it
    comes at the pace of the clock; what could not be given in its time is left out.

    bars: SMPTE colour bars at 75 %, above them the number of the picture as a bar code
    (composer.pictures.barcode), below them a marker that crosses the picture in 4 s. ramp: grey
    from black at the left to white. noise: grey, from `seed`. counter: time and number of the
    picture in digits, with the bar code. testsrc: FFmpeg's testsrc2. solid: one `color`.
    """

    __test__: ClassVar[bool] = False  # its name is not meant for pytest

    width: int = Field(1280, ge=16, le=8192, description="pixels")
    height: int = Field(720, ge=16, le=8192, description="pixels")
    fps: float | str = Field(
        30, description='pictures per second, 1..240: 30, 29.97 (is 30000/1001) or "30000/1001"'
    )
    duration: float = Field(5, ge=0, le=1_000_000, description="seconds; 0: without end")
    pattern: Literal["bars", "ramp", "noise", "counter", "testsrc", "solid"] = Field(
        "bars", description="what the pictures show"
    )
    color: Paint = Live("gray", description="colour of pattern solid")
    tone: float = Live(0, ge=0, le=20_000, description="pitch of the sound in Hz; 0: no sound")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="another one gives other noise")

    _draw: Draw | None = None
    _sound: bool = False
    _phase: float = 0.0
    _ctx: Context | None = None

    @field_validator("fps")
    @classmethod
    def _is_a_rate(cls, written: float | str) -> float | str:
        rates.frame_rate(written)
        return written

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        return self.width, self.height

    def media_seconds(self, source: str, folder: Path) -> float | None:
        return self.duration or None

    def setup(self, ctx: Context) -> None:
        if "image" in ctx.outputs:
            layout = ctx.outputs["image"].layout
            self._draw = PATTERNS[self.pattern](self, empty(self.width, self.height, layout))
        self._sound = "audio" in ctx.outputs
        self._ctx = ctx if ctx.live else None

    def process(self) -> Iterator[SourceItem]:
        rate = rates.frame_rate(self.fps)
        length = Fraction(str(self.duration))
        heard = 0
        numbers: Iterator[int] = iter(range(ceil(length * rate))) if length else count()
        for number in numbers if self._ctx is None else self._paced(self._ctx, numbers, rate):
            pts = rates.ticks(number, rate)
            if self._ctx is not None:  # skip the sound of pictures that were skipped
                late = (pts * SAMPLE_RATE // 90_000 - heard) // BLOCK - SAMPLE_RATE // BLOCK
                heard += max(late, 0) * BLOCK
            while self._sound and heard * 90_000 <= pts * SAMPLE_RATE:
                yield from self._block(heard, BLOCK)
                heard += BLOCK
            if self._draw is not None:
                image = self._draw(number)
                image.pts, image.time_base = pts, rates.TIME_BASE
                yield SourceItem(image=image)
        while self._sound and heard < length * SAMPLE_RATE:
            yield from self._block(heard, min(BLOCK, ceil(length * SAMPLE_RATE) - heard))
            heard += BLOCK

    def _paced(self, ctx: Context, numbers: Iterator[int], rate: Fraction) -> Iterator[int]:
        """Each number when its time has come; none whose successor's time has come, too."""
        begin = ctx.now()
        for number in numbers:
            early = begin + float(number / rate) - ctx.now()
            if early > 0 and ctx.wait(early):
                return
            if early > -float(1 / rate):
                yield number

    def _block(self, start: int, samples: int) -> Iterator[SourceItem]:
        """Sound that goes on where the block before ended, whatever its pitch was."""
        if not self.tone:
            return
        step = tau * self.tone / SAMPLE_RATE
        wave = LOUDNESS * np.sin(self._phase + step * np.arange(samples))
        self._phase = (self._phase + step * samples) % tau
        block = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield SourceItem(audio=block)


def empty(width: int, height: int, layout: str) -> av.VideoFrame:
    """A black picture with the tags that all test pictures have."""
    new = av.VideoFrame(width, height, layout)
    if layout in YUV_LAYOUTS:
        pixels.with_tags(new, BT601, pixels.LIMITED)
    else:
        pixels.with_tags(new, UNTAGGED, pixels.FULL)
    areas.fill(new, (0, 0, 0, 255), (0, 0, width, height))
    return new


def levels(image: av.VideoFrame) -> tuple[int, int]:
    """What black and white are in its first plane."""
    return (16, 235) if image.format.name in YUV_LAYOUTS else (0, 255)


def write_grey(image: av.VideoFrame, top: int, left: int, grey: pixels.Plane) -> None:
    """Put (height, width) levels into a picture whose colour there is neutral already."""
    first = pixels.planes(image)[0]
    part = first[top : top + grey.shape[0], left : left + grey.shape[1]]
    grey = grey[: part.shape[0], : part.shape[1]]
    if part.ndim == 2:
        part[...] = grey
        return
    for channel in range(3):  # one by one: ten times as fast as all at once
        part[..., channel] = grey


def strip_height(height: int) -> int:
    """Rows of the bar code at the top: a sixteenth of the picture."""
    return max(height // 16 // 2 * 2, 2)


def write_number(image: av.VideoFrame, number: int) -> None:
    """The bar code of pattern `bars` and `counter`, in the topmost rows."""
    dark, bright = levels(image)
    row = np.full((1, image.width), dark, np.uint8)
    barcode.write(row, number, dark, bright)
    write_grey(image, 0, 0, np.broadcast_to(row, (strip_height(image.height), image.width)))


def copies(base: av.VideoFrame) -> Callable[[], av.VideoFrame]:
    """A function that gives a copy of a picture.

    libavfilter takes the memory of pictures that nobody holds any more. Memory from the system
    would be new for each picture, and its page faults cost 0.5 ms at 1280x720.
    """
    running = chain.Chain()
    return lambda: running.run(base, ("copy", {}))


def bars(node: TestSource, base: av.VideoFrame) -> Draw:
    width, height, strip = node.width, node.height, strip_height(node.height)
    inner = height - 2 * strip
    columns = [width * place // 7 // 2 * 2 for place in range(7)] + [width]
    rows = [strip, *(strip + inner * part // 100 // 2 * 2 for part in (67, 75)), height - strip]
    for row, colors in enumerate((_TOP, _MIDDLE, _BOTTOM)):
        for column, color in enumerate(colors):
            box = (columns[column], rows[row], columns[column + 1], rows[row + 1])
            areas.fill(base, rgba(color), box)
    marker = np.full((strip, 2 * strip), levels(base)[1], np.uint8)
    fresh = copies(base)
    per_picture = width / (SWEEP_SECONDS * rates.frame_rate(node.fps))

    def draw(number: int) -> av.VideoFrame:
        image = fresh()
        write_number(image, number)
        write_grey(image, height - strip, int(number * per_picture) % width, marker)
        return image

    return draw


def ramp(node: TestSource, base: av.VideoFrame) -> Draw:
    row = np.linspace(*levels(base), node.width).round().astype(np.uint8)
    write_grey(base, 0, 0, np.broadcast_to(row, (node.height, node.width)))
    fresh = copies(base)
    return lambda number: fresh()


def noise(node: TestSource, base: av.VideoFrame) -> Draw:
    """Each picture is another part of one long row of random levels: as fast as a copy."""
    fresh = copies(base)
    chance = np.random.default_rng(node.seed)
    dark, bright = levels(base)
    size = node.width * node.height
    row = chance.integers(dark, bright + 1, size + _SHIFTS, np.uint8)

    def draw(number: int) -> av.VideoFrame:
        image = fresh()
        shift = int(chance.integers(_SHIFTS))
        write_grey(image, 0, 0, row[shift : shift + size].reshape(node.height, node.width))
        return image

    return draw


_SHIFTS: Final = 1 << 16


def counter(node: TestSource, base: av.VideoFrame) -> Draw:
    areas.fill(base, rgba("#404040"), (0, 0, node.width, node.height))
    glyphs = digits(max(min(node.width // 10, node.height // 5), 6), levels(base))
    tall, wide = glyphs["0"].shape
    fresh = copies(base)
    rate = rates.frame_rate(node.fps)

    def write(image: av.VideoFrame, text: str, middle: int) -> None:
        line = np.concatenate([glyphs[letter] for letter in text], axis=1)
        left, top = max(node.width - wide * len(text), 0) // 2, max(middle - tall // 2, 0)
        write_grey(image, top, left, line)

    def draw(number: int) -> av.VideoFrame:
        image = fresh()
        write_number(image, number)
        write(image, clock(number / rate), node.height * 2 // 5)
        write(image, f"{number:08d}", node.height * 7 // 10)
        return image

    return draw


def clock(seconds: Fraction) -> str:
    """00:00:05.033; begins again after 100 hours."""
    thousandths = int(seconds * 1000)
    hours, rest = divmod(thousandths // 1000, 3600)
    return f"{hours % 100:02d}:{rest // 60:02d}:{rest % 60:02d}.{thousandths % 1000:03d}"


def digits(size: int, shades: tuple[int, int]) -> dict[str, pixels.Plane]:
    """Letter -> levels of white on black, all in boxes of one size."""
    font = PIL.ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox("0123456789")
    wide, tall = ceil((right - left) / 10) + 1, ceil(bottom - top) + size // 4
    dark, bright = shades
    glyphs = {}
    for letter in _GLYPHS:
        box = PIL.Image.new("L", (wide, tall))
        pen = (wide / 2, tall - size // 8)
        PIL.ImageDraw.Draw(box).text(pen, letter, 255, font, anchor="ms")
        shade = dark + np.asarray(box, np.float32) / 255 * (bright - dark)
        glyphs[letter] = shade.round().astype(np.uint8)
    return glyphs


def solid(node: TestSource, base: av.VideoFrame) -> Draw:
    fresh = copies(base)
    shown = ""

    def draw(number: int) -> av.VideoFrame:
        nonlocal shown
        if shown != node.color:
            shown = node.color
            areas.fill(base, rgba(shown), (0, 0, node.width, node.height))
        return fresh()

    return draw


def testsrc(node: TestSource, base: av.VideoFrame) -> Draw:
    graph = av.filter.Graph()
    graph.threads = 1
    # it draws in whole chroma samples only, so an odd picture is cut from an even one
    even = f"{node.width + node.width % 2}x{node.height + node.height % 2}"
    source = graph.add("testsrc2", size=even, rate=str(rates.frame_rate(node.fps)))
    cut = graph.add("crop", f"{node.width}:{node.height}:0:0:exact=1")
    sink = graph.add("buffersink")
    graph.link_nodes(source, graph.add("format", base.format.name), cut, sink).configure()

    def draw(number: int) -> av.VideoFrame:
        image = graph.pull()
        assert isinstance(image, av.VideoFrame)
        return pixels.with_tags(image, pixels.tags(base), base.color_range)

    return draw


PATTERNS: Final = {
    "bars": bars,
    "ramp": ramp,
    "noise": noise,
    "counter": counter,
    "testsrc": testsrc,
    "solid": solid,
}
