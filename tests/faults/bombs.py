"""Transport streams that are small, and cost much: what a segment may hold to hurt who reads it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from composer.media.mpegts.psi import crc

MAP_PID, PICTURES, SOUND = 0x1000, 0x100, 0x101
H264, HEVC, ADTS, PRIVATE = 0x1B, 0x24, 0x0F, 0x06
ROOM: Final = 184
OPUS: Final = b"\x05\x04Opus\x7f\x02\x80\x02"
"""Descriptors that call a private track Opus in two channels."""


class Stream:
    """Packets that are put together by hand."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._counters: Counter[int] = Counter()

    def packet(self, pid: int, payload: bytes, *, starts: bool = False) -> None:
        """At most 184 bytes; less are stuffed by an adaptation field."""
        counter = self._counters[pid] & 15
        self._counters[pid] += 1
        head = bytes([0x47, starts << 6 | pid >> 8, pid & 255])
        lacks = ROOM - len(payload)
        if not lacks:
            self.data += head + bytes([0x10 | counter]) + payload
            return
        stuffing = bytes([lacks - 1]) + (b"\x00" + b"\xff" * (lacks - 2))[: lacks - 1]
        self.data += head + bytes([0x30 | counter]) + stuffing + payload

    def parts(self, pid: int, payload: bytes) -> None:
        for at in range(0, len(payload), ROOM):
            self.packet(pid, payload[at : at + ROOM], starts=at == 0)

    def table(self, pid: int, kind: int, body: bytes) -> None:
        section = bytes([kind]) + (0xB000 | len(body) + 9).to_bytes(2, "big") + b"\x00\x01\xc1\0\0"
        section += body
        section += crc(section).to_bytes(4, "big")
        filled = b"\x00" + section
        self.parts(pid, filled + b"\xff" * (-len(filled) % ROOM))

    def programmes(self, *pids: int) -> None:
        pairs = [
            number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big")
            for number, pid in enumerate(pids, 1)
        ]
        self.table(0, 0, b"".join(pairs))

    def tracks(self, *tracks: tuple[int, int, bytes]) -> None:
        """Type, PID and descriptors of each."""
        body = (0xE000 | PICTURES).to_bytes(2, "big") + b"\xf0\x00"
        for kind, pid, said in tracks:
            body += bytes([kind]) + (0xE000 | pid).to_bytes(2, "big")
            body += (0xF000 | len(said)).to_bytes(2, "big") + said
        self.table(MAP_PID, 2, body)

    def pes(self, pid: int, code: int, data: bytes) -> None:
        """One PES packet that does not say its length."""
        self.parts(
            pid,
            b"\x00\x00\x01" + bytes([code]) + b"\x00\x00\x80\x80\x05\x21\x00\x01\x00\x01" + data,
        )


def _one_packet(kind: int, pid: int, code: int, unit: bytes, size: int, said: bytes = b"") -> bytes:
    stream = Stream()
    stream.programmes(MAP_PID)
    stream.tracks((H264, PICTURES, b""), *([(kind, pid, said)] if pid != PICTURES else []))
    stream.pes(pid, code, unit * (size // len(unit)))
    return bytes(stream.data)


def frames_of_opus(size: int) -> bytes:
    """Frames of Opus of one byte each."""
    return _one_packet(PRIVATE, SOUND, 0xBD, b"\x7f\xe0\x01\x04", size, OPUS)


def frames_of_aac(size: int) -> bytes:
    """Frames of AAC that hold nothing but their head."""
    return _one_packet(ADTS, SOUND, 0xC0, b"\xff\xf1\x50\x80\x00\xff\xfc", size)


def heads_of_aac(size: int) -> bytes:
    """What begins like a frame of AAC at every second byte."""
    return _one_packet(ADTS, SOUND, 0xC0, b"\xff\xf1", size)


def delimiters(size: int) -> bytes:
    """Pictures of H.264 that are nothing but their beginning."""
    return _one_packet(H264, PICTURES, 0xE0, b"\x00\x00\x01\x09\xf0\x00", size)


def start_codes(size: int) -> bytes:
    """Units of H.264 without content."""
    return _one_packet(H264, PICTURES, 0xE0, b"\x00\x00\x01\x06", size)


def endless_picture(size: int) -> bytes:
    """One picture that does not end."""
    return _one_packet(H264, PICTURES, 0xE0, b"\x00\x00\x01\x65" + bytes(range(1, 253)), size)


def wide_tables(size: int) -> bytes:
    """Maps of many tracks, of which each differs from the one before."""
    stream = Stream()
    stream.programmes(MAP_PID)
    others = [(ADTS, 0x200 + number, b"") for number in range(140)]
    for turn in range(size // 1128):
        stream.tracks((H264, PICTURES + (turn & 1), b"\x05\xff" + b"a" * 255), *others)
    return bytes(stream.data)


def changing_codecs(size: int) -> bytes:
    """A track that is of another codec with each picture."""
    stream = Stream()
    stream.programmes(MAP_PID)
    for turn in range(size // 376):
        stream.tracks((HEVC if turn & 1 else H264, PICTURES, b""))
        stream.pes(PICTURES, 0xE0, b"\x00\x00\x01\x65" + b"a" * 50)
    return bytes(stream.data)


def many_programmes(size: int) -> bytes:
    """As many programmes as a table holds, and packets of every PID."""
    stream = Stream()
    stream.programmes(*(0x20 + number for number in range(1, 250)))
    for turn in range(size // 188):
        stream.packet(turn % 8191, b"x" * ROOM, starts=True)
    return bytes(stream.data)


def nothing_but_sync(size: int) -> bytes:
    """The byte that a packet begins with, everywhere."""
    return b"\x47" * size


def no_sync(size: int) -> bytes:
    """Nothing that a packet begins with."""
    return bytes(size)


def _named(makers: Sequence[Callable[[int], bytes]]) -> Mapping[str, Callable[[int], bytes]]:
    return {maker.__name__: maker for maker in makers}


BOMBS: Final = _named(
    [
        frames_of_opus,
        frames_of_aac,
        heads_of_aac,
        delimiters,
        start_codes,
        endless_picture,
        wide_tables,
        changing_codecs,
        many_programmes,
        nothing_but_sync,
        no_sync,
    ]
)
"""By name; each is given the bytes that it may have."""
