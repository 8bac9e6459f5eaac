"""What is written of a stream so far, as far as whoever goes on with it has to know."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from composer.media.mpegts.pes import PACKET, SYNC
from composer.media.mpegts.psi import ProgramMap, Sections, program_map, programs

TABLE_PACKETS: Final = 8
"""At the begin of a segment, among which its tables are."""

LAST_BYTES: Final = 1 << 20
"""At the end of a segment, in which the last picture begins and the last sound."""


@dataclass(frozen=True)
class Written:
    """The tracks of a stream of Muxer, and where each of them is.

    video, audio: their codecs, "" for none. channels: of the sound, 0 for not told. version: of the
    map. last: "video" or "audio" -> decoding time of the last unit, in ticks of 90 kHz; of 33 bits
    where it was read off a stream. turns: PID -> the counter of its next packet.
    """

    video: str = ""
    audio: str = ""
    channels: int = 0
    version: int = 0
    last: Mapping[str, int] = field(default_factory=dict)
    turns: Mapping[int, int] = field(default_factory=dict)


def written(segment: bytes) -> Written | None:
    """What one segment says, begun by tables and cut off anywhere; None where it says nothing."""
    whole = len(segment) - len(segment) % PACKET
    head = min(whole, TABLE_PACKETS * PACKET)
    turns: dict[int, int] = {}
    found = _map(segment[:head], turns)
    if found is None:
        return None
    tracks, version = {track.kind: track for track in found[0].tracks}, found[1]
    kinds = {track.pid: kind for kind, track in tracks.items()}
    last: dict[str, int] = {}
    begin = max(0, (whole - LAST_BYTES) // PACKET * PACKET)
    for packet in _packets(segment[begin:whole]):
        pid = _pid(packet)
        _count(packet, pid, turns)
        ticks = _time(packet) if pid in kinds and packet[1] & 0x40 else None
        if ticks is not None:
            last[kinds[pid]] = ticks
    if not last:
        return None
    video, audio = (tracks[kind] if kind in tracks else None for kind in ("video", "audio"))
    return Written(
        video.codec if video is not None else "",
        audio.codec if audio is not None else "",
        audio.channels if audio is not None else 0,
        version,
        last,
        turns,
    )


def _map(head: bytes, turns: dict[int, int]) -> tuple[ProgramMap, int] | None:
    """The first map of a stream and its version."""
    tables = {0: Sections()}
    for packet in _packets(head):
        pid = _pid(packet)
        _count(packet, pid, turns)
        for section in tables[pid].packet(packet) if pid in tables else ():
            if pid:
                return program_map(section), section[5] >> 1 & 31
            tables |= {place: Sections() for _, place in programs(section)}
    return None


def _packets(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PACKET):
        if data[at] != SYNC:
            return
        yield data[at : at + PACKET]


def _pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _count(packet: bytes, pid: int, turns: dict[int, int]) -> None:
    if packet[3] & 0x10:  # a counter counts packets with a payload
        turns[pid] = (packet[3] + 1) & 15


def _time(packet: bytes) -> int | None:
    """The decoding time in the PES header with which a packet begins (ISO/IEC 13818-1, 2.4.3.6)."""
    at = 5 + packet[4] if packet[3] & 0x20 else 4
    header = packet[at : at + 19]
    if len(header) < 14 or header[:3] != b"\0\0\1" or not header[7] & 0x80:
        return None
    word = int.from_bytes(header[14:19] if header[7] & 0x40 else header[9:14])
    return (word >> 33 & 7) << 30 | (word >> 17 & 0x7FFF) << 15 | word >> 1 & 0x7FFF
