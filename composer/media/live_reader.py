"""Units of a live stream as pictures and sound. Times stay those of the source, in 90 kHz.

One unit goes into the decoder, and what it completes comes out: nothing waits for the next one.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.hwaccel import HWAccel

from composer.media.awaited import Awaited
from composer.media.mpegts.demuxer import CLOCK, Track, Unit
from composer.media.packets import packet_of
from composer.media.timeline import Pace, Timeline
from composer.media.timeline import Track as Clock
from composer.node.frames import UNSAID
from composer.pictures.orientation import Orientation

log: Final = logging.getLogger(__name__)

TIME_BASE: Final = Fraction(1, CLOCK)

MOST_PIXELS: Final = 4096 * 2176
"""Largest picture of a live stream: a few bytes can ask for gigabytes."""

MOST_RATE: Final = 240
"""Pictures per second; parameter sets that say more do not know."""

BACK_SECONDS: Final = 0.3
"""A live clock that goes back further has begun anew: nobody waits until it has caught up."""

MOST_UNTIMED: Final = 32
"""Pictures and blocks of sound before the first one with a time that are kept."""

_WRAP: Final = 1 << 33
"""Ticks after which a clock of MPEG-TS begins again at 0."""


class LiveReader:
    """Decodes an iterable of Units, and of anything else where units are missing.

    The decoder says what can be seen: nothing before the first key picture or recovery point, nor
    behind a gap before the next one. Parameter sets outlive a gap.

    layout: the pixel layout of the pictures, "" for none. sound: whether samples are wanted.
    max_fps: 0 for all pictures; the rest are left out by their time. device: cuda:0, say, to decode
    there where it can; such pictures stay there, in FFmpeg's format `cuda`.
    """

    def __init__(
        self,
        units: Iterable[object],
        *,
        layout: str = "",
        sound: bool = False,
        max_fps: float = 0,
        threads: int = 1,
        max_pixels: int = MOST_PIXELS,
        device: str = "",
    ) -> None:
        self.damaged = 0
        """Units that could not be decoded, and pictures decoded in part."""

        self._units, self.layout, self._sound = units, layout, sound
        self._threads, self._max_pixels, self._device = threads, max_pixels, device
        self._pace = Pace(max_fps) if max_fps else None
        timeline = Timeline(Fraction(0), wraps=True, back=BACK_SECONDS)
        self._clocks = {
            "video": timeline.track(TIME_BASE, CLOCK // 25, "the input"),
            "audio": timeline.track(TIME_BASE, 1, "the input"),
        }
        self._decoders: dict[str, _Decoder] = {}
        self._lost: Counter[str] = Counter()  # by decoders that are gone
        self._untimed: dict[str, deque[Any]] = {
            kind: deque(maxlen=MOST_UNTIMED) for kind in self._clocks
        }
        self._unwrapped = _Unwrapped()
        self._orientation = Orientation()

    @property
    def lost(self) -> dict[str, int]:
        """What came and nobody was given, by reason.

        before_key: pictures before the first that could be decoded, at the beginning or behind a
        gap. damaged: pictures that could not be, and units of sound. time: what repeats a time or
        goes back.
        """
        found = self._lost.copy()
        for decoder in tuple(self._decoders.values()):
            found += decoder.lost
        found["time"] += sum(clock.repeated for clock in self._clocks.values())
        return dict(+found)

    @property
    def rate(self) -> Fraction:
        """Pictures per second as the stream says of itself; 0 where it does not, or where some are
        left out.
        """
        decoder = self._decoders.get("video")
        return decoder.rate if decoder is not None and self._pace is None else UNSAID

    def read(self) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """Pictures in the layout that was asked for and blocks of sound, as they are complete."""
        for unit in self._units:
            if not isinstance(unit, Unit):
                yield from self._drained()
            elif (unit.track.kind == "video" and self.layout) or (
                unit.track.kind == "audio" and self._sound
            ):
                yield from self._decoded(unit)
        yield from self._drained()

    def close(self) -> None:
        """Let go of the decoders."""
        for decoder in self._decoders.values():
            self._lost += decoder.lost
        self._decoders.clear()

    def _decoded(self, unit: Unit) -> Iterator[av.VideoFrame | av.AudioFrame]:
        kind = unit.track.kind
        decoder = self._decoders.get(kind)
        if decoder is None or decoder.track != unit.track:
            if decoder is not None:
                yield from self._stamped(kind, decoder.finish())
                self._lost += decoder.lost
            decoder = _Decoder(unit.track, self._threads, self._max_pixels, self._device)
            self._decoders[kind] = decoder
        frames = decoder.decode(unit, self._unwrapped)
        if decoder.failed:
            self._count_damaged()
        yield from self._stamped(kind, frames)

    def _drained(self) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """What the decoders hold; each goes on with the next key picture."""
        for kind, decoder in self._decoders.items():
            yield from self._stamped(kind, decoder.finish())

    def _stamped(self, kind: str, frames: list[Any]) -> Iterator[av.VideoFrame | av.AudioFrame]:
        for frame in frames:
            for timed in self._timed(kind, frame):
                if kind == "audio":
                    yield from _sounding(timed, self._clocks[kind])
                else:
                    yield from self._pictured(timed, self._clocks[kind])

    def _timed(self, kind: str, frame: Any) -> list[Any]:
        """The frame; those before the first one with a time wait for it, and count back from it."""
        early = self._untimed[kind]
        if self._clocks[kind].begun:
            return [frame]
        early.append(frame)
        if frame.pts is None:
            return []
        pts = frame.pts
        for before in reversed(list(early)[:-1]):
            pts -= _length(before) if kind == "audio" else CLOCK // 25
            before.pts = pts
        frames = list(early)
        early.clear()
        return frames

    def _pictured(self, image: av.VideoFrame, clock: Clock) -> Iterator[av.VideoFrame]:
        if image.is_corrupt:
            self._count_damaged()
        pts = clock.place(image.pts, None, image.duration)
        if pts is None or (self._pace is not None and not self._pace.takes(pts * clock.seconds)):
            return
        image.duration = 0
        image.pts, image.time_base, image.pict_type = pts, TIME_BASE, 0
        there = image.format.name == "cuda"
        yield image if there else self._orientation.upright(image, self.layout)

    def _count_damaged(self) -> None:
        self.damaged += 1
        if self.damaged == 1:
            log.warning("the input is damaged: what cannot be decoded is left out")


def _sounding(block: av.AudioFrame, clock: Clock) -> Iterator[av.AudioFrame]:
    pts = clock.place(block.pts, None, _length(block))
    if pts is not None:
        block.pts, block.time_base = pts, TIME_BASE
        yield block


def _length(block: av.AudioFrame) -> int:
    return round(block.samples * CLOCK / block.sample_rate)


class _Unwrapped:
    """Times of 33 bits as times that go on: each is near the one before it on its track, the first
    of a track near those of the other one.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._newest: int | None = None

    def __call__(self, kind: str, ticks: int | None) -> int | None:
        if ticks is None:
            return None
        near = self._last.get(kind, self._newest)
        if near is not None:
            ticks += round((near - ticks) / _WRAP) * _WRAP
        self._last[kind] = self._newest = ticks
        return ticks


def _hardware(device: str) -> Any:
    """NVDEC, its pictures left on the device. What it cannot decode FFmpeg decodes on the host."""
    index = device.partition(":")[2] or "0"
    # torch has made the context already, and FFmpeg refuses to make it with flags of its own
    # (PyAV #2339): it takes the one that is this thread's.
    shared: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
    return HWAccel(
        "cuda", device=index, allow_software_fallback=True, options=shared, is_hw_owned=True
    )


class _Decoder:
    """The decoder of one track."""

    def __init__(self, track: Track, threads: int, max_pixels: int, device: str = "") -> None:
        self.track: Final = track
        self.failed = False
        """Whether the last unit could not be decoded, and should have been."""
        self.rate = UNSAID
        """Pictures per second as its first parameter sets say."""

        there = _hardware(device) if device and track.kind == "video" else None
        context: Any = av.CodecContext.create(track.codec, "r", hwaccel=there)
        if track.extradata:
            context.extradata = track.extradata
        if track.channels:
            context.sample_rate = 48_000
            context.layout = {1: "mono", 2: "stereo"}.get(track.channels, f"{track.channels}c")
        if track.kind == "video":
            context.thread_type, context.thread_count = "SLICE", threads
        context.options = {"max_pixels": str(max_pixels), "pkt_timebase": str(TIME_BASE)}
        self._context = context
        self._awaited = Awaited(CLOCK // 25) if track.kind == "video" else None
        self._gone: Counter[str] = Counter()
        self._begun = self._given = False

    @property
    def lost(self) -> Counter[str]:
        """Units that nothing came of: before_key, damaged."""
        if self._awaited is None:
            return self._gone
        waited = self._awaited
        return self._gone + Counter(before_key=waited.late, damaged=waited.damaged)

    def decode(self, unit: Unit, unwrapped: _Unwrapped) -> list[Any]:
        packet = packet_of(unit.data)
        kind = self.track.kind
        packet.pts, packet.dts = unwrapped(kind, unit.pts), unwrapped(kind, unit.dts)
        packet.time_base = TIME_BASE
        self._begun = self._begun or unit.key
        if self._awaited is not None:
            self._awaited.sent(packet)
        try:
            frames = list(self._context.decode(packet))
        except av.FFmpegError as exc:
            self.failed = self._begun  # before a key picture nothing can be decoded
            self._gone["damaged"] += self._awaited is None
            log.debug("a unit of %s cannot be decoded: %s", self.track.codec, exc)
            return []
        self.failed = False
        if self._awaited is not None:
            for frame in frames:
                self._awaited.came(frame)
        if frames and not self._given:
            self._given = True
            said = Fraction(getattr(self._context, "framerate", 0) or 0)
            self.rate = said if 1 <= said <= MOST_RATE else UNSAID
        return frames

    def finish(self) -> list[Any]:
        """What it still held. What is decoded next begins at a key picture."""
        self._begun = False
        try:
            frames = list(self._context.decode(None))
        except av.FFmpegError:
            frames = []
        if self._context.is_open:
            self._context.flush_buffers()
        if self._awaited is not None:
            for frame in frames:
                self._awaited.came(frame)
            self._awaited.end()
            self._gone = self.lost
            self._awaited = Awaited(CLOCK // 25)
        return frames
