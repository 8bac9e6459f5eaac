"""MPEG-TS: bytes -> access units, each given at the byte that ends it (ISO/IEC 13818-1).

libavformat waits for the next PES packet to know that one ended, which costs a frame.
"""

import logging
from collections import Counter, deque
from typing import Final

from composer.media.mpegts.pes import LONGEST_SOUND_PES, NULL_PID, PACKET, SYNC, Pes, PesReader
from composer.media.mpegts.psi import (
    MOST_PROGRAMS,
    ProgramMap,
    Sections,
    Track,
    program_map,
    programs,
)
from composer.media.mpegts.units import CLOCK, Unit, UnitFinder, units_of

__all__ = ["CLOCK", "NULL_PID", "PACKET", "SYNC", "Demuxer", "Track", "Unit"]

log: Final = logging.getLogger(__name__)

STRIDES: Final = (PACKET, 192, 204)
"""From one packet to the next: plain, a time before each (BDAV), parity behind each (DVB)."""

EARLY_PACKETS: Final = 4096
"""Packets of tracks that are kept while nothing is known of them."""

SILENT_STARTS: Final = 8
"""PES packets of a track that begin before one named before it that sent nothing is given up."""


MOST_CHANGES: Final = 256.0
CHANGE_BYTES: Final = 64 * 1024
"""How many tables that differ from those before may come at once, and one more for so much of a
stream: each is read byte by byte, and one that repeats is not.
"""


class Demuxer:
    """Takes the bytes of a transport stream in any pieces; never raises for what they hold.

    It gives the units of one programme, and of one track of each kind in it: the first programme
    whose map names a track that can be read, the first track of a kind in that map that sends
    anything. It stays with both while the tables name them. What comes before the tables is kept.
    """

    def __init__(self) -> None:
        self.tracks: tuple[Track, ...] = ()
        """The tracks whose units are given, at most one of each kind."""
        self.damaged = 0
        """Units given with something missing, and packets that could not be read."""

        self._rest = b""
        self._stride = self._skip = 0
        self._programs: dict[int, int] = {}
        self._program: int | None = None
        self._maps: dict[int, ProgramMap] = {}
        self._tables: dict[int, Sections] = {0: Sections()}
        self._readers: dict[int, _TrackReader] = {}
        self._early: deque[tuple[int, bytes]] | None = deque(maxlen=EARLY_PACKETS)
        self._begun: Counter[int] = Counter()  # PES packets among them, by PID
        self._silent: set[int] = set()
        self._changes = MOST_CHANGES
        self.unknown: frozenset[int] = frozenset()
        """Types of tracks of the programme that nothing here can read (ISO/IEC 13818-1, 2-34)."""

    @property
    def parsed(self) -> bool:
        """Whether pictures wait for the next one, since only a parser finds where they begin."""
        readers = self._readers.values()
        return any(reader.track.kind == "video" and reader.units.parsed for reader in readers)

    def feed(self, data: bytes) -> list[Unit]:
        """The units that these bytes end."""
        self._changes = min(MOST_CHANGES, self._changes + len(data) / CHANGE_BYTES)
        if self._rest:
            data = self._rest + data
        units: list[Unit] = []
        at, last = self._skip, len(data) - PACKET
        while at <= last:
            if data[at] != SYNC:
                at = self._synced(data, at)
                if at + self._stride >= len(data):
                    break
                continue
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            stride = self._stride or PACKET
            reader = self._readers.get(pid)
            if reader is not None:
                reader.packet(data, at, units)
                at = reader.pes.going_on(data, at + stride, last, stride)
                continue
            if pid in self._tables:
                self._table(pid, data[at : at + PACKET], units)
            elif self._early is not None and pid != NULL_PID:
                self._keep(pid, data[at : at + PACKET])
            at += stride
        self._rest, self._skip = data[at:], max(0, at - len(data))
        if self._early is not None:
            self._settle(units, least=SILENT_STARTS)
        for reader in self._readers.values():
            units.extend(reader.units.ready())
        return self._counted(units)

    def flush(self) -> list[Unit]:
        """The units that only the end of the stream ends."""
        units: list[Unit] = []
        if self._early is not None:
            self._settle(units, least=1)
        for reader in self._readers.values():
            reader.finish(units)
        return self._counted(units)

    def reset(self) -> None:
        """Bytes are missing here: what was begun is forgotten."""
        self._rest, self._skip = b"", 0
        for reader in self._readers.values():
            reader.forget()

    def _synced(self, data: bytes, at: int) -> int:
        """Where packets begin again; where too little is there to know, where they may."""
        before = self._stride
        while (sync := data.find(SYNC, at)) >= 0:
            ahead = [stride for stride in STRIDES if sync + stride < len(data)]
            ends = [stride for stride in ahead if data[sync + stride] == SYNC]
            if ends or len(ahead) < len(STRIDES):
                self._stride = next(iter(ends), before)
                break
            at = sync + 1
        self.damaged += before > 0 and self._stride == before
        return sync if sync >= 0 else len(data)

    def _counted(self, units: list[Unit]) -> list[Unit]:
        if units:
            self.damaged += sum(unit.damaged for unit in units)
        for reader in self._readers.values():
            self.damaged += reader.pes.lost
            reader.pes.lost = 0
        return units

    def _table(self, pid: int, packet: bytes, units: list[Unit]) -> None:
        sections = self._tables[pid]
        # Tables are sent again and again: what is passed over now is read some other time.
        for section in sections.packet(packet) if self._changes >= 1 else ():
            if pid == 0 and section[:1] == b"\x00":
                self._associate(section, units)
            elif pid != 0 and section[:1] == b"\x02":
                table = program_map(section)
                if self._programs.get(table.program) == pid:
                    self._maps[table.program] = table
                    self._choose(units)
        self._changes -= sections.looked
        sections.looked = 0
        if pid == 0:
            # A muxer that begins anew counts its packets from 0 again (contract 5.1).
            for reader in self._readers.values():
                reader.pes.counter = None

    def _associate(self, section: bytes, units: list[Unit]) -> None:
        """Take a section of the association table, which may have several."""
        listed = dict(programs(section))
        if section[6] == 0 == section[7]:  # the only one
            self._programs = {}
        self._programs = dict(list((self._programs | listed).items())[:MOST_PROGRAMS])
        wanted = {0, *self._programs.values()}
        self._tables = {pid: self._tables.get(pid) or Sections() for pid in wanted}
        self._maps = {number: one for number, one in self._maps.items() if number in self._programs}
        if self._program not in self._maps:
            self._choose(units)

    def _choose(self, units: list[Unit]) -> None:
        """Take the tracks that the maps name now; where none does, those of before stay."""
        maps = {number: one for number, one in self._maps.items() if one.tracks}
        if not maps:
            return
        if self._program not in maps:
            self._program = next(number for number in self._programs if number in maps)
        chosen = maps[self._program]
        self._tell(chosen)
        chosen_tracks = (self._track(chosen, kind) for kind in ("video", "audio"))
        self._take(tuple(track for track in chosen_tracks if track is not None), units)

    def _track(self, named: ProgramMap, kind: str) -> Track | None:
        """The track of a kind to take: that of before where its PID is still named, else the first,
        and one for all before one for those who hear or see badly.
        """
        of_kind = [track for track in named.tracks if track.kind == kind]
        sends = [track for track in of_kind if track.pid not in self._silent] or of_kind
        before = [track.pid for track in self.tracks if track.kind == kind]
        still = (track for track in sends if track.pid in before)
        main = (track for track in sends if not track.aside)
        return next(still, None) or next(main, None) or next(iter(sends), None)

    def _take(self, tracks: tuple[Track, ...], units: list[Unit]) -> None:
        if tracks == self.tracks:
            return
        before, self.tracks = self._readers, tracks
        self._readers = {}
        for track in tracks:
            reader = before.get(track.pid)
            if reader is None or reader.track != track:
                reader = _TrackReader(track)
            self._readers[track.pid] = reader
        for reader in before.values():
            if reader not in self._readers.values():
                reader.finish(units)
        early, self._early = self._early or (), deque(maxlen=EARLY_PACKETS)
        self._begun.clear()
        for pid, packet in early:
            if pid in self._readers:
                self._readers[pid].packet(packet, 0, units)
            else:
                self._keep(pid, packet)

    def _keep(self, pid: int, packet: bytes) -> None:
        """A packet of a track that is not taken yet."""
        assert self._early is not None
        self._early.append((pid, packet))
        self._begun[pid] += packet[1] >> 6 & 1

    def _settle(self, units: list[Unit], *, least: int) -> None:
        """Give up tracks that send nothing where another of their kind does. Packets are kept no
        longer once all that were taken send, or too many wait for those that do not.
        """
        chosen = self._maps.get(self._program or 0)
        if not self._readers or chosen is None:
            return
        waiting = [reader for reader in self._readers.values() if not reader.heard]
        for track in chosen.tracks:
            rivals = [other.track.pid for other in waiting if other.track.kind == track.kind]
            if rivals and self._begun[track.pid] >= least:
                self._silent.update(rivals)
                self._choose(units)
                return
        if not waiting or len(self._early or ()) == EARLY_PACKETS:
            self._early = None
            self._begun.clear()

    def _tell(self, chosen: ProgramMap) -> None:
        for kind in set(chosen.unknown) - self.unknown:
            log.warning("the input has a track of type 0x%02x that nothing here can read", kind)
        self.unknown |= set(chosen.unknown)


class _TrackReader:
    """The units of one track."""

    def __init__(self, track: Track) -> None:
        self.track: Final = track
        longest = LONGEST_SOUND_PES if track.kind == "audio" else None
        self.pes: Final = PesReader(track.pid, longest)
        self.units: Final[UnitFinder] = units_of(track)
        self.heard = False
        """Whether it has sent anything."""
        self._found: Final[list[Pes]] = []

    def packet(self, data: bytes, at: int, units: list[Unit]) -> None:
        self.pes.packet(data, at, self._found)
        if self._found:
            self._take(units)

    def finish(self, units: list[Unit]) -> None:
        """Give what was begun as it is."""
        self.pes.finish(self._found)
        self._take(units)
        units.extend(self.units.finish())

    def forget(self) -> None:
        self.pes.forget()
        self.units.forget()

    def _take(self, units: list[Unit]) -> None:
        self.heard = True
        for pes in self._found:
            units.extend(self.units.feed(pes))
        self._found.clear()
