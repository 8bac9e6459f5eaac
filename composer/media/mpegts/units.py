"""Access units: what a decoder takes at once, cut out of the PES packets of a track.

A PES packet is neither a picture nor a frame of sound. libavcodec's parsers find where units begin
by the codec's own rule, but those of pictures learn that one ended when the next begins, which
costs a frame. Most muxers put whole pictures into each PES packet; while that holds, a picture is
given with its last byte, and where it does not hold the parser takes over.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import av

from composer.media.mpegts import nals
from composer.media.mpegts.muxer import ADTS_RATES
from composer.media.mpegts.pes import FULL_PES, Pes
from composer.media.mpegts.psi import Track

log: Final = logging.getLogger(__name__)

CLOCK: Final = 90_000
"""Ticks per second of pts and dts."""

LONGEST_UNIT: Final = 8 * 1024 * 1024
"""Bytes after which a unit that does not end is given up."""

MOST_NAL_UNITS: Final = 1024
"""NAL units of a PES packet that are looked at; a picture of many slices has 200."""

_PADDING: Final = bytes(64)
"""AV_INPUT_BUFFER_PADDING_SIZE: parsers may read so far beyond their input."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit. pts, dts: 90 kHz, 33 bits, as written; None where nothing is said.

    key: decoding may begin here. damaged: packets are missing in it.
    """

    track: Track
    data: bytes
    pts: int | None
    dts: int | None
    key: bool
    damaged: bool = False


class UnitFinder(Protocol):
    """Takes the PES packets of a track, gives its access units."""

    @property
    def parsed(self) -> bool:
        """Whether units wait for the next one, since a parser finds where they begin."""
        ...

    def feed(self, pes: Pes) -> list[Unit]: ...

    def ready(self) -> Sequence[Unit]:
        """The units that are whole as far as can be told; asked when no more bytes are there."""
        ...

    def finish(self) -> list[Unit]:
        """The units that only the end of the stream ends."""
        ...

    def forget(self) -> None:
        """Bytes are missing here: what was begun is dropped."""
        ...


def units_of(track: Track) -> UnitFinder:
    """How the units of a track are found."""
    if track.codec in _NALS:
        return Pictures(track)
    if track.codec == "opus":
        return Opus(track)
    return Whole(track) if track.codec in _UNPARSED else Parsed(track)


_UNPARSED: Final = frozenset({"s302m"})
"""Codecs that libavcodec has no parser for: a PES packet holds one unit."""


class Whole:
    """One unit per PES packet, and decoding may begin at each."""

    parsed = False

    def __init__(self, track: Track) -> None:
        self._track = track

    def feed(self, pes: Pes) -> list[Unit]:
        return [Unit(self._track, pes.data, pes.pts, pes.dts, key=True, damaged=pes.damaged)]

    def ready(self) -> Sequence[Unit]:
        return ()

    def finish(self) -> list[Unit]:
        return []

    def forget(self) -> None:
        pass


class Parsed:
    """Units as libavcodec's parser finds them, in PES packets that begin and end anywhere.

    A time belongs to the first unit that begins in its PES packet (2.4.3.7). Those behind it have
    one where the length of a unit is known, else None.
    """

    parsed = True

    def __init__(self, track: Track) -> None:
        self._track = track
        self._sound = track.kind == "audio"
        self._context, self._times = self._new()
        self._fed = self._given = self._seen = 0
        self._damaged = False
        self._next: float | None = None

    def feed(self, pes: Pes) -> list[Unit]:
        data, pts, dts = pes.data, pes.pts, pes.dts
        if pes.again:  # the parser has its beginning
            data, pts, dts = data[self._seen :], None, None
        self._seen = len(pes.data)
        self._times.append(_Time(self._fed, pts, dts))
        self._fed += len(data)
        self._damaged = self._damaged or pes.damaged
        padded = memoryview(data + _PADDING)[: len(data)]
        units = [self._unit(packet) for packet in self._context.parse(padded)]
        if self._fed - self._given > LONGEST_UNIT:
            self.forget()
            self._damaged = True
        return units

    def ready(self) -> Sequence[Unit]:
        return ()

    def finish(self) -> list[Unit]:
        """What the parser holds; it begins anew then."""
        units = [self._unit(packet) for packet in self._context.parse(None)]
        self.forget()
        return units

    def forget(self) -> None:
        self._context, self._times = self._new()
        self._fed = self._given = self._seen = 0
        self._damaged, self._next = False, None

    def _new(self) -> tuple[Any, "deque[_Time]"]:
        return av.CodecContext.create(self._track.codec, "r"), deque()

    def _unit(self, packet: Any) -> Unit:
        begin, self._given = self._given, self._given + packet.size
        data = bytes(packet)
        pts, dts = self._time(begin)
        if self._sound:
            ticks = _ticks(data, packet.duration, self._context, self._track.codec)
            self._next = pts + ticks if pts is not None and ticks is not None else None
        damaged, self._damaged = self._damaged, False
        key = self._sound or packet.is_keyframe
        return Unit(self._track, data, _rounded(pts), _rounded(dts), key, damaged)

    def _time(self, begin: int) -> tuple[float | None, float | None]:
        """pts and dts of the unit that begins at this byte of the track."""
        latest = None
        while self._times and self._times[0].place <= begin:
            latest = self._times.popleft()
        if latest is not None and latest.pts is not None:
            return latest.pts, latest.dts
        return self._next, self._next


class _Time(NamedTuple):
    """What a PES packet that begins at this byte of the track says."""

    place: int
    pts: int | None
    dts: int | None


def _ticks(data: bytes, samples: int | None, context: Any, codec: str) -> float | None:
    """How long a frame of sound lasts; None where only its decoder knows.

    The parser of ADTS does not say, since the rate may be twice as high with SBR; the time is the
    same (ISO/IEC 13818-7, 6.2).
    """
    if codec == "aac" and len(data) >= 7:
        rate = data[2] >> 2 & 15
        blocks = (data[6] & 3) + 1
        return 1024 * blocks * CLOCK / ADTS_RATES[rate] if rate < len(ADTS_RATES) else None
    return samples * CLOCK / context.sample_rate if samples and context.sample_rate else None


def _rounded(ticks: float | None) -> int | None:
    return None if ticks is None else round(ticks)


class Pictures:
    """Pictures of PES packets that hold whole ones, each given with its last byte.

    Until the second PES packet shows that they do, the first is given only where it looks like one
    of muxers that always do so: no length, and an access unit delimiter. A PES packet that does not
    begin with a picture shows that they go over packets, and the parser takes over.
    """

    def __init__(self, track: Track) -> None:
        self._track, self._nal_of = track, _NALS[track.codec]
        self._parser: Parsed | None = None
        self._proven = False
        self._last: Pes | None = None
        self._held: list[Unit] = []
        self._likely = False

    @property
    def parsed(self) -> bool:
        return self._parser is not None

    def feed(self, pes: Pes) -> list[Unit]:
        if self._parser is not None:
            return self._parser.feed(pes)
        seen = _seen(pes.data, self._nal_of)
        if not (seen.begins and seen.pictures) and not pes.damaged:
            return self._hand_over(pes)
        units, held = self._whole(pes, seen), [] if pes.again else self._held
        self._proven = self._proven or (self._last is not None and not pes.again)
        self._likely = seen.delimited and seen.pictures == 1 and not pes.length
        self._last = pes
        if not pes.damaged and (not self._proven or pes.length >= FULL_PES):
            self._held = units
            return held
        if len(units) > 1:  # should the last one go on, only that one is missing its end
            last = units[-1]
            self._last = Pes(last.data, last.pts, last.dts)
        self._held = []
        return held + units

    def ready(self) -> Sequence[Unit]:
        if not self._held or not self._likely:
            return ()
        held, self._held = self._held, []
        return held

    def finish(self) -> list[Unit]:
        if self._parser is not None:
            return self._parser.finish()
        held, self._held = self._held, []
        self._last = None
        return held

    def forget(self) -> None:
        self._held, self._last = [], None
        if self._parser is not None:
            self._parser.forget()

    def _whole(self, pes: Pes, seen: "_Seen") -> list[Unit]:
        """The pictures of one PES packet: one as it is, several by a parser of their own."""
        if seen.pictures <= 1:
            return [Unit(self._track, pes.data, pes.pts, pes.dts, seen.key, pes.damaged)]
        parser = Parsed(self._track)
        return parser.feed(pes) + parser.finish()

    def _hand_over(self, pes: Pes) -> list[Unit]:
        """Leave the rest to the parser, which begins with the last picture: it was not whole."""
        log.warning(
            "pictures of the input (%s) do not begin and end with PES packets; the parser of"
            " libavcodec finds them, one picture later",
            self._track.codec,
        )
        self._parser, self._held = Parsed(self._track), []
        before = self._parser.feed(self._last) if self._last is not None else []
        self._last = None
        return before + self._parser.feed(pes)


class _Seen(NamedTuple):
    """What a PES packet holds. begins: with a new unit. pictures: how many begin in it. delimited:
    whether it begins with an access unit delimiter.
    """

    begins: bool
    pictures: int
    key: bool
    delimited: bool = False


class _Nal(NamedTuple):
    """What begins at a start code. picture: the first slice of one, or its header. leads: what may
    stand before that. key: decoding may begin with its picture.
    """

    picture: bool = False
    leads: bool = False
    key: bool = False
    delimiter: bool = False


_OTHER: Final = _Nal()
_LEAD: Final = _Nal(leads=True)
_DELIMITER: Final = _Nal(leads=True, delimiter=True)

_START: Final = b"\x00\x00\x01"


def _starts(data: bytes) -> Iterator[int]:
    """Where the bytes behind each start code are, as far as there are MOST_NAL_UNITS."""
    at, last = data.find(_START), len(data) - 6
    for _ in range(MOST_NAL_UNITS):
        if not 0 <= at <= last:
            return
        yield at + 3
        at = data.find(_START, at + 3)


def _seen(data: bytes, nal_of: Callable[[bytes, int], _Nal]) -> _Seen:
    first: _Nal | None = None
    pictures, key = 0, False
    for at in _starts(data):
        nal = nal_of(data, at)
        if first is None:
            first = _OTHER if data[: at - 3].strip(b"\x00") else nal
        if pictures == 0:
            key = key or nal.key
        pictures += nal.picture
    first = first or _OTHER
    return _Seen(first.picture or first.leads, pictures, key, first.delimiter)


def _h264(data: bytes, at: int) -> _Nal:
    """ISO/IEC 14496-10, 7.4.1.2.3 and .4: the first slice of a picture begins at macroblock 0."""
    kind = data[at] & 0x1F
    if kind in (1, 2, 5):
        return _Nal(picture=bool(data[at + 1] & 0x80), key=kind == 5)
    if kind == 9:
        return _DELIMITER
    if kind == 6:
        return _Nal(leads=True, key=_is_recovery_point(data, at + 1))
    return _LEAD if kind in (7, 8, *range(14, 19)) else _OTHER


def _hevc(data: bytes, at: int) -> _Nal:
    """ISO/IEC 23008-2, 7.4.2.4.4: the first slice of a picture says so in its first bit."""
    kind, layer = data[at] >> 1 & 0x3F, (data[at] & 1) << 5 | data[at + 1] >> 3
    if kind < 32:
        opens = layer == 0 and data[at + 2] & 0x80
        return _Nal(picture=bool(opens), key=16 <= kind <= 23)
    if kind == 35:
        return _DELIMITER
    if kind == 39:
        return _Nal(leads=True, key=_is_recovery_point(data, at + 2))
    return _LEAD if kind < 35 or 41 <= kind <= 44 or 48 <= kind <= 55 else _OTHER


def _mpeg2(data: bytes, at: int) -> _Nal:
    """ISO/IEC 13818-2, 6.2.2: a picture header, with a sequence or group header before some."""
    kind = data[at]
    if kind == 0x00:
        return _Nal(picture=True, key=data[at + 2] >> 3 & 7 == 1)
    return _LEAD if kind in (0xB3, 0xB8) else _OTHER


_NALS: Final[dict[str, Callable[[bytes, int], _Nal]]] = {
    "h264": _h264,
    "hevc": _hevc,
    "mpeg1video": _mpeg2,
    "mpeg2video": _mpeg2,
}
"""Codecs of which we know where a picture begins."""


def _is_recovery_point(data: bytes, at: int) -> bool:
    end = data.find(_START, at)
    return nals.is_recovery_point(data[at : end if end >= 0 else len(data)])


class Opus:
    """Opus packets behind control headers (ETSI TS 103 491, and Opus in MPEG-TS, 2014).

    libavcodec's parser loses those that go on in the next PES packet.
    """

    parsed = False

    def __init__(self, track: Track) -> None:
        self._track = track
        self._rest = b""
        self._next: int | None = None

    def feed(self, pes: Pes) -> list[Unit]:
        if pes.again:
            self._rest = b""
        carried, data = len(self._rest), self._rest + pes.data
        units: list[Unit] = []
        at, timed = 0, False
        while (at := _opus_header(data, at)) < len(data):
            if at >= carried and not timed:
                timed, self._next = True, self._next if pes.pts is None else pes.pts
            begin, end = _opus_packet(data, at)
            if end > len(data):
                break
            pts, packet = self._next, data[begin:end]
            if packet:
                damaged = pes.damaged and not units
                units.append(Unit(self._track, packet, pts, pts, key=True, damaged=damaged))
                ticks = opus_samples(packet) * CLOCK // 48_000
                self._next = None if pts is None else pts + ticks
            at = end
        self._rest = data[at:][:LONGEST_OPUS]
        return units

    def ready(self) -> Sequence[Unit]:
        return ()

    def finish(self) -> list[Unit]:
        return []

    def forget(self) -> None:
        self._rest, self._next = b"", None


LONGEST_OPUS: Final = 61_298
"""Bytes of the longest packet of two channels, 120 ms, with room for its header (RFC 6716, 3.4)."""


def _opus_header(data: bytes, at: int) -> int:
    """Where the next control header may begin."""
    while (at := data.find(0x7F, at)) >= 0:
        if at + 1 >= len(data) or data[at + 1] & 0xE0 == 0xE0:
            return at
        at += 1
    return len(data)


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number written as bytes of 255 and a last one, and where it ends."""
    number = 0
    while at < end and data[at] == 0xFF:
        number += 0xFF
        at += 1
    return (number + data[at], at + 1) if at < end else (number, end)


def _opus_packet(data: bytes, at: int) -> tuple[int, int]:
    """Where the packet behind a control header begins and ends; the end may not have come."""
    if at + 2 >= len(data):
        return at, len(data) + 1
    flags = data[at + 1]
    size, at = _number(data, at + 2, len(data))
    at += 2 * bool(flags & 0x10) + 2 * bool(flags & 0x08)
    if flags & 0x04:
        at += 1 + (data[at] if at < len(data) else 0)
    return at, max(at, at + size) if at < len(data) else len(data) + 1


def opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz that a packet holds (RFC 6716, 3.1)."""
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        samples = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        samples = (480, 960)[config & 1]
    else:
        samples = (120, 240, 480, 960)[config & 3]
    frames = (1, 2, 2)[code] if code < 3 else (packet[1] & 63 if len(packet) > 1 else 0)
    return samples * frames
