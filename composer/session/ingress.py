"""Ingress: what comes into a session, on its way from the network's loop to a decoder's thread.

The loop never waits: bytes are taken apart at once, and when too much waits for the decoder, what
is older than the newest key unit is dropped and counted.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from composer.media.mpegts.demuxer import Demuxer, Unit

MOST_BYTES: Final = 16 * 1024 * 1024
MOST_UNITS: Final = 600
"""What may wait for the decoder: six seconds of 720p and its sound."""

LONGEST_SECONDS: Final = 2.0
"""How long a unit waits at the most where decoding can go on at a newer key picture."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Units are missing here: a decoder begins anew at the next key unit."""


@dataclass
class IngressCount:
    """bytes: that came in. units: that they held, by kind. dropped: units, by reason."""

    bytes: int = 0
    units: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: int = 0


class Ingress:
    """The input of one session. put, gap and end are for the loop; one thread iterates."""

    def __init__(
        self,
        *,
        most_bytes: int = MOST_BYTES,
        most_units: int = MOST_UNITS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = IngressCount()
        self.last_at = 0.0
        """When bytes came last, in monotonic seconds; 0 for never."""
        self.given_at = 0.0
        """When the unit came that iterating gave last."""

        self._most_bytes, self._most_units, self._now = most_bytes, most_units, now
        self._demuxer = Demuxer()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Unit | Gap, float]] = deque()
        self._size = self._reader = 0
        self._ended = False

    @property
    def waiting(self) -> int:
        """How many units wait for whoever iterates."""
        return len(self._waiting)

    def has(self, kind: str) -> bool | None:
        """Whether the stream says that it has "video" or "audio"; None before it says anything."""
        tracks = self._demuxer.tracks
        return any(track.kind == kind for track in tracks) if tracks else None

    @property
    def unreadable(self) -> list[str]:
        """Types of tracks of the stream that nothing here can read, as "0x06"."""
        return [f"0x{kind:02x}" for kind in sorted(self._demuxer.unknown)]

    @property
    def parsed(self) -> bool:
        """Whether pictures come one later, since only a parser finds where they begin."""
        return self._demuxer.parsed

    def put(self, data: bytes) -> None:
        """Bytes of the stream, in any pieces."""
        self.last_at = self._now()
        self.counts.bytes += len(data)
        if units := self._demuxer.feed(data):
            self._add(units)

    def gap(self) -> None:
        """Bytes are missing here."""
        self.counts.gaps += 1
        self._add(self._demuxer.flush())
        self._demuxer.reset()
        with self._changed:
            self._mark()
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more comes: iterating ends behind what is there."""
        self._add(self._demuxer.flush())
        self._demuxer.reset()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Iterating ends at once."""
        with self._changed:
            self._drop(len(self._waiting), "stopped")
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Unit | Gap]:
        """Units and gaps, to the end. Whoever begins ends the iteration before."""
        with self._changed:
            self._reader += 1
            mine = self._reader
            self._changed.notify_all()
        while True:
            with self._changed:
                while not self._waiting and not self._ended and mine == self._reader:
                    self._changed.wait()
                if not self._waiting or mine != self._reader:
                    return
                item, self.given_at = self._waiting.popleft()
                if isinstance(item, Unit):
                    self._size -= len(item.data)
            yield item

    def _add(self, units: list[Unit]) -> None:
        with self._changed:
            for unit in units:
                self.counts.units[unit.track.kind] += 1
                self._waiting.append((unit, self.last_at))
                self._size += len(unit.data)
            while len(self._waiting) > self._most_units or self._size > self._most_bytes:
                self._make_room()
            if self._waiting and self.last_at - self._waiting[0][1] > LONGEST_SECONDS:
                self._catch_up()
            self._changed.notify_all()

    def _catch_up(self) -> None:
        """Drop what is older than the newest key picture, where there is one."""
        if newest := self._newest_key():
            self._drop(newest, "late")
            self._waiting.appendleft((Gap(), self.last_at))

    def _make_room(self) -> None:
        """Drop what is older than the newest key picture; where that helps nothing, everything."""
        newest = self._newest_key()
        # Behind a gap alone there is nothing older: then what follows the key is too much.
        behind_a_gap = newest == 1 and isinstance(self._waiting[0][0], Gap)
        self._drop(len(self._waiting) if behind_a_gap else newest or len(self._waiting), "full")
        self._waiting.appendleft((Gap(), self.last_at))

    def _newest_key(self) -> int:
        """Where the newest key picture waits, 0 where nothing is older or there is none."""
        places = range(len(self._waiting) - 1, 0, -1)
        return next((place for place in places if _begins(self._waiting[place][0])), 0)

    def _drop(self, count: int, reason: str) -> None:
        for _ in range(count):
            item, _ = self._waiting.popleft()
            if isinstance(item, Unit):
                self._size -= len(item.data)
                self.counts.dropped[reason] += 1

    def _mark(self) -> None:
        if not self._waiting or not isinstance(self._waiting[-1][0], Gap):
            self._waiting.append((Gap(), self.last_at))


def _begins(item: Unit | Gap) -> bool:
    """Whether decoding of pictures may begin here."""
    return isinstance(item, Unit) and item.key and item.track.kind == "video"
