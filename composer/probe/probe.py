"""What a container holds and says of itself, found out from its first seconds.

Nothing is read further than asked for, and only the first pictures and sounds are decoded.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from composer.media import rows
from composer.media.containers import MAX_PIXELS, opened
from composer.media.mpegts import nals
from composer.media.mpegts.demuxer import Demuxer
from composer.media.reading import READ_ATTEMPTS
from composer.media.selection import candidates, choose
from composer.media.timeline import JUMP_SECONDS
from composer.probe import transport
from composer.probe.times import Times, Verdict
from composer.probe.transport import TransportReport

DECODED_SECONDS: Final = 5.0
DECODED_MOST: Final = 150
DECODED_TRACKS: Final = 8
"""How much is decoded: so many seconds, and pictures or sounds, of so many tracks."""

MOST_BYTES: Final = 256 << 20
"""Bytes after which reading ends where it was not asked to go to the end."""

MOST_TRANSPORT: Final = 64 << 20
"""Bytes of a transport stream whose packets are looked at one by one."""

SILENCE_SECONDS: Final = 10.0
"""How long a URL may say nothing."""

_COVER: Final = av.stream.Disposition.attached_pic
_ORDERS: Final = {
    1: "progressive",
    2: "top first",
    3: "bottom first",
    4: "top first",
    5: "bottom first",
}
"""AVFieldOrder, by the field that is shown first."""

_MATRICES: Final = {
    **{0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"},
    **{8: "ycgco", 9: "bt2020nc", 10: "bt2020c"},
}
"""AVColorSpace; av.video.reformatter.Colorspace has swscale's numbers."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Where decoding may begin, of the packets that were read.

    starts: how many of each kind (idr, cra, bla, recovery; key where the codec has no kinds).
    longest: pictures from one to the next at the most, longest_seconds: the same as time. before:
    pictures in front of the first. sets: pictures that bring parameter sets along.
    """

    starts: dict[str, int]
    longest: int
    longest_seconds: float
    before: int
    sets: int


@dataclass(frozen=True, slots=True)
class Image:
    """The pictures of a track, as they are stored.

    pixel_shape, shape: of a pixel and of the whole picture, "1:1" and "16:9"; "" where nobody says.
    order: progressive, top first, bottom first or "". interlaced: decoded pictures that are.
    rotation: degrees clockwise after which they are upright. color: range, matrix, primaries,
    transfer, "" for what nobody says. reordered: B-frames. forms: sizes and layouts as they were
    decoded.
    """

    width: int
    height: int
    layout: str
    pixel_shape: str
    shape: str
    order: str
    interlaced: int
    rotation: int
    alpha: bool
    color: dict[str, str]
    reordered: bool
    keys: Keys
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """The sound of a track. forms: rates and layouts as they were decoded."""

    rate: int
    layout: str
    format: str
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """One track.

    id: the container's own number of it, in MPEG-TS the PID. kind: video, audio, subtitle, data.
    decodes: whether there is a decoder. cover: the picture of an album, or a preview. marks: its
    disposition. seconds: length as the container says, None for nothing. frames: the same of their
    number, 0 for nothing. nominal: pictures a second, as it says, 0 for nothing. packets, bytes,
    damaged: of what was read. decoded: pictures or sounds that came out. failed: packets that the
    decoder refused. in_part: pictures that are damaged. astray: pictures whose time repeats or goes
    back.
    """

    index: int
    id: int
    kind: str
    codec: str
    profile: str
    decodes: bool
    cover: bool
    language: str
    marks: tuple[str, ...]
    time_base: str
    seconds: float | None
    frames: int
    nominal: float
    packets: int
    bytes: int
    damaged: int
    decoded: int
    failed: int
    in_part: int
    astray: int
    times: Verdict
    image: Image | None = None
    sound: SoundInfo | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The track that is taken of a kind, and why."""

    track: int
    why: str


@dataclass(frozen=True, slots=True)
class SessionTracks:
    """What a session takes of a transport stream: PID and codec, and units, by kind."""

    tracks: dict[str, tuple[int, str]]
    units: dict[str, int]
    damaged: int


@dataclass(frozen=True)
class Probed:
    """What was found.

    start, seconds, bytes, bit_rate: of the whole, as the container says; None for nothing. read:
    seconds that were read. whole: whether that was all. broken: how often reading failed. session,
    packets: of a transport stream. row: the numbers of a row of pictures.
    """

    name: str
    format: str
    long_name: str
    start: float | None
    seconds: float | None
    bytes: int | None
    bit_rate: int | None
    read: float
    whole: bool
    broken: int
    tracks: tuple[TrackInfo, ...]
    chosen: dict[str, Choice]
    session: SessionTracks | None = None
    packets: TransportReport | None = None
    row: tuple[int, ...] = ()

    @property
    def unreadable(self) -> str:
        """Why nothing of it can be used, "" where something can."""
        if not self.chosen:
            found = ", ".join(f"{each.kind} ({each.codec})" for each in self.tracks)
            return f"{self.name} has no track that can be decoded; it has {found or 'no track'}"
        if not any(each.decoded for each in self.tracks):
            return f"{self.name} holds nothing that can be decoded"
        return ""


def probe(
    source: str, *, name: str = "", seconds: float = math.inf, segments: bool = False
) -> Probed:
    """Look at the first seconds of a path or a URL. Raises MediaError where it cannot be opened.

    name: what it is called, by default its own. segments: it holds segments of a channel, each of
    which counts its packets anew, and ends anywhere.
    """
    name = name or (source if "://" in source else Path(source).name)
    remote = "://" in source
    row = rows.find(source)
    limits = {"max_pixels": str(MAX_PIXELS)}
    if row is not None:
        limits["start_number"] = str(row.first)
    container = opened(source, name, limits, timeout=SILENCE_SECONDS)
    try:
        reading = _PacketScan(container, seconds, remote=remote, segments=segments)
        reading.run()
        found = _transport(source, reading.position, remote=remote)
        return Probed(
            name,
            container.format.name,
            container.format.long_name,
            _over(container.start_time, av.time_base),
            _over(container.duration, av.time_base),
            container.size if (container.size or 0) > 0 else None,
            container.bit_rate or None,
            reading.seconds,
            reading.whole,
            reading.broken,
            tuple(
                each.facts(cut=segments or not reading.whole) for each in reading.tracks.values()
            ),
            _chosen(container),
            None if found is None else _session(source, reading.position),
            found,
            row.numbers if row is not None else (),
        )
    finally:
        container.close()


class _PacketScan:
    """One pass over the packets of a container."""

    def __init__(self, container: Any, seconds: float, *, remote: bool, segments: bool) -> None:
        self._container, self._limit = container, seconds
        self._remote, self._segments = remote, segments
        self._bytes = 0
        self.position = 0
        """Bytes of the file up to the end of what was read, as far as its packets say."""
        self.whole = False
        self.broken = 0
        """How often reading itself failed."""
        self.tracks = {
            each.index: _Watched(each, believes=not segments) for each in container.streams
        }
        usable = [each for each in self.tracks.values() if each.stream.type in ("video", "audio")]
        for each in usable[:DECODED_TRACKS]:
            each.decoding = True

    @property
    def seconds(self) -> float:
        """How much was read, by the track that is furthest."""
        return max((each.passed for each in self.tracks.values()), default=0.0)

    def run(self) -> None:
        ends = time.monotonic() + self._limit + SILENCE_SECONDS if self._remote else math.inf
        for packet in _whole(self._packets()) if self._segments else self._packets():
            self.tracks[packet.stream.index].take(packet)
            if not packet.size:
                continue
            self._bytes += packet.size
            if packet.pos is not None:
                self.position = max(self.position, packet.pos + packet.size)
            if self._limit < math.inf and (
                self.seconds >= self._limit or self._bytes >= MOST_BYTES or time.monotonic() >= ends
            ):
                return
        self.whole = not self.broken
        self.position = max(self.position, self._container.size or 0)

    def _packets(self) -> Iterator[Any]:
        failed = 0
        while failed < READ_ATTEMPTS:
            try:
                for packet in self._container.demux():
                    failed = 0
                    yield packet
            except IndexError:  # at the end, PyAV looks for tracks that came on the way
                return
            except av.ExitError:  # it has said nothing for too long
                self.broken += 1
                return
            except av.FFmpegError:
                failed += 1
                self.broken += 1
            else:
                return


def _whole(packets: Iterator[Any]) -> Iterator[Any]:
    """All but the last one of each track."""
    held: dict[int, Any] = {}
    for packet in packets:
        before = held.get(packet.stream.index)
        held[packet.stream.index] = packet
        if not packet.size:
            yield packet
        elif before is not None:
            yield before


class _Watched:
    """One track while it is read. believes: whether a packet that is marked as damaged is so."""

    def __init__(self, stream: Any, *, believes: bool) -> None:
        self.stream, self._believes = stream, believes
        self.decoding = False
        context = stream.codec_context
        self._codec, self._tick = _codec(stream), float(stream.time_base)
        reorders = stream.type == "video" and context is not None and context.has_b_frames
        self._times = Times(stream.time_base, reorders=bool(reorders))
        self._keys = _KeyFinder(stream)
        self._reordered = False
        self._newest: int | None = None
        self._written: int | None = None
        self._timed = self._loose = 0.0
        self._packets = self._bytes = self._damaged = 0
        self._out = _Decoded()
        size = (stream.width * stream.height) if context and stream.type == "video" else 0
        self._able = context is not None and size <= MAX_PIXELS

    @property
    def passed(self) -> float:
        """Seconds of it that were read; a jump of its clock is no time that passes."""
        return self._timed + self._loose

    def take(self, packet: Any) -> None:
        """The next packet, or the empty one at the end."""
        if packet.size:
            self._packets += 1
            self._bytes += packet.size
            self._damaged += self._believes and bool(packet.is_corrupt)
            self._times.add(packet.pts, packet.dts)
            self._pass(packet)
            if self.stream.type == "video":
                self._keys.take(packet, self.passed)
        if self.decoding and self._able:
            self._decode(packet)

    def facts(self, *, cut: bool) -> TrackInfo:
        """What was seen. cut: more would have come."""
        stream, out = self.stream, self._out
        context = stream.codec_context
        kind = stream.type if context is not None or stream.type in ("video", "audio") else "data"
        rate = stream.average_rate or stream.guessed_rate if kind == "video" and context else None
        return TrackInfo(
            stream.index,
            stream.id,
            kind,
            self._codec,
            (stream.profile or "") if context is not None else "",
            context is not None,
            bool(stream.disposition & _COVER),
            stream.language or "",
            tuple(each.name or "" for each in av.stream.Disposition if each & stream.disposition),
            _ratio(stream.time_base, "/"),
            _over(stream.duration, 1 / stream.time_base) if stream.time_base else None,
            stream.frames,
            float(rate) if rate else 0.0,
            self._packets,
            self._bytes,
            self._damaged,
            out.count,
            out.failed,
            out.in_part,
            out.astray,
            self._times.verdict(cut=cut),
            self._image() if kind == "video" and context is not None else None,
            self._sound() if kind == "audio" and context is not None else None,
        )

    def _pass(self, packet: Any) -> None:
        written = packet.pts if packet.dts is None else packet.dts
        length = min((packet.duration or 0) * self._tick, JUMP_SECONDS)
        if written is None:
            self._loose += length
            return
        between = 0 if self._written is None else (written - self._written) * self._tick
        goes_on = 0 <= between <= JUMP_SECONDS
        self._timed += between if goes_on else self._loose
        self._loose, self._written = length, written
        if packet.pts is not None and packet.dts is not None:
            before, self._newest = self._newest, packet.pts
            self._reordered |= goes_on and before is not None and packet.pts < before

    def _decode(self, packet: Any) -> None:
        try:
            for frame in packet.decode():
                self._out.take(frame)
        except EOFError:  # drained already
            pass
        except av.FFmpegError:
            self._out.failed += self.stream.type == "audio" or self._keys.begun
        if self.passed > DECODED_SECONDS or self._out.count >= DECODED_MOST:
            self.decoding = False

    def _image(self) -> Image:
        stream, out = self.stream, self._out
        context = stream.codec_context
        layout = context.pix_fmt or ""
        shape = stream.sample_aspect_ratio
        return Image(
            context.width,
            context.height,
            layout,
            _ratio(shape, ":") if shape else "",
            _ratio(shape * context.width / context.height, ":") if shape and context.height else "",
            _ORDERS.get(int(context.field_order), ""),
            out.interlaced,
            out.rotation,
            _has_alpha(layout) or stream.metadata.get("alpha_mode") == "1",
            _color(context),
            self._reordered or out.both_ways,
            self._keys.facts(self.passed),
            tuple(out.forms),
        )

    def _sound(self) -> SoundInfo:
        context = self.stream.codec_context
        format_ = context.format.name if context.format else ""
        return SoundInfo(context.sample_rate, context.layout.name, format_, tuple(self._out.forms))


class _KeyFinder:
    """The places of a track of pictures where decoding may begin."""

    def __init__(self, stream: Any) -> None:
        self._codec = _codec(stream)
        self._size = 0
        if self._codec in nals.CODECS:
            extradata = stream.codec_context.extradata or b""
            self._size = nals.length_size(self._codec, bytes(extradata))
        self._starts: dict[str, int] = {}
        self._sets = self._before = self._since = self._longest = 0
        self._at = self._longest_seconds = 0.0

    @property
    def begun(self) -> bool:
        """Whether there was one."""
        return bool(self._starts)

    def take(self, packet: Any, seconds: float) -> None:
        start = "key" if packet.is_keyframe else ""
        if self._codec in nals.CODECS:
            found = nals.head(self._codec, bytes(packet), self._size)
            start = found.start or start
            self._sets += found.sets
        if not start:
            self._before += not self.begun
            self._since += 1
            return
        if self.begun:
            self._count(seconds)
        self._starts[start] = self._starts.get(start, 0) + 1
        self._since, self._at = 1, seconds

    def facts(self, seconds: float) -> Keys:
        """seconds: how much of the track was read."""
        if self.begun:
            self._count(seconds)
        return Keys(
            dict(sorted(self._starts.items())),
            self._longest,
            self._longest_seconds,
            self._before,
            self._sets,
        )

    def _count(self, seconds: float) -> None:
        self._longest = max(self._longest, self._since)
        self._longest_seconds = max(self._longest_seconds, seconds - self._at)


@dataclass
class _Decoded:
    """What came out of the decoder of a track."""

    count: int = 0
    failed: int = 0
    in_part: int = 0
    astray: int = 0
    interlaced: int = 0
    rotation: int = 0
    both_ways: bool = False
    forms: dict[str, None] = field(default_factory=dict)
    last: int | None = None

    def take(self, frame: Any) -> None:
        self.count += 1
        self.in_part += bool(frame.is_corrupt)
        if isinstance(frame, av.VideoFrame):
            self.interlaced += bool(frame.interlaced_frame)
            self.both_ways = self.both_ways or frame.pict_type == PictureType.B
            self.rotation = self.rotation if self.count > 1 else -frame.rotation % 360
            self.astray += (
                self.last is not None and frame.pts is not None and frame.pts <= self.last
            )
            form = f"{frame.width}x{frame.height} {frame.format.name}"
        else:
            form = f"{frame.sample_rate} Hz {frame.layout.name}"
        self.last = frame.pts
        self.forms[form] = None


def _transport(source: str, position: int, *, remote: bool) -> TransportReport | None:
    if remote or not Path(source).is_file():
        return None
    with open(source, "rb") as file:
        return transport.look(file, min(position, MOST_TRANSPORT))


def _session(source: str, position: int) -> SessionTracks:
    """What the reader of a session makes of the bytes."""
    demuxer, units = Demuxer(), {"video": 0, "audio": 0}
    with open(source, "rb") as file:
        left = min(position, MOST_TRANSPORT)
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            left -= len(piece)
            for unit in demuxer.feed(piece):
                units[unit.track.kind] += 1
    for unit in demuxer.flush():
        units[unit.track.kind] += 1
    tracks: dict[str, tuple[int, str]] = {}
    for track in demuxer.tracks:
        tracks.setdefault(track.kind, (track.pid, track.codec))
    return SessionTracks(tracks, {kind: units[kind] for kind in tracks}, demuxer.damaged)


def _chosen(container: Any) -> dict[str, Choice]:
    """The tracks that decode takes, by kind."""
    image = choose(container, "video")
    taken = {"video": image, "audio": choose(container, "audio", image)}
    return {kind: Choice(each.index, _why(container, each)) for kind, each in taken.items() if each}


def _why(container: Any, chosen: Any) -> str:
    """Why choose() took this one."""
    tracks = candidates(container, chosen.type)
    others = [each for each in tracks if each is not chosen and each.codec_context]
    if not others:
        return "the only one"
    default, count = av.stream.Disposition.default, len(others) + 1
    if chosen.disposition & default and not any(each.disposition & default for each in others):
        return f"of {count} the one that is marked as default"
    return f"libavformat's favourite of {count}: by programme, marks, what it saw, and bit rate"


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else ""


def _over(ticks: int | None, per_second: Any) -> float | None:
    return None if ticks is None else float(ticks / per_second)


def _ratio(value: Any, sign: str) -> str:
    value = Fraction(value)
    return f"{value.numerator}{sign}{value.denominator}"


def _has_alpha(layout: str) -> bool:
    return bool(layout) and any(each.is_alpha for each in av.VideoFormat(layout).components)


def _color(context: Any) -> dict[str, str]:
    ranges = {int(ColorRange.MPEG): "limited", int(ColorRange.JPEG): "full"}
    return {
        "range": ranges.get(int(context.color_range), ""),
        "matrix": _named(_MATRICES, context.colorspace),
        "primaries": _named({each: each.name for each in ColorPrimaries}, context.color_primaries),
        "transfer": _named({each: each.name for each in ColorTrc}, context.color_trc),
    }


def _named(names: Mapping[Any, str], value: int) -> str:
    """The name of a tag of ITU-T H.273, its number where it has none, "" for unspecified (2)."""
    return "" if value == 2 else names.get(value, str(int(value))).lower()
