"""What a reader makes of a stream: numbers and times of its pictures, and the sound as it is heard.

Of a session's reader, of a file's reader, and of libavformat with libavcodec, all in one form.
"""

import io
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from composer.media.live_reader import LiveReader
from composer.media.reader import Reader
from composer.node.formats import Carrier
from composer.pictures import barcode, pixels
from composer.session.ingress import Ingress

HOLE: Final = 0.05
"""Seconds of nothing between blocks that make two of one span of sound: more than one block."""


Samples: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Span:
    """Sound without a hole. begin, end: seconds. share: of its energy that the tone has.

    wave: its first channel, where it was heard.
    """

    begin: float
    end: float
    tone: float
    share: float
    rate: int
    channels: int
    wave: Samples | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return (
            f"{self.begin:.3f}-{self.end:.3f} s {self.tone:.0f} Hz {self.share:.0%}"
            f" {self.channels}x{self.rate}"
        )

    def between(self, begin: float, end: float) -> "Span":
        """The part between two times, heard anew."""
        begin, end = max(begin, self.begin), min(end, self.end)
        if self.wave is None or end <= begin:
            return self
        first = round((begin - self.begin) * self.rate)
        wave = self.wave[first : first + round((end - begin) * self.rate)]
        tone, share = _tone(wave, self.rate)
        return replace(self, begin=begin, end=end, tone=tone, share=share, wave=wave)


def _tone(wave: Samples, rate: int) -> tuple[float, float]:
    """The loudest tone, and its share of the energy."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    whole = float(power.sum())
    if whole < 1e-6:
        return 0.0, 0.0
    best, width = int(power.argmax()), max(1, round(20 * len(wave) / rate))
    near = float(power[max(0, best - width) : best + width].sum())
    return best * rate / len(wave), near / whole


@dataclass(slots=True)
class Seen:
    """numbers and times (seconds; None where none is known) of the pictures, spans of sound.

    late: pictures that FFmpeg's command takes to be no later than one before them, and leaves out.
    """

    pictures: list[tuple[int | None, float | None]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    damaged: int = 0
    late: set[int | None] = field(default_factory=set)

    @property
    def numbers(self) -> list[int | None]:
        return [number for number, _ in self.pictures]

    @property
    def seconds(self) -> float:
        """Of sound, in all."""
        return sum(span.end - span.begin for span in self.spans)

    def from_first(self) -> "Seen":
        """The same, times counted from the first picture (or the first sound without one)."""
        first = next((at for _, at in self.pictures if at is not None), None)
        if first is None:
            first = self.spans[0].begin if self.spans else 0.0
        pictures = [(number, None if at is None else at - first) for number, at in self.pictures]
        spans = [
            replace(span, begin=span.begin - first, end=span.end - first) for span in self.spans
        ]
        return replace(self, pictures=pictures, spans=spans)


_Block: TypeAlias = tuple[float, Samples, int]
"""Seconds, (channels, samples), rate."""


class _Gatherer:
    """Frames in any order, as a Seen."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._blocks: list[_Block] = []
        self._guess = _Guess()
        self._newest: int | None = None

    def add(self, frame: Any) -> None:
        at = None if frame.pts is None else float(frame.pts * frame.time_base)
        if isinstance(frame, av.VideoFrame):
            self.seen.pictures.append((number(frame), at))
            guessed = self._guess(frame.pts, frame.dts)
            if guessed is not None and self._newest is not None and guessed <= self._newest:
                self.seen.late.add(self.seen.pictures[-1][0])
            elif guessed is not None:
                self._newest = guessed
        elif frame.samples:
            self._blocks.append(
                (self._after() if at is None else at, _samples(frame), frame.sample_rate)
            )

    def done(self) -> Seen:
        held: list[_Block] = []
        for block in self._blocks:
            if held and not _follows(held[-1], block):
                self.seen.spans.append(_span(held))
                held = []
            held.append(block)
        if held:
            self.seen.spans.append(_span(held))
        return self.seen

    def _after(self) -> float:
        if not self._blocks:
            return 0.0
        at, samples, rate = self._blocks[-1]
        return float(at + samples.shape[1] / rate)


@dataclass(slots=True)
class _Guess:
    """The time of a picture as libavcodec guesses it of what is written (guess_correct_pts)."""

    last_pts: int = -(1 << 62)
    last_dts: int = -(1 << 62)
    faulty_pts: int = 0
    faulty_dts: int = 0

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self.faulty_dts += dts <= self.last_dts
            self.last_dts = dts
        elif pts is not None:
            self.last_dts = pts
        if pts is not None:
            self.faulty_pts += pts <= self.last_pts
            self.last_pts = pts
        elif dts is not None:
            self.last_pts = dts
        good = self.faulty_pts <= self.faulty_dts or dts is None
        return pts if good and pts is not None else dts


def _follows(before: _Block, block: _Block) -> bool:
    at, samples, rate = before
    same = samples.shape[0] == block[1].shape[0] and rate == block[2]
    return same and abs(block[0] - at - samples.shape[1] / rate) < HOLE


def _samples(frame: av.AudioFrame) -> Samples:
    samples = frame.to_ndarray().astype(np.float64)
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    scale = {"s16": 32768.0, "s32": float(1 << 31)}.get(frame.format.name.removesuffix("p"), 1.0)
    return samples / scale


def _span(blocks: Sequence[_Block]) -> Span:
    begin, first, rate = blocks[0]
    wave = np.concatenate([block[0] for _, block, _ in blocks])
    last, tail, _ = blocks[-1]
    end = last + tail.shape[1] / rate
    tone, share = _tone(wave, rate)
    return Span(begin, end, tone, share, rate, first.shape[0], wave)


def number(image: av.VideoFrame) -> int | None:
    """The number in a picture; None where it cannot be read."""
    if image.format.name not in ("yuv420p", "yuv422p", "yuv444p", "yuvj420p"):
        image = image.reformat(format="yuv420p")
    luma = pixels.planes(image)[0]
    return barcode.read(luma[: luma.shape[0] // 2])


# readers


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes are missing here: those from `begin` to `end` of the whole stream."""

    begin: int
    end: int


def by_session(parts: Iterable[bytes | Gap], seed: int = 1, most: int = 5000) -> Seen:
    """What a session's reader gives, the bytes fed in pieces of any size."""
    source = random.Random(seed)
    ingress = Ingress(most_bytes=1 << 30, most_units=1 << 20)
    for part in parts:
        if isinstance(part, Gap):
            ingress.gap()
            continue
        for piece in pieces(part, source, most):
            ingress.put(piece)
    ingress.end()
    reader = LiveReader(ingress, layout="yuv420p", sound=Carrier.FRAME)
    seen = _gathered(reader.read())
    seen.damaged = reader.damaged
    return seen


def by_run(path: Path, kinds: Sequence[str] = ("pictures", "sound")) -> Seen:
    """What `byoc run` reads from a file."""
    layout = "yuv420p" if "pictures" in kinds else ""
    reader = Reader(str(path), layout=layout, sound=Carrier.FRAME if "sound" in kinds else None)
    try:
        seen = _gathered(reader.read())
    finally:
        reader.close()
    seen.damaged = reader.damaged
    return seen


def pieces(data: bytes, source: random.Random, most: int) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = source.randrange(1, most)
        yield data[at : at + size]
        at += size


def _gathered(frames: Iterable[Any]) -> Seen:
    gatherer = _Gatherer()
    for frame in frames:
        gatherer.add(frame)
    return gatherer.done()


Choice = Callable[[Any, str], Any]
"""Takes a container and a kind of track: the stream, or None."""


def first_of(*pids: int) -> Choice:
    """Streams by PID, as the caller knows them."""

    def choose(container: Any, kind: str) -> list[Any]:
        return [one for one in container.streams if one.type == kind and one.id in pids]

    return choose


def best(container: Any, kind: str) -> list[Any]:
    """libavformat's choice: the sound is that of the programme of the pictures."""
    image = container.streams.best("video") if kind == "audio" else None
    found = container.streams.best(kind, related=image)
    return [] if found is None else [found]


def by_library(source: bytes | Path, choose: Choice = best, form: str | None = None) -> Seen:
    """What libavformat and libavcodec make of the same bytes.

    In one thread: what libavcodec makes of a damaged picture hangs on how many there are.
    """
    gatherer = _Gatherer()
    opened: Any
    given = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(given, format=form) as opened:
        used = [*choose(opened, "video"), *choose(opened, "audio")]
        for stream in used:
            stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        for packet in _demuxed(opened, used):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                gatherer.seen.damaged += 1
                continue
            for frame in frames:
                gatherer.seen.damaged += bool(frame.is_corrupt)
                gatherer.add(frame)
    return gatherer.done()


def _demuxed(opened: Any, used: list[Any]) -> Iterator[Any]:
    """Packets of these streams; what cannot be read is gone by, as FFmpeg's command does it."""
    failed = 0
    while failed < 8:
        try:
            yield from opened.demux(used)
        except IndexError:  # PyAV knows no stream that comes later
            continue
        except av.FFmpegError:
            failed += 1
            continue
        return
