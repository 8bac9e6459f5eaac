"""Coded pictures and sound into MPEG-TS (ISO/IEC 13818-1), packet by packet.

Nothing waits for another track: what is given comes back at once as whole TS packets. Opus goes in
as ETSI TS 103 154 and libavformat write it, AAC with ADTS headers.
"""

from collections.abc import Mapping
from typing import Final

from composer.media.mpegts.written import Written

PACKET: Final = 188
VIDEO_PID: Final = 256
AUDIO_PID: Final = 257
PMT_PID: Final = 4096
CLOCK: Final = 90_000
"""Ticks of a second."""

SOUND_RATE: Final = 48_000
"""Hz of sound that is coded for a stream: what WebRTC hears."""

_WRAP: Final = (1 << 33) - 1
_LEAD: Final = CLOCK // 10
"""The receiver's clock (PCR) is this far behind the decoding time, so it may buffer 100 ms."""

_BODY: Final = PACKET - 4
_LONGEST_PES: Final = 0xFFFF
_STREAM_TYPES: Final = {"h264": 0x1B, "hevc": 0x24, "aac": 0x0F, "opus": 0x06}
_DELIMITERS: Final = {"h264": b"\0\0\0\1\x09\xf0", "hevc": b"\0\0\0\1\x46\x01\x50"}
ADTS_RATES: Final = (
    *(96000, 88200, 64000, 48000, 44100, 32000, 24000),
    *(22050, 16000, 12000, 11025, 8000, 7350),
)
"""Hz, by their index in an ADTS header (ISO/IEC 13818-7, table 35)."""

_STUFFING: Final = b"\xff" * PACKET


class Muxer:
    """The packets of one stream of at most two tracks. Counters run on over all of it.

    video: h264, hevc or "". audio: opus, aac or "". channels: of the sound. The clock is on the
    track of pictures where there is one. after: what is written so far of a stream that goes on
    here, its tracks included.
    """

    def __init__(
        self,
        *,
        video: str = "",
        audio: str = "",
        channels: int = 2,
        after: Written | None = None,
    ) -> None:
        self.parameter_sets = b""
        """Put before keyframes that bring none: those of the last keyframe that had some."""

        self._video, self._audio = video, audio
        self._channels = channels
        self._version = 0 if after is None else _version(after, video, audio, channels)
        self._pat = _section(0, 0x00, 1, (1).to_bytes(2) + _pid(PMT_PID))
        self._pmt = self._map()
        self._turns = dict.fromkeys((0, PMT_PID, VIDEO_PID, AUDIO_PID), 0)
        if after is not None:
            self._turns |= {pid: after.turns[pid] for pid in self._turns.keys() & after.turns}
        self._heads = {pid: _heads(pid) for pid in (VIDEO_PID, AUDIO_PID)}

    def add(self, *, video: str = "", audio: str = "", channels: int = 2) -> None:
        """Another track begins; tables() says so from now on. One that is there stays as it is."""
        self._video = self._video or video
        if audio and not self._audio:
            self._audio, self._channels = audio, channels
        self._version += 1
        self._pmt = self._map()

    def written(self, last: Mapping[str, int]) -> Written:
        """What is written so far. last: the time of the last unit of each kind, in ticks."""
        turns = dict(self._turns)
        return Written(self._video, self._audio, self._channels, self._version, dict(last), turns)

    def tables(self) -> bytes:
        """PAT and PMT: they say what follows, at the begin of each segment."""
        tables = bytearray(self._pat + self._pmt)
        tables[3] |= self._turn(0)
        tables[PACKET + 3] |= self._turn(PMT_PID)
        return bytes(tables)

    def video(self, data: bytes, pts: int, dts: int, *, key: bool) -> bytes:
        """One picture (Annex B). Times in ticks of any size."""
        data = self._complete(data, key=key)
        times = _times(pts, dts)
        size = len(data) + 3 + len(times)
        head = b"\0\0\1\xe0" + (size if size <= _LONGEST_PES else 0).to_bytes(2)
        flags = b"\x84\xc0" if pts != dts else b"\x84\x80"
        pes = b"".join((head, flags, len(times).to_bytes(1), times, data))
        return self._packets(VIDEO_PID, pes, _clock(dts, key=key))

    def audio(self, data: bytes, pts: int) -> bytes:
        """One packet of sound."""
        if self._audio == "opus":
            stream, head = b"\xbd", _opus_head(len(data))
        else:
            stream, head = b"\xc0", self._adts(data)
        times = _times(pts, pts)
        size = len(head) + len(data) + 3 + len(times)
        if size > _LONGEST_PES:
            raise ValueError(f"a packet of sound has {len(data)} bytes, a PES packet holds 65535")
        parts = (b"\0\0\1", stream, size.to_bytes(2), b"\x84\x80\x05", times, head, data)
        clock = b"" if self._video else _clock(pts, key=True)
        return self._packets(AUDIO_PID, b"".join(parts), clock)

    def _map(self) -> bytes:
        return _section(PMT_PID, 0x02, 1, self._program(), self._version)

    def _program(self) -> bytes:
        clock = VIDEO_PID if self._video else AUDIO_PID
        parts = [_pid(clock), _length(0)]
        if self._video:
            parts += [bytes([_STREAM_TYPES[self._video]]), _pid(VIDEO_PID), _length(0)]
        if self._audio:
            opus = b"\x05\x04Opus\x7f\x02\x80" + bytes([self._channels])
            descriptors = opus if self._audio == "opus" else b""
            parts += [
                bytes([_STREAM_TYPES[self._audio]]),
                _pid(AUDIO_PID),
                _length(len(descriptors)),
            ]
            parts.append(descriptors)
        return b"".join(parts)

    def _turn(self, pid: int) -> int:
        turn = self._turns[pid]
        self._turns[pid] = (turn + 1) & 15
        return turn

    def _complete(self, data: bytes, *, key: bool) -> bytes:
        """The access unit with its delimiter, and a keyframe with its parameter sets."""
        delimiter, sets, end = _opening(data, self._video)
        if key and sets:
            self.parameter_sets = sets
        missing = self.parameter_sets if key and not sets else b""
        if delimiter and not missing:
            return data
        return (data[:end] if delimiter else _DELIMITERS[self._video]) + missing + data[end:]

    def _adts(self, data: bytes) -> bytes:
        if data[:1] == b"\xff" and data[1:2] and data[1] & 0xF6 == 0xF0:
            return b""
        rate, size = ADTS_RATES.index(SOUND_RATE), len(data) + 7
        return (
            0xFFF1 << 40 | 1 << 38 | rate << 34 | self._channels << 30 | size << 13 | 0x7FF << 2
        ).to_bytes(7)

    def _packets(self, pid: int, pes: bytes, extra: bytes) -> bytes:
        """A PES packet in TS packets; the last one is stuffed, which shows where it ends.

        extra: what the adaptation field of the first packet holds, its flags first.
        """
        room = _BODY - (len(extra) + 1 if extra else 0)
        size = len(pes)
        if size < room:
            return self._heads[pid][2][self._turn(pid)] + _stuffed(extra, _BODY - size) + pes
        if (size - room) % _BODY == 0:  # a byte less here leaves one for a packet of its own
            room -= 1
        turn = self._turns[pid]
        bare, goes_on, begins, ends = self._heads[pid]
        begins = bare if room == _BODY else begins
        parts = [begins[turn], _stuffed(extra, _BODY - room), pes[:room]]
        last = room + (size - room) // _BODY * _BODY
        for place in range(room, last, _BODY):
            turn = (turn + 1) & 15
            parts += (goes_on[turn], pes[place : place + _BODY])
        turn = (turn + 1) & 15
        parts += (ends[turn], _stuffed(b"", _BODY - (size - last)), pes[last:])
        self._turns[pid] = (turn + 1) & 15
        return b"".join(parts)


def _version(after: Written, video: str, audio: str, channels: int) -> int:
    """Of a map: readers take another one for the same as long as its number is."""
    same = (after.video, after.audio) == (video, audio) and after.channels in (0, channels)
    return after.version if same else after.version + 1


def _heads(pid: int) -> tuple[tuple[bytes, ...], ...]:
    """The first four bytes by turn: begin, middle, begin and middle with an adaptation field."""
    return tuple(
        tuple(bytes([0x47, begin | pid >> 8, pid & 0xFF, field | turn]) for turn in range(16))
        for begin, field in ((0x40, 0x10), (0, 0x10), (0x40, 0x30), (0, 0x30))
    )


def _stuffed(extra: bytes, size: int) -> bytes:
    """An adaptation field of `size` bytes, 0 for none."""
    if size == 0:
        return b""
    if size == 1:
        return b"\0"
    extra = extra or b"\0"
    return bytes([size - 1]) + extra + _STUFFING[: size - 1 - len(extra)]


def _clock(dts: int, *, key: bool) -> bytes:
    """Flags and PCR of an adaptation field; below zero it counts from the end, as after a wrap."""
    base = (dts - _LEAD) & _WRAP
    return (0x50 if key else 0x10).to_bytes(1) + (base << 15 | 0x7E00).to_bytes(6)


def _times(pts: int, dts: int) -> bytes:
    if pts == dts:
        return _time(0x2, pts)
    return _time(0x3, pts) + _time(0x1, dts)


def _time(mark: int, ticks: int) -> bytes:
    ticks &= _WRAP
    high, middle, low = ticks >> 30, ticks >> 15 & 0x7FFF, ticks & 0x7FFF
    return (mark << 36 | high << 33 | 1 << 32 | middle << 17 | 1 << 16 | low << 1 | 1).to_bytes(5)


def _opus_head(size: int) -> bytes:
    return b"\x7f\xe0" + b"\xff" * (size // 255) + bytes([size % 255])


def _opening(data: bytes, codec: str) -> tuple[bool, bytes, int]:
    """What comes before the slices: a delimiter?, its parameter sets, where the delimiter ends."""
    starts = []
    place = data.find(b"\0\0\1")
    while place >= 0 and place + 3 < len(data):
        kind = data[place + 3] & 31 if codec == "h264" else data[place + 3] >> 1 & 63
        begin = place - 1 if place and data[place - 1] == 0 else place
        starts.append((kind, begin))
        if (1 <= kind <= 5) if codec == "h264" else kind < 32:
            break
        place = data.find(b"\0\0\1", place + 3)
    ends = [begin for _, begin in starts[1:]] + [len(data)]
    wanted = (7, 8) if codec == "h264" else (32, 33, 34)
    units = [(kind, data[begin:end]) for (kind, begin), end in zip(starts, ends, strict=True)]
    delimited = bool(units) and units[0][0] == (9 if codec == "h264" else 35)
    sets = b"".join(unit for kind, unit in units if kind in wanted)
    return delimited, sets, ends[0] if delimited else 0


def _section(pid: int, table: int, number: int, body: bytes, version: int = 0) -> bytes:
    """One table in one TS packet, without its turn."""
    rest = number.to_bytes(2) + bytes([0xC1 | version % 32 << 1, 0, 0]) + body
    section = bytes([table]) + (0xB000 | len(rest) + 4).to_bytes(2) + rest
    packet = b"\x47" + (0x4000 | pid).to_bytes(2) + b"\x10\0" + section + _crc(section)
    return packet + _STUFFING[: PACKET - len(packet)]


def _pid(pid: int) -> bytes:
    return (0xE000 | pid).to_bytes(2)


def _length(size: int) -> bytes:
    return (0xF000 | size).to_bytes(2)


def _crc(data: bytes) -> bytes:
    """CRC-32/MPEG-2."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return crc.to_bytes(4)
