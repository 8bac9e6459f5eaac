"""The packets of a transport stream, looked at for what they say of themselves.

ISO/IEC 13818-1, 2.4.3: what libavformat reads past, and what explains why a stream looks wrong.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from composer.media.mpegts import psi
from composer.media.mpegts.demuxer import NULL_PID, PACKET, SYNC

FORMS: Final = ((188, 0), (192, 4), (204, 0))
"""Bytes from one packet to the next, and those before it: plain, with times (M2TS), with parity."""

_MOST: Final = 64
_PIECE: Final = 1 << 20


@dataclass
class TransportReport:
    """What was found. Keys of the counters are PIDs.

    stride: bytes from packet to packet. strayed: how often packets did not go on where one ended.
    damaged: packets marked so. next_tables: tables that are not valid yet. programs: number -> PIDs
    of its tracks. unknown: stream types of tracks that nothing here can read. lost: breaks of the
    continuity counter. pes: PES packets that begin. scrambled: packets that need a key.
    """

    stride: int = PACKET
    packets: int = 0
    strayed: int = 0
    damaged: int = 0
    next_tables: int = 0
    programs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    lost: Counter[int] = field(default_factory=Counter)
    pes: Counter[int] = field(default_factory=Counter)
    scrambled: Counter[int] = field(default_factory=Counter)


def look(file: BinaryIO, most: int) -> TransportReport | None:
    """The first `most` bytes of a file; None where it is no transport stream."""
    data = file.read(_PIECE)
    form = _form(data)
    if form is None:
        return None
    found = TransportReport(stride=form[0])
    tables = _Tables(found)
    counters: dict[int, int] = {}
    file.seek(0)
    for packet in _packets(file, most, *form, found):
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        found.packets += 1
        found.damaged += packet[1] >> 7
        if pid == NULL_PID:
            continue
        if pid == 0:
            counters.clear()  # a muxer that begins anew counts from 0 again
        _count(packet, pid, counters, found)
        tables.packet(packet, pid)
        if packet[1] & 0x40:
            _begin(packet, pid, found)
    return found


def _form(data: bytes) -> tuple[int, int] | None:
    """Which of FORMS the bytes have, from the first packet on, which may stand behind others."""
    for start in range(min(len(data), 4 * FORMS[-1][0])):
        if data[start] != SYNC:
            continue
        for stride, before in FORMS:
            places = range(start, len(data), stride)[:5]
            if len(places) > 1 and start >= before and all(data[at] == SYNC for at in places):
                return stride, before
    return None


def _packets(
    file: BinaryIO, most: int, stride: int, before: int, found: TransportReport
) -> Iterator[bytes]:
    rest = b""
    while most > 0 and (piece := file.read(min(most, _PIECE))):
        most -= len(piece)
        data, at = rest + piece, before
        while at + PACKET <= len(data):
            if data[at] == SYNC:
                yield data[at : at + PACKET]
                at += stride
                continue
            found.strayed += 1
            at = _synced(data, at + 1, stride)
        rest = data[max(0, at - before) :]


def _synced(data: bytes, at: int, stride: int) -> int:
    """Where packets begin again."""
    while (at := data.find(SYNC, at)) >= 0:
        if at + stride >= len(data) or data[at + stride] == SYNC:
            return at
        at += 1
    return len(data)


def _count(packet: bytes, pid: int, counters: dict[int, int], found: TransportReport) -> None:
    if packet[3] & 0xC0:
        found.scrambled[pid] += 1
    if not packet[3] & 0x10:
        return  # no payload: it does not count
    counter, last = packet[3] & 0x0F, counters.get(pid)
    marked = packet[3] & 0x20 and packet[4] and packet[5] & 0x80  # discontinuity_indicator
    if last is not None and counter not in (last, last + 1 & 0x0F) and not marked:
        found.lost[pid] += 1
    counters[pid] = counter


def _begin(packet: bytes, pid: int, found: TransportReport) -> None:
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    found.pes[pid] += packet[at : at + 3] == b"\x00\x00\x01"


class _Tables:
    def __init__(self, found: TransportReport) -> None:
        self._found = found
        self._sections: dict[int, psi.Sections] = {0: psi.Sections()}

    def packet(self, packet: bytes, pid: int) -> None:
        sections = self._sections.get(pid)
        if sections is None:
            return
        self._found.next_tables += _is_next(packet)
        for section in sections.packet(packet):
            if pid == 0 and section[0] == 0x00:
                for _, at in psi.programs(section):
                    if len(self._sections) < _MOST:
                        self._sections.setdefault(at, psi.Sections())
            elif section[0] == 0x02:
                made = psi.program_map(section)
                self._found.unknown.update(made.unknown)
                if made.program in self._found.programs or len(self._found.programs) < _MOST:
                    before = self._found.programs.get(made.program, ())
                    self._found.programs[made.program] = tuple(dict.fromkeys((*before, *made.pids)))


def _is_next(packet: bytes) -> bool:
    """Whether a table begins here that is not valid yet (current_next_indicator)."""
    if not packet[1] & 0x40 or not packet[3] & 0x10:
        return False
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    at += 1 + packet[at] if at < PACKET else 0
    return at + 5 < PACKET and packet[at] in (0x00, 0x02) and not packet[at + 5] & 1
