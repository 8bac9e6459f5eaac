"""Units of a live stream as pictures and sound. Times stay those of the source, in 90 kHz.

One unit goes into the decoder, and what it completes comes out: nothing waits for the next one.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, TypeAlias

import av
from av.codec.hwaccel import HWAccel

from composer.media.awaited import Awaited
from composer.media.mpegts.demuxer import CLOCK, Track, Unit
from composer.media.mpegts.sizes import size_of
from composer.media.mpegts.units import LONGEST_OPUS, opus_samples
from composer.media.packets import SoundPacket, packet_of
from composer.media.timeline import Pace, Timeline, TrackClock
from composer.node.formats import Carrier
from composer.node.frames import UNSAID
from composer.pictures.orientation import Orientation

log: Final = logging.getLogger(__name__)

TIME_BASE: Final = Fraction(1, CLOCK)

MOST_PIXELS: Final = 4096 * 2176
"""Largest picture of a live stream: a few bytes can ask for gigabytes."""

MOST_NALS: Final = 8192
"""NAL units in one picture: libavcodec takes some KiB for each of them, at once. One for each
macroblock of 1080p is as many.
"""

MOST_RATE: Final = 240
"""Pictures per second; parameter sets that say more do not know."""

BACK_SECONDS: Final = 0.3
"""A live clock that goes back further has begun anew: nobody waits until it has caught up."""

MOST_UNTIMED: Final = 32
"""Pictures and blocks of sound before the first one with a time that are kept."""

LONGEST_OPUS_SAMPLES: Final = 5760
"""120 ms at 48 kHz: a packet that says more is none (RFC 6716, 3.4)."""

_WRAP: Final = 1 << 33
"""Ticks after which a clock of MPEG-TS begins again at 0."""

Sounding: TypeAlias = av.AudioFrame | SoundPacket
"""A piece of sound, decoded or not."""


class LiveReader:
    """Decodes an iterable of Units, and of anything else where units are missing.

    The decoder says what can be seen: nothing before the first key picture or recovery point, nor
    behind a gap before the next one. Parameter sets outlive a gap.

    layout: the pixel layout of the pictures, "" for none. sound: samples (FRAME), packets as they
    were coded (PACKET; samples where they cannot go out so, see goes_out_as_it_is), or None.
    max_fps: 0 for all pictures; the rest are left out by their time. device: cuda:0, say, to decode
    there where it can; such pictures stay there, in FFmpeg's format `cuda`.
    """

    def __init__(
        self,
        units: Iterable[object],
        *,
        layout: str = "",
        sound: Carrier | None = None,
        max_fps: float = 0,
        threads: int = 1,
        max_pixels: int = MOST_PIXELS,
        device: str = "",
    ) -> None:
        self.damaged = 0
        """Units that could not be decoded, and pictures decoded in part."""
        self.recoded = ""
        """The codec of sound that was wanted as it is coded and cannot go out so; "" for none."""
        self.refused = ""
        """Why the pictures that come now are not decoded; "" where they are, or nobody knows."""

        self._units, self.layout, self.sound = units, layout, sound
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
        self._told: set[str] = set()

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

    def read(self) -> Iterator[av.VideoFrame | Sounding]:
        """Pictures in the layout that was asked for and pieces of sound, as they are complete."""
        for unit in self._units:
            yield from self._of(unit)
        yield from self._drained()

    def close(self) -> None:
        """Let go of the decoders."""
        for decoder in self._decoders.values():
            self._lost += decoder.lost
        self._decoders.clear()

    def _of(self, unit: object) -> Sequence[av.VideoFrame | Sounding]:
        """What a unit brings; anything else is a gap. A list, as all below: a generator for each
        step costs more than the step.
        """
        if not isinstance(unit, Unit):
            return self._drained()
        if unit.track.kind == "video":
            return self._decoded(unit) if self.layout else ()
        if self.sound is None:
            return ()
        copied = self.sound is Carrier.PACKET and self._copies(unit.track)
        return self._copied(unit) if copied else self._decoded(unit)

    def _copies(self, track: Track) -> bool:
        """Whether packets of a track are given as they are; what is not is told once."""
        if goes_out_as_it_is(track):
            self.recoded = ""
            return True
        self.recoded = track.codec
        if track.codec not in self._told:
            self._told.add(track.codec)
            log.info(
                "the sound of the input (%s, PID %d) is decoded and coded anew: what is copied is"
                " Opus of one or two channels",
                track.codec,
                track.pid,
            )
        return False

    def _copied(self, unit: Unit) -> list[av.VideoFrame | Sounding]:
        """A packet of Opus at its time. One that is damaged is left out: who hears the stream fills
        a gap better than noise.
        """
        held = self._let_go("audio")
        samples = 0 if unit.damaged else opus_samples(unit.data)
        pts = self._unwrapped("audio", unit.pts)
        if not 0 < samples <= LONGEST_OPUS_SAMPLES or len(unit.data) > LONGEST_OPUS:
            self._lost["damaged"] += 1
            self._count_damaged()
            return held
        codec, channels = unit.track.codec, unit.track.channels
        length = samples * CLOCK // 48_000
        packet = SoundPacket(unit.data, codec, channels, pts, TIME_BASE, length)
        return held + self._stamped("audio", [packet])

    def _decoded(self, unit: Unit) -> list[av.VideoFrame | Sounding]:
        kind = unit.track.kind
        decoder, held = self._decoders.get(kind), []
        if decoder is None or decoder.track != unit.track:
            held = self._let_go(kind)
            decoder = _Decoder(unit.track, self._threads, self._max_pixels, self._device)
            self._decoders[kind] = decoder
        frames = decoder.decode(unit, self._unwrapped)
        if decoder.failed:
            self._count_damaged()
            if unit.key and kind == "video":
                self._look_at_size(unit)
        elif frames and kind == "video":
            self.refused = ""
        stamped = self._stamped(kind, frames)
        return held + stamped if held else stamped

    def _look_at_size(self, unit: Unit) -> None:
        """Say why a key picture cannot be decoded, where that is its size."""
        width, height = size_of(unit.track.codec, unit.data) or (0, 0)
        if width * height <= self._max_pixels:
            return
        refused = f"pictures of {width}x{height}, and {self._max_pixels} pixels are the most"
        if refused != self.refused:
            log.warning("the input has brought %s", refused)
        self.refused = refused

    def _let_go(self, kind: str) -> list[av.VideoFrame | Sounding]:
        """What the decoder of a track that is no longer decoded still holds."""
        decoder = self._decoders.get(kind)
        if decoder is None:
            return []
        held = self._stamped(kind, decoder.finish())
        del self._decoders[kind]
        self._lost += decoder.lost
        return held

    def _drained(self) -> list[av.VideoFrame | Sounding]:
        """What the decoders hold; each goes on with the next key picture."""
        return [
            frame
            for kind, decoder in self._decoders.items()
            for frame in self._stamped(kind, decoder.finish())
        ]

    def _stamped(self, kind: str, frames: list[Any]) -> list[av.VideoFrame | Sounding]:
        clock, stamped = self._clocks[kind], []
        for frame in frames:
            for timed in (frame,) if clock.begun else self._timed(kind, frame):
                at_its_time = (
                    _sounding(timed, clock) if kind == "audio" else self._pictured(timed, clock)
                )
                if at_its_time is not None:
                    stamped.append(at_its_time)
        return stamped

    def _timed(self, kind: str, frame: Any) -> list[Any]:
        """Frames before the first one with a time wait for it, and count back from it."""
        early = self._untimed[kind]
        early.append(frame)
        if frame.pts is None:
            return []
        pts, frames = frame.pts, deque([frame])
        for before in reversed(list(early)[:-1]):
            pts -= _length(before) if kind == "audio" else CLOCK // 25
            frames.appendleft(_at(before, pts))
        early.clear()
        return list(frames)

    def _pictured(self, image: av.VideoFrame, clock: TrackClock) -> av.VideoFrame | None:
        if image.is_corrupt:
            self._count_damaged()
        pts = clock.place(image.pts, None, image.duration)
        if pts is None or (self._pace is not None and not self._pace.takes(pts * clock.seconds)):
            return None
        image.duration = 0
        image.pts, image.time_base, image.pict_type = pts, TIME_BASE, 0
        there = image.format.name == "cuda"
        return image if there else self._orientation.upright(image, self.layout)

    def _count_damaged(self) -> None:
        self.damaged += 1
        if self.damaged == 1:
            log.warning("the input is damaged: what cannot be decoded is left out")


def goes_out_as_it_is(track: Track) -> bool:
    """Whether the sound of a track can be sent to viewers without being coded anew: WebRTC takes
    Opus, and each packet of it may have one channel or two (RFC 6716, 3.1).
    """
    return track.codec == "opus" and track.channels <= 2


def _sounding(piece: Sounding, clock: TrackClock) -> Sounding | None:
    pts = clock.place(piece.pts, None, _length(piece))
    return None if pts is None else _at(piece, pts)


def _at(piece: Any, pts: int) -> Any:
    """A picture or a piece of sound at a time of ours."""
    if isinstance(piece, SoundPacket):
        return piece if piece.pts == pts else replace(piece, pts=pts)
    piece.pts, piece.time_base = pts, TIME_BASE
    return piece


def _length(piece: Sounding) -> int:
    if isinstance(piece, SoundPacket):
        return piece.duration
    return round(piece.samples * CLOCK / piece.sample_rate)


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


def _swarms(data: bytes) -> bool:
    """Whether a picture is in more pieces than any encoder makes of one."""
    return len(data) > 4 * MOST_NALS and data.count(b"\x00\x00\x01") > MOST_NALS


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
        if self._awaited is not None and _swarms(unit.data):
            self.failed = self._begun
            self._gone["damaged"] += 1
            return []
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
