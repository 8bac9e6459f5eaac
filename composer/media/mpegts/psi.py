"""The tables of a transport stream: which programmes there are, and which tracks each has.

Program specific information, ISO/IEC 13818-1, 2.4.4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

LONGEST_SECTION: Final = 4096

MOST_PROGRAMS: Final = 64
"""Programmes of one stream that are looked at; the rest are left out."""


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream. kind: video or audio. codec: libavcodec's name of the decoder.

    channels and extradata: what an Opus decoder is told beforehand. aside: for those who hear or
    see badly, beside the track for all (ISO 639 descriptor).
    """

    pid: int
    kind: str
    codec: str
    channels: int = 0
    extradata: bytes = b""
    aside: bool = False


@dataclass(frozen=True, slots=True)
class ProgramMap:
    """What a programme holds. unknown: stream types of tracks that nothing here can read. pids: of
    all tracks.
    """

    program: int
    tracks: tuple[Track, ...]
    unknown: tuple[int, ...] = ()
    pids: tuple[int, ...] = ()


def programs(section: bytes) -> Iterator[tuple[int, int]]:
    """(number, PID of its map) of each programme of a section of the association table."""
    for at in range(8, len(section) - 4 - 3, 4):
        number = section[at] << 8 | section[at + 1]
        if number:  # 0 is the network's own
            yield number, (section[at + 2] & 0x1F) << 8 | section[at + 3]


def program_map(section: bytes) -> ProgramMap:
    """The tracks of a section of a program map, in its order."""
    tracks, unknown, pids = [], [], []
    end = len(section) - 4
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at + 5 <= end:
        kind, pid = section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]
        length = (section[at + 3] & 0x0F) << 8 | section[at + 4]
        described = dict(_descriptors(section[at + 5 : min(at + 5 + length, end)]))
        at += 5 + length
        pids.append(pid)
        track = _track(pid, kind, described)
        if track is not None:
            tracks.append(track)
        elif kind not in _NO_MEDIA:
            unknown.append(kind)
    number = section[3] << 8 | section[4]
    return ProgramMap(number, tuple(tracks), tuple(unknown), tuple(pids))


class Sections:
    """Sections of one PID, put together from its packets, each given when it differs from the one
    before in its place. Those that are not valid yet (current_next_indicator) are passed over.
    """

    def __init__(self) -> None:
        self.looked = 0
        """Sections whose check sum was reckoned; whoever counts them sets it back."""

        self._data = b""
        self._given: dict[bytes, bytes] = {}

    def packet(self, packet: bytes) -> Iterator[bytes]:
        """packet: one of 188 bytes of this PID."""
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
            if self._is_new(section):
                yield section
        self._data = data if data[:1] != b"\xff" else b""

    def _is_new(self, section: bytes) -> bool:
        if len(section) < 12 or not section[5] & 1:
            return False
        place = section[:1] + section[3:5] + section[6:7]  # table, its number, section number
        if self._given.get(place) == section:
            return False
        self.looked += 1
        if crc(section) != 0:
            return False
        if len(self._given) >= MOST_PROGRAMS:
            self._given.clear()
        self._given[place] = section
        return True


_TYPES: Final = {
    0x01: ("video", "mpeg1video"),
    0x02: ("video", "mpeg2video"),
    0x03: ("audio", "mp3"),
    0x04: ("audio", "mp3"),
    0x0F: ("audio", "aac"),
    0x10: ("video", "mpeg4"),
    0x11: ("audio", "aac_latm"),
    0x1B: ("video", "h264"),
    0x24: ("video", "hevc"),
    0x33: ("video", "vvc"),
    0x42: ("video", "cavs"),
    0x81: ("audio", "ac3"),
    0x87: ("audio", "eac3"),
    0x8A: ("audio", "dts"),
    0xEA: ("video", "vc1"),
}
"""stream_type -> kind and codec (ISO/IEC 13818-1 table 2-34, ATSC A/53)."""

_REGISTERED: Final = {
    b"Opus": ("audio", "opus"),
    b"AC-3": ("audio", "ac3"),
    b"EAC3": ("audio", "eac3"),
    b"DTS1": ("audio", "dts"),
    b"DTS2": ("audio", "dts"),
    b"DTS3": ("audio", "dts"),
    b"BSSD": ("audio", "s302m"),
    b"HEVC": ("video", "hevc"),
    b"VC-1": ("video", "vc1"),
}
"""format_identifier of a registration descriptor, for private data."""

_DESCRIBED: Final = {0x6A: "ac3", 0x7A: "eac3", 0x7B: "dts", 0x7C: "aac"}
"""Descriptors that name a codec of sound by being there (ETSI EN 300 468, table 12)."""

_NO_MEDIA: Final = frozenset({0x05, 0x08, 0x0B, 0x0C, 0x0D, 0x14, 0x15, 0x16, 0x17, 0x86})
"""Stream types of sections, metadata and cues, which nobody wants to see or hear."""


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def _track(pid: int, kind: int, described: Mapping[int, bytes]) -> Track | None:
    known = _codec(kind, described)
    if known is None:
        return None
    language = described.get(0x0A, b"")
    track = Track(pid, *known, aside=len(language) > 3 and language[3] in (2, 3))
    if track.codec != "opus":
        return track
    extension = described.get(0x7F, b"")
    channels = extension[1] if len(extension) > 1 and extension[0] == 0x80 else 2
    channels = channels if 1 <= channels <= 8 else 2
    return replace(track, channels=channels, extradata=opus_head(channels))


def _codec(kind: int, described: Mapping[int, bytes]) -> tuple[str, str] | None:
    registered = described.get(0x05, b"")[:4]
    if kind != 0x06 and kind in _TYPES:
        return _TYPES[kind]
    if kind != 0x06 and kind < 0x80:
        return None
    by_tag = (("audio", codec) for tag, codec in _DESCRIBED.items() if tag in described)
    return _REGISTERED.get(registered) or next(by_tag, None)


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
