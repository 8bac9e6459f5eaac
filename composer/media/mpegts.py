"""MPEG-TS: bytes -> access units, each given at the byte that ends it (ISO/IEC 13818-1).

libavformat waits for the next PES packet to know that one ended, which costs a frame. A PES packet
without a length must end with a TS packet, which is why its last one is stuffed: that is the sign.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

PACKET: Final = 188
SYNC: Final = 0x47
CLOCK: Final = 90_000
"""Ticks per second of pts and dts."""

LONGEST_UNIT: Final = 8 * 1024 * 1024
"""Bytes after which an access unit is given up: a 720p picture has about 15 000."""

LONGEST_SECTION: Final = 4096
MOST_TRACKS: Final = 4


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream. kind: video or audio. codec: libavcodec's name of the decoder.

    channels and extradata: what an Opus decoder is told beforehand.
    """

    pid: int
    kind: str
    codec: str
    channels: int = 0
    extradata: bytes = b""


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


class Demuxer:
    """Takes the bytes of a transport stream in any pieces; never raises for what they hold."""

    def __init__(self) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.damaged = 0
        """Units given with something missing, and packets that could not be read."""

        self._rest = b""
        self._pat, self._pmt = _Sections(), _Sections()
        self._pmt_pid = -1
        self._programs: tuple[int, ...] = ()
        self._assembling: dict[int, _Assembler] = {}

    def feed(self, data: bytes) -> list[Unit]:
        """The units that these bytes end."""
        if self._rest:
            data = self._rest + data
        units: list[Unit] = []
        at, last = 0, len(data) - PACKET
        while at <= last:
            if data[at] != SYNC:
                found = _synced(data, at + 1)
                self.damaged += 1
                at = found
                continue
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            assembler = self._assembling.get(pid)
            if assembler is not None:
                assembler.packet(data, at, units)
            elif pid in (0, self._pmt_pid):
                self._table(pid, data[at : at + PACKET], units)
            at += PACKET
        self._rest = data[at:] if at < len(data) else b""
        return self._counted(units)

    def flush(self) -> list[Unit]:
        """The units that only the end of the stream ends."""
        units: list[Unit] = []
        for assembler in self._assembling.values():
            assembler.finish(units)
        return self._counted(units)

    def reset(self) -> None:
        """Bytes are missing here: what was begun is forgotten."""
        self._rest = b""
        for assembler in self._assembling.values():
            assembler.forget()

    def _counted(self, units: list[Unit]) -> list[Unit]:
        self.damaged += sum(unit.damaged for unit in units)
        for assembler in self._assembling.values():
            self.damaged += assembler.lost
            assembler.lost = 0
        return units

    def _table(self, pid: int, packet: bytes, units: list[Unit]) -> None:
        sections = self._pat if pid == 0 else self._pmt
        for section in sections.packet(packet):
            if pid == 0 and section[:1] == b"\x00":
                self._programs = _programs(section)
                if self._pmt_pid not in self._programs:
                    self._pmt_pid = self._programs[0] if self._programs else -1
                    self._pmt = _Sections()
            elif pid != 0 and section[:1] == b"\x02":
                self._map(section, units)
        if pid == 0:
            # A muxer that begins anew counts its packets from 0 again (contract 5.1).
            for assembler in self._assembling.values():
                assembler.counter = None

    def _map(self, section: bytes, units: list[Unit]) -> None:
        tracks = tuple(_tracks(section))[:MOST_TRACKS]
        if not tracks:
            self._try_next_program()
            return
        if tracks == self.tracks:
            return
        for assembler in self._assembling.values():
            assembler.finish(units)
        self.tracks = tracks
        before = self._assembling
        self._assembling = {
            track.pid: before[track.pid]
            if track.pid in before and before[track.pid].track == track
            else _Assembler(track)
            for track in tracks
        }

    def _try_next_program(self) -> None:
        """Look at the program after the one that holds nothing for us; stay with an only one, since
        its next map may hold more.
        """
        if len(self._programs) > 1:
            here = self._programs.index(self._pmt_pid) if self._pmt_pid in self._programs else -1
            self._pmt_pid = self._programs[(here + 1) % len(self._programs)]
            self._pmt = _Sections()


def _synced(data: bytes, at: int) -> int:
    """Where packets begin again."""
    while (at := data.find(SYNC, at)) >= 0:
        after = at + PACKET
        if after >= len(data) or data[after] == SYNC:
            return at
        at += 1
    return len(data)


class _Assembler:
    """The PES packets of one track."""

    def __init__(self, track: Track) -> None:
        self.track: Final = track
        self.counter: int | None = None
        self.lost = 0
        """Units of which not even the beginning came, or that never ended."""

        self._previous = b""
        self._parts: list[bytes] = []
        self._size = self._expected = 0
        self._open = self._damaged = False
        self._ended_by_stuffing = False
        self._trusts_stuffing = True
        self._split = _SPLITTERS.get(track.codec, _Whole)()

    def packet(self, data: bytes, at: int, units: list[Unit]) -> None:
        control = data[at + 3]
        if not control & 0x10:
            return  # no payload
        body, stuffed = at + 4, False
        if control & 0x20:
            length = data[body]
            stuffed = length == 0 or (length > 1 and length > _used(data, body + 1))
            body += 1 + length
            if body >= at + PACKET:
                return
        begins, part = data[at + 1] & 0x40, data[body : at + PACKET]
        counter, self.counter = self.counter, control & 0x0F
        continuous = counter is None or self.counter == (counter + 1) & 0x0F
        if not continuous and self.counter == counter and part == self._previous:
            return  # a packet may come twice (2.4.3.3)
        self._previous = part
        if not continuous or data[at + 1] & 0x80:
            self.lost += not self._open and not begins
            self._damaged, self._ended_by_stuffing = True, False
        if begins:
            self._begin(units)
        elif not self._open:
            self._late()
            return
        self._parts.append(part)
        self._size += len(part)
        if begins and len(part) >= 6:
            length = part[4] << 8 | part[5]
            self._expected = length + 6 if length else 0
        if self._expected:
            if self._size >= self._expected:
                self.finish(units)
        elif stuffed and self._trusts_stuffing:
            self.finish(units)
            self._ended_by_stuffing = True
        elif self._size > LONGEST_UNIT:
            self.lost += 1
            self._clear()

    def finish(self, units: list[Unit]) -> None:
        """What was begun is complete."""
        if not self._open:
            return
        data = b"".join(self._parts)
        if self._expected:
            data = data[: self._expected]
        damaged = self._damaged or self._size < self._expected
        self._clear()
        units.extend(self._units(data, damaged=damaged))

    def forget(self) -> None:
        """What was begun will never be complete."""
        self._clear()
        self._split = _SPLITTERS.get(self.track.codec, _Whole)()
        self.counter, self._previous = None, b""

    def _clear(self) -> None:
        self._parts, self._size, self._expected = [], 0, 0
        self._open = self._damaged = self._ended_by_stuffing = False

    def _begin(self, units: list[Unit]) -> None:
        self.finish(units)
        self._open, self._damaged = True, False

    def _late(self) -> None:
        """A packet behind the one whose stuffing looked like the end: this muxer stuffs anywhere.

        Where packets are missing, it is only the rest of a unit whose beginning is.
        """
        if self._ended_by_stuffing:
            self._trusts_stuffing = False

    def _units(self, data: bytes, *, damaged: bool) -> Iterator[Unit]:
        if len(data) < 9 or data[:3] != b"\x00\x00\x01":
            return
        flags, start = data[7] >> 6, 9 + data[8]
        pts = _time(data, 9) if flags & 2 and start >= 14 and len(data) >= 14 else None
        dts = _time(data, 14) if flags == 3 and start >= 19 and len(data) >= 19 else pts
        body = data[start:]
        if not body:
            return
        for piece, ticks, key in self._split(body):
            if not piece:
                continue
            first = ticks == 0
            yield Unit(
                self.track,
                piece,
                pts + ticks if pts is not None and ticks is not None else None,
                dts + ticks if dts is not None and ticks is not None else None,
                key,
                damaged and first,
            )


def _used(data: bytes, at: int) -> int:
    """Bytes of an adaptation field that mean something."""
    flags = data[at]
    used = 1
    if flags & 0x10:
        used += 6
    if flags & 0x08:
        used += 6
    if flags & 0x04:
        used += 1
    for flag in (0x02, 0x01):
        if flags & flag and at + used < len(data):
            used += 1 + data[at + used]
    return used


def _time(data: bytes, at: int) -> int:
    return (
        (data[at] >> 1 & 7) << 30
        | data[at + 1] << 22
        | (data[at + 2] >> 1) << 15
        | data[at + 3] << 7
        | data[at + 4] >> 1
    )


# what a PES packet holds: (bytes, ticks after its pts or None, key)

Piece = tuple[bytes, int | None, bool]


class _Whole:
    """One unit per PES packet, and decoding may begin at each."""

    def __call__(self, body: bytes) -> Iterator[Piece]:
        yield body, 0, True


class _H264:
    """One picture per PES packet, or several with an access unit delimiter before each."""

    def __call__(self, body: bytes) -> Iterator[Piece]:
        ticks: int | None = 0
        start = 0
        while (end := body.find(b"\x00\x00\x01\x09", start + 6)) > 0:
            end -= body[end - 1] == 0
            yield body[start:end], ticks, _h264_key(body[start:end])
            start, ticks = end, None
        rest = body[start:] if start else body
        yield rest, ticks, _h264_key(rest)


def _h264_key(unit: bytes) -> bool:
    """Whether its first slice is of an IDR picture (ISO/IEC 14496-10, 7.4.1)."""
    at = -1
    while (at := unit.find(b"\x00\x00\x01", at + 1)) >= 0 and at + 3 < len(unit):
        kind = unit[at + 3] & 0x1F
        if 1 <= kind <= 5:
            return kind == 5
    return False


class _Hevc:
    def __call__(self, body: bytes) -> Iterator[Piece]:
        yield body, 0, _hevc_key(body)


def _hevc_key(unit: bytes) -> bool:
    """Whether its first slice is of a random access picture (ISO/IEC 23008-2, 7.4.2.2)."""
    at = -1
    while (at := unit.find(b"\x00\x00\x01", at + 1)) >= 0 and at + 3 < len(unit):
        kind = unit[at + 3] >> 1 & 0x3F
        if kind < 32:
            return 16 <= kind <= 23
    return False


class _Mpeg2:
    def __call__(self, body: bytes) -> Iterator[Piece]:
        at = body.find(b"\x00\x00\x01\x00")
        yield body, 0, at >= 0 and at + 5 < len(body) and body[at + 5] >> 3 & 7 == 1


_ADTS_RATES: Final = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)


class _Adts:
    """AAC frames behind ADTS headers (ISO/IEC 13818-7); one may go on in the next PES packet."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, body: bytes) -> Iterator[Piece]:
        carried = len(self._rest)
        data, at = self._rest + body, 0
        ticks: int | None = None if carried else 0
        passed = 0.0
        while (at := _adts(data, at)) + 7 <= len(data):
            length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            if length < 7:
                at += 1
                continue
            if at + length > len(data):
                break
            if at >= carried and ticks is None:
                ticks, passed = 0, 0.0
            yield data[at : at + length], ticks, True
            rate = data[at + 2] >> 2 & 15
            if ticks is not None and rate < len(_ADTS_RATES):
                passed += 1024 * CLOCK * ((data[at + 6] & 3) + 1) / _ADTS_RATES[rate]
                ticks = round(passed)
            at += length
        self._rest = data[at:] if len(data) - at < 8192 else b""


def _adts(data: bytes, at: int) -> int:
    """Where the next ADTS header may begin."""
    while (at := data.find(0xFF, at)) >= 0:
        if at + 1 >= len(data) or data[at + 1] & 0xF6 == 0xF0:
            return at
        at += 1
    return len(data)


class _Opus:
    """Opus packets behind control headers (ETSI TS 103 491 and Opus in TS, 2014)."""

    def __call__(self, body: bytes) -> Iterator[Piece]:
        at, ticks = 0, 0
        while at + 2 < len(body):
            if body[at] != 0x7F or body[at + 1] & 0xE0 != 0xE0:
                return
            flags, size = body[at + 1], 0
            at += 2
            while at < len(body):
                size += body[at]
                at += 1
                if body[at - 1] != 255:
                    break
            at += 2 * bool(flags & 0x10) + 2 * bool(flags & 0x08)
            if flags & 0x04 and at < len(body):
                at += 1 + body[at]
            packet = body[at : at + size]
            if len(packet) < size or not packet:
                return
            yield packet, ticks, True
            ticks += opus_samples(packet) * CLOCK // 48_000
            at += size


def opus_samples(packet: bytes) -> int:
    """Samples at 48 kHz that a packet holds (RFC 6716, 3.1)."""
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        each = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        each = (480, 960)[config & 1]
    else:
        each = (120, 240, 480, 960)[config & 3]
    frames = (1, 2, 2)[code] if code < 3 else (packet[1] & 63 if len(packet) > 1 else 0)
    return each * frames


_SPLITTERS: Final[dict[str, type]] = {
    "h264": _H264,
    "hevc": _Hevc,
    "mpeg1video": _Mpeg2,
    "mpeg2video": _Mpeg2,
    "aac": _Adts,
    "opus": _Opus,
}


# tables


class _Sections:
    """Sections of one PID, put together from its packets; the same one is given once."""

    def __init__(self) -> None:
        self._data = b""
        self._given = b""

    def packet(self, packet: bytes) -> Iterator[bytes]:
        control, at = packet[3], 4
        if not control & 0x10:
            return
        if control & 0x20:
            at += 1 + packet[4]
        payload = packet[at:]
        if not payload:
            return
        if packet[1] & 0x40:
            pointer = payload[0]
            before, after = payload[1 : 1 + pointer], payload[1 + pointer :]
            yield from self._complete(before if self._data else b"")
            self._data = b""
            yield from self._complete(after)
        elif self._data:
            yield from self._complete(payload)

    def _complete(self, more: bytes) -> Iterator[bytes]:
        data = self._data + more
        while len(data) >= 3 and data[0] != 0xFF:
            length = 3 + ((data[1] & 0x0F) << 8 | data[2])
            if length > LONGEST_SECTION:
                data = b""
                break
            if len(data) < length:
                break
            section, data = data[:length], data[length:]
            if section != self._given and length >= 12 and crc(section) == 0:
                self._given = section
                yield section
        self._data = data if data[:1] != b"\xff" else b""


def _programs(section: bytes) -> tuple[int, ...]:
    """PIDs of the programs' maps, in their order."""
    found = []
    for at in range(8, len(section) - 4 - 3, 4):
        if section[at] << 8 | section[at + 1]:
            found.append((section[at + 2] & 0x1F) << 8 | section[at + 3])
    return tuple(found)


_TYPES: Final = {
    0x01: ("video", "mpeg1video"),
    0x02: ("video", "mpeg2video"),
    0x03: ("audio", "mp3"),
    0x04: ("audio", "mp3"),
    0x0F: ("audio", "aac"),
    0x11: ("audio", "aac_latm"),
    0x1B: ("video", "h264"),
    0x24: ("video", "hevc"),
    0x81: ("audio", "ac3"),
    0x87: ("audio", "eac3"),
}
"""stream_type -> kind and codec (ISO/IEC 13818-1 table 2-34, ATSC A/53)."""

_PRIVATE: Final = {
    b"Opus": ("audio", "opus"),
    b"AC-3": ("audio", "ac3"),
    b"EAC3": ("audio", "eac3"),
    b"HEVC": ("video", "hevc"),
}
"""format_identifier of a registration descriptor, for stream_type 6."""


def _tracks(section: bytes) -> Iterator[Track]:
    end = len(section) - 4
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at + 5 <= end:
        kind, pid = section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]
        length = (section[at + 3] & 0x0F) << 8 | section[at + 4]
        described = dict(_descriptors(section[at + 5 : min(at + 5 + length, end)]))
        at += 5 + length
        track = _track(pid, kind, described)
        if track is not None:
            yield track


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def _track(pid: int, kind: int, described: dict[int, bytes]) -> Track | None:
    known = _TYPES.get(kind)
    if kind == 0x06:
        known = _PRIVATE.get(described.get(0x05, b"")[:4])
        known = known or (("audio", "ac3") if 0x6A in described else None)
        known = known or (("audio", "eac3") if 0x7A in described else None)
    if known is None:
        return None
    track = Track(pid, *known)
    if track.codec != "opus":
        return track
    extension = described.get(0x7F, b"")
    channels = extension[1] if len(extension) > 1 and extension[0] == 0x80 else 2
    channels = channels if 1 <= channels <= 8 else 2
    return replace(track, channels=channels, extradata=opus_head(channels))


_COUPLED: Final = (0, 0, 1, 1, 2, 2, 2, 2, 3)
_ORDER: Final = (
    *((), (0,), (0, 1), (0, 2, 1), (0, 1, 2, 3), (0, 4, 1, 2, 3)),
    *((0, 4, 1, 2, 3, 5), (0, 4, 1, 2, 3, 5, 6), (0, 6, 1, 2, 3, 4, 5, 7)),
)
"""Of 0 to 8 channels: how many streams hold two, and which channel is which (RFC 7845, 5.1.1.2)."""


def opus_head(channels: int) -> bytes:
    """What an Opus decoder is told beforehand (RFC 7845, 5.1)."""
    head = (
        b"OpusHead\x01" + bytes([channels]) + bytes(2) + (48_000).to_bytes(4, "little") + bytes(2)
    )
    if channels <= 2:
        return head + b"\x00"
    coupled = _COUPLED[channels]
    return head + b"\x01" + bytes([channels - coupled, coupled, *_ORDER[channels]])


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC: Final = _crc_table()


def crc(data: bytes) -> int:
    """CRC-32 of ISO/IEC 13818-1 annex A; 0 over a section that holds its own."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8) & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value
