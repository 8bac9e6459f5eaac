"""MPEG-TS whose layout is free: what lies in a PES packet, in a TS packet, in the tables, and when.

After ISO/IEC 13818-1; Opus after its mapping (opus-codec.org, ETSI_TS_opus-v0.1.3-draft).
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from tests.media.streams.elementary import CLOCK, STEP, Coded, Sound, start_codes

PACKET: Final = 188
WRAP: Final = 1 << 33
PMT: Final = 4096
PICTURES: Final = 256
SOUND: Final = 257
BASE: Final = 10 * CLOCK
"""The clock of a stream's first picture."""


@dataclass(frozen=True, slots=True)
class Pes:
    """One PES packet. at: when it is sent, in 90 kHz. pts, dts: None where nothing is said."""

    data: bytes
    at: int
    pts: int | None = None
    dts: int | None = None
    key: bool = False


# what lies in a PES packet


def one_each(coded: Sequence[Coded]) -> tuple[Pes, ...]:
    return tuple(Pes(each.data, each.dts, each.pts, each.dts, each.key) for each in coded)


def _unbroken(coded: Sequence[Coded]) -> Iterator[list[Coded]]:
    """Runs without a hole in time: nothing lies over one."""
    run: list[Coded] = []
    for each in coded:
        if run and abs(each.pts - run[-1].pts) > CLOCK // 2:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def several(coded: Sequence[Coded], count: int) -> tuple[Pes, ...]:
    """`count` in each, with the time of the first."""
    found: list[Pes] = []
    parts = [run[at : at + count] for run in _unbroken(coded) for at in range(0, len(run), count)]
    for held in parts:
        first = replace(held[0], data=b"".join(each.data for each in held))
        found += one_each([replace(first, key=any(each.key for each in held))])
    return tuple(found)


def in_units(coded: Sequence[Coded]) -> tuple[Pes, ...]:
    """A PES packet for each unit behind a start code; the first of a picture has its time."""
    found: list[Pes] = []
    for each in coded:
        first, *others = start_codes(each.data)
        found += one_each([replace(each, data=first)])
        found += [Pes(other, each.dts) for other in others]
    return tuple(found)


def anywhere(coded: Sequence[Coded], size: int) -> tuple[Pes, ...]:
    """Cut after every `size` bytes: a PES packet has the time of the first that begins in it.

    Where the cut goes through a start code it has none: readers differ in what begins where.
    """
    return tuple(pes for run in _unbroken(coded) for pes in _pieces(run, size))


def _pieces(coded: Sequence[Coded], size: int) -> Iterator[Pes]:
    data = b"".join(each.data for each in coded)
    starts, at = {}, 0
    for each in coded:
        starts[at] = each
        at += len(each.data)
    last = coded[0].dts
    for begin in range(0, len(data), size):
        end = min(begin + size, len(data))
        here = [(at, starts[at]) for at in range(begin, end) if at in starts]
        pes = Pes(data[begin:end], last)
        if here:
            at, first = here[0]
            last = here[-1][1].dts
            pes = replace(pes, at=first.dts, key=any(one.key for _, one in here))
            if at + 5 <= end:
                pes = replace(pes, pts=first.pts, dts=first.dts)
        yield pes


def opus_headed(coded: Sequence[Coded]) -> tuple[Coded, ...]:
    """With the control header that Opus has in a transport stream before each packet."""
    found = []
    for each in coded:
        size, lengths = len(each.data), b""
        while size >= 255:
            lengths, size = lengths + b"\xff", size - 255
        head = b"\x7f\xe0" + lengths + bytes([size])
        found.append(replace(each, data=head + each.data))
    return tuple(found)


# what a table says


@dataclass(frozen=True, slots=True)
class Listed:
    """An elementary stream in a program's map."""

    type: int
    pid: int
    descriptors: bytes = b""


def descriptor(tag: int, data: bytes) -> bytes:
    return bytes([tag, len(data)]) + data


def _registered(name: bytes) -> bytes:
    return descriptor(0x05, name)


TYPES: Final = {
    "h264": 0x1B,
    "hevc": 0x24,
    "mpeg1video": 0x01,
    "mpeg2video": 0x02,
    "mpeg4": 0x10,
    "aac": 0x0F,
    "aac_latm": 0x11,
    "mp2": 0x03,
    "mp3": 0x04,
    "ac3": 0x81,
    "eac3": 0x87,
    "opus": 0x06,
}


def listed(codec: str, pid: int, channels: int = 2) -> Listed:
    described = b""
    if codec == "opus":
        described = _registered(b"Opus") + descriptor(0x7F, bytes([0x80, channels]))
    return Listed(TYPES[codec], pid, described)


def as_private(one: Listed, codec: str) -> Listed:
    """The same as Europe writes it: private data, and a descriptor that says what."""
    tag = {"ac3": 0x6A, "eac3": 0x7A}[codec]
    return Listed(0x06, one.pid, descriptor(tag, b"\0"))


@dataclass(frozen=True, slots=True)
class Program:
    """maps: what it holds, each from a time on (in 90 kHz after the first picture)."""

    number: int
    pid: int
    maps: tuple[tuple[int, tuple[Listed, ...]], ...]
    pcr: int = PICTURES
    told: bool = True
    """Whether its map is ever sent."""

    def at(self, ticks: int) -> tuple[Listed, ...]:
        return [streams for since, streams in self.maps if since <= ticks or since == 0][-1]


@dataclass(frozen=True, slots=True)
class Tables:
    """How they are written.

    every: ticks between them; 0 for at the start alone, -1 before each key picture. padding: bytes
    of descriptors in a map. versions: a new one each time. announced: a map that holds nothing of
    this program comes marked "next" behind each one. network: a network's table is listed first.
    pointer: filling before a section begins.
    """

    every: int = -1
    padding: int = 0
    versions: bool = False
    announced: bool = False
    network: bool = False
    pointer: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """What is sent on one PID. length: how a PES packet tells its own, `zero` for not at all,
    `right` for where 16 bits can hold it, `modulo` for what they hold of it.
    """

    pid: int
    stream_id: int
    pes: tuple[Pes, ...]
    length: str = "right"


@dataclass(frozen=True, slots=True)
class Layout:
    """How TS packets are written.

    stuffing: `end` of a PES packet, `anywhere`, `begin`, or `own`: packets of nothing else.
    clock: `first` for a PCR with each picture, `own` for one on a PID of its own, `none`.
    mixed: packets of tracks stand between each other.
    """

    stuffing: str = "end"
    clock: str = "first"
    mixed: bool = False
    header: int = 0
    """Bytes of stuffing in a PES packet's header."""

    flags: int = 0x80
    seed: int = 1


def mux(
    tracks: Sequence[Track],
    programs: Sequence[Program],
    tables: Tables = Tables(),
    layout: Layout = Layout(),
    base: int = BASE,
) -> bytes:
    """The packets of a stream whose tracks' time 0 is `base` on its clock."""
    return _Writer(tuple(programs), tables, layout, base).written(tracks)


@dataclass(slots=True)
class _Writer:
    programs: tuple[Program, ...]
    tables: Tables
    layout: Layout
    base: int
    counters: dict[int, int] = field(default_factory=dict)
    version: int = 0
    source: random.Random = field(default_factory=random.Random)

    def written(self, tracks: Sequence[Track]) -> bytes:
        self.source = random.Random(self.layout.seed)
        order = sorted(
            (
                (pes.at, place, index, track, pes)
                for place, track in enumerate(tracks)
                for index, pes in enumerate(track.pes)
            ),
            key=lambda item: item[:3],
        )
        groups: list[list[bytes]] = []
        due: int | None = None
        said: list[tuple[Listed, ...]] = []
        for at, place, _, track, pes in order:
            now = [program.at(at) for program in self.programs]
            begins = place == 0 and pes.key and self.tables.every < 0
            wanted = due is None or begins or now != said
            wanted = wanted or (self.tables.every > 0 and due is not None and at >= due)
            if wanted:
                groups.append(self._tables(at))
                due, said = at + self.tables.every, now
            clock = pes.dts if pes.dts is not None else at
            if self.layout.clock == "own" and place == 0:
                groups.append([self._clock(0x1F0, clock)])
            groups.append(list(self._packets(track, pes, clock if place == 0 else None)))
        if self.layout.mixed:
            groups = [_mixed(groups, self.source)]
        return b"".join(packet for group in groups for packet in group)

    def _packets(self, track: Track, pes: Pes, clock: int | None) -> Iterator[bytes]:
        data = _pes_packet(track, pes, self.layout, self.base)
        first = True
        while data:
            used = b""
            if first and clock is not None and self.layout.clock == "first":
                used = self._reference(clock, key=pes.key)
            elif first and pes.key and track.stream_id >= 0xE0:
                used = b"\x40"
            room = PACKET - 4 - (len(used) + 1 if used else 0)
            if self.layout.stuffing == "own" and self.source.random() < 0.3:
                yield self._empty(track.pid)
            if self.layout.stuffing == "anywhere" and self.source.random() < 0.3:
                room -= self.source.randrange(1, room - 20)
            if self.layout.stuffing == "begin" and first:
                room = min(room, max(20, len(data) % (PACKET - 4)))
            part, data = data[:room], data[room:]
            yield self._packet(track.pid, part, begins=first, used=used)
            first = False

    def _packet(self, pid: int, part: bytes, *, begins: bool, used: bytes = b"") -> bytes:
        counter = self.counters.get(pid, 0)
        self.counters[pid] = (counter + 1) & 15
        room = PACKET - 4 - len(part)
        head = bytes([0x47, 0x40 * begins | pid >> 8, pid & 255])
        if room == 0:
            return head + bytes([0x10 | counter]) + part
        field = bytes([room - 1]) + (used or b"\0") if room > 1 else b"\0"
        return head + bytes([0x30 | counter]) + field.ljust(room, b"\xff") + part

    def _empty(self, pid: int) -> bytes:
        """A packet of an adaptation field alone: its counter stays (2.4.3.3)."""
        counter = (self.counters.get(pid, 0) - 1) & 15
        head = bytes([0x47, pid >> 8, pid & 255, 0x20 | counter, 183, 0])
        return head.ljust(PACKET, b"\xff")

    def _clock(self, pid: int, ticks: int) -> bytes:
        used = self._reference(ticks, key=False)
        return (bytes([0x47, pid >> 8, pid & 255, 0x20, 183]) + used).ljust(PACKET, b"\xff")

    def _reference(self, ticks: int, *, key: bool) -> bytes:
        clock = (ticks + self.base - CLOCK // 5) % WRAP
        return bytes([0x10 | 0x40 * key]) + (clock << 15 | 0x7E00).to_bytes(6, "big")

    def _tables(self, at: int) -> list[bytes]:
        listing = b"\0\0\xe0\x10" if self.tables.network else b""
        for program in self.programs:
            listing += program.number.to_bytes(2, "big") + (0xE000 | program.pid).to_bytes(2, "big")
        packets = self._section(0, 0, 1, listing)
        for program in self.programs:
            if not program.told:
                continue
            packets += self._map(program, program.at(at))
            if self.tables.announced:
                packets += self._map(program, (Listed(0x02, 0x300), Listed(0x81, 0x301)), now=False)
        if self.tables.versions:
            self.version = (self.version + 1) % 32
        return packets

    def _map(self, program: Program, streams: Iterable[Listed], *, now: bool = True) -> list[bytes]:
        filling = self.tables.padding
        more = b""
        while filling > 0:
            more += descriptor(0x88, bytes(min(filling, 200)))
            filling -= 200
        pcr = {"own": 0x1F0, "none": 0x1FFF}.get(self.layout.clock, program.pcr)
        body = (0xE000 | pcr).to_bytes(2, "big") + (0xF000 | len(more)).to_bytes(2, "big") + more
        for each in streams:
            body += bytes([each.type]) + (0xE000 | each.pid).to_bytes(2, "big")
            body += (0xF000 | len(each.descriptors)).to_bytes(2, "big") + each.descriptors
        return self._section(program.pid, 2, program.number, body, now=now)

    def _section(
        self, pid: int, table: int, ident: int, body: bytes, *, now: bool = True
    ) -> list[bytes]:
        version = (self.version + (not now)) % 32
        head = ident.to_bytes(2, "big") + bytes([0xC0 | version << 1 | now, 0, 0])
        length = len(head) + len(body) + 4
        section = bytes([table]) + (0xB000 | length).to_bytes(2, "big") + head + body
        section += _crc(section).to_bytes(4, "big")
        pointer = self.tables.pointer
        data = bytes([pointer]) + b"\xff" * pointer + section
        packets = []
        for at in range(0, len(data), PACKET - 4):
            part = data[at : at + PACKET - 4].ljust(PACKET - 4, b"\xff")
            packets.append(self._packet(pid, part, begins=at == 0))
        return packets


@cache
def _crc(data: bytes) -> int:
    """CRC-32 of ISO/IEC 13818-1 annex A."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def _mixed(groups: list[list[bytes]], source: random.Random) -> list[bytes]:
    """Each pair of groups beside each other as one, packets between packets where PIDs differ."""
    found: list[bytes] = []
    at = 0
    while at < len(groups):
        here, there = groups[at], groups[at + 1] if at + 1 < len(groups) else []
        if (
            not there
            or {_pid(each) for each in here} & {_pid(each) for each in there}
            or (_is_table(here[0]) or _is_table(there[0]))
        ):
            found += here
            at += 1
            continue
        rows = [list(here), list(there)]
        while any(rows):
            row = source.choice([each for each in rows if each])
            found.append(row.pop(0))
        at += 2
    return found


def _pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _is_table(packet: bytes) -> bool:
    return _pid(packet) < 0x20 or _pid(packet) >= PMT


def _pes_packet(track: Track, pes: Pes, layout: Layout, base: int) -> bytes:
    times = b""
    if pes.pts is not None:
        pts = (pes.pts + base) % WRAP
        dts = pts if pes.dts is None else (pes.dts + base) % WRAP
        times = _stamp(2, pts) if pts == dts else _stamp(3, pts) + _stamp(1, dts)
    flags = {0: 0, 5: 0x80, 10: 0xC0}[len(times)]
    head = bytes([layout.flags, flags, len(times) + layout.header])
    head += times + b"\xff" * layout.header
    length = len(head) + len(pes.data)
    if track.length == "zero" or (track.length == "right" and length > 65535):
        length = 0
    start = b"\0\0\1" + bytes([track.stream_id])
    return start + (length & 0xFFFF).to_bytes(2, "big") + head + pes.data


def _stamp(mark: int, ticks: int) -> bytes:
    word = mark << 36 | (ticks >> 30) << 33 | 1 << 32
    word |= (ticks >> 15 & 0x7FFF) << 17 | 1 << 16 | (ticks & 0x7FFF) << 1 | 1
    return word.to_bytes(5, "big")


# times


def later(pes: Sequence[Pes], ticks: int, since: int) -> tuple[Pes, ...]:
    """The same, times from `since` on moved by `ticks`; sent in the same order."""
    return tuple(
        replace(each, pts=each.pts + ticks, dts=None if each.dts is None else each.dts + ticks)
        if each.pts is not None and each.pts >= since
        else each
        for each in pes
    )


def moved(pes: Sequence[Pes], ticks: int) -> tuple[Pes, ...]:
    """The same, later; sent later too."""
    return tuple(
        replace(
            each,
            at=each.at + ticks,
            pts=None if each.pts is None else each.pts + ticks,
            dts=None if each.dts is None else each.dts + ticks,
        )
        for each in pes
    )


def timed_only(pes: Sequence[Pes], every: int) -> tuple[Pes, ...]:
    """Times on each `every`th that has one alone."""
    found, seen = [], 0
    for each in pes:
        if each.pts is not None:
            seen += 1
            if (seen - 1) % every:
                each = replace(each, pts=None, dts=None)
        found.append(each)
    return tuple(found)


# what a way over networks and disks makes of packets


def packets(data: bytes) -> list[bytes]:
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def with_nulls(data: bytes) -> bytes:
    null = bytes([0x47, 0x1F, 0xFF, 0x10]).ljust(PACKET, b"\xff")
    return b"".join(each + (null if at % 3 == 0 else b"") for at, each in enumerate(packets(data)))


def with_twins(data: bytes) -> bytes:
    """Each fifth packet twice (2.4.3.3 allows that for those with a payload)."""
    found = []
    for at, each in enumerate(packets(data)):
        found += [each] * (2 if at % 5 == 0 and each[3] & 0x10 else 1)
    return b"".join(found)


def with_strangers(data: bytes) -> bytes:
    """Packets of a PID that no table names, with what looks like pictures in them."""
    stranger = bytes([0x47, 0x40 | 0x07, 0x77, 0x10]) + b"\0\0\1\xe0\0\0\x80\0\0\0\0\1\x65"
    filled = stranger.ljust(PACKET, b"\x11")
    return b"".join(
        each + (filled if at % 4 == 0 else b"") for at, each in enumerate(packets(data))
    )


def stamped(data: bytes) -> bytes:
    """Packets of 192 bytes, a time of arrival before each, as Blu-ray discs have them."""
    return b"".join((at * 300).to_bytes(4, "big") + each for at, each in enumerate(packets(data)))


def with_parity(data: bytes) -> bytes:
    """Packets of 204 bytes, as a modulator takes them."""
    return b"".join(each + bytes(16) for each in packets(data))


def after_junk(data: bytes) -> bytes:
    """A few bytes of something else before the first packet."""
    return bytes(range(1, 62)) + data


def with_junk(data: bytes) -> bytes:
    """A few bytes of something else between packets."""
    return b"".join(
        each + (b"junk" * 9 if at % 50 == 20 else b"") for at, each in enumerate(packets(data))
    )


def sound_pes(sound: Sound) -> tuple[Coded, ...]:
    return opus_headed(sound.coded) if sound.codec == "opus" else sound.coded


def without_middle(coded: Sequence[Coded], begin: int, end: int) -> tuple[Coded, ...]:
    """What is not between two times."""
    return tuple(each for each in coded if not begin <= each.pts < end)


def sent_before(pes: Sequence[Pes], ticks: int = 5 * STEP) -> tuple[Pes, ...]:
    """Sent earlier by `ticks`, its times as they are: pictures wait longer than sound."""
    return tuple(replace(each, at=each.at - ticks) for each in pes)
