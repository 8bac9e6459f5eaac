"""Ingress: what comes into a session, on its way from the network's loop to a decoder's thread.

The loop only hands bytes over. The thread takes them apart, so a slow stretch of a stream delays
its own session, and when too much waits for the decoder, what is older than the newest key picture
is dropped and counted.
"""

import contextlib
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from composer.media.mpegts.demuxer import Demuxer, Unit
from composer.session.budget import InputBudget

MOST_BYTES: Final = 16 * 1024 * 1024
MOST_UNITS: Final = 600
"""What may wait for the decoder: six seconds of 720p and its sound. As many bytes may be unread."""

HEAD_BYTES: Final = 192
"""Of the input, that are kept to say what it is; a packet has 188."""

MOST_READS: Final = 8
"""Reads at once of what is attached, for a reader that is away."""

LONGEST_SECONDS: Final = 2.0
"""How long a unit waits at the most where decoding can go on at a newer key picture."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Units are missing here: a decoder begins anew at the next key unit."""


GAP: Final = Gap()


@dataclass
class IngressCount:
    """bytes: that came in. units: that they held, by kind. dropped: units, by reason. unread: bytes
    that were dropped before anybody looked into them.
    """

    bytes: int = 0
    units: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    unread: int = 0


class Source(Protocol):
    """Bytes that a thread may read: see composer.trickle.subscriber.OpenSegment."""

    @property
    def fileno(self) -> int: ...

    @property
    def over(self) -> bool: ...

    def pour(self, take: Callable[[bytes], None]) -> bool: ...


class Ingress:
    """The input of one session. One thread iterates; all but that and put() is for the loop."""

    def __init__(
        self,
        *,
        most_bytes: int = MOST_BYTES,
        most_units: int = MOST_UNITS,
        most_unread: int = MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
        budget: InputBudget | None = None,
    ) -> None:
        """budget: what reading and taking apart may cost; by default what one alone may take."""
        self.counts = IngressCount()
        self.budget: Final = budget or InputBudget(now)
        self.last_at = 0.0
        """When bytes came last, in monotonic seconds; 0 for never."""
        self.given_at = 0.0
        """When the unit came that iterating gave last; while it catches up, when it was given."""
        self.head = b""
        """The first bytes that came."""

        self._most_unread, self._now = most_unread, now
        self._catches_up_until = 0.0
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pending: deque[tuple[bytes | Gap, float]] = deque()
        self._pending_size = self._reader = 0
        self._attached: _Attached | None = None
        self._bell: _Bell | None = None
        self._ended = self._resting = False
        self._reading = threading.Lock()
        self._units = _Units(self.counts, most_bytes, most_units)

    @property
    def waiting(self) -> int:
        """How much waits for whoever iterates: units, and pieces that nobody has looked into."""
        return len(self._pending) + len(self._units)

    def fed_at(self, kind: str) -> float:
        """When the newest unit of "video" or "audio" came; 0 for never. Bytes that waited while
        others came are taken for such a unit: whoever should take them apart is held up.
        """
        held_up = len(self._pending) > 1
        return self.last_at if held_up else self._units.came_at.get(kind, 0.0)

    def has(self, kind: str) -> bool | None:
        """Whether the stream says that it has "video" or "audio"; None before it says anything."""
        tracks = self._units.demuxer.tracks
        return any(track.kind == kind for track in tracks) if tracks else None

    @property
    def tracks(self) -> list[tuple[str, str]]:
        """Kind ("video", "audio") and codec of the tracks that are taken of the stream."""
        return [(track.kind, track.codec) for track in self._units.demuxer.tracks]

    @property
    def channels(self) -> int:
        """Channels of the sound, where the tables of the stream say it; else 0."""
        return next(
            (each.channels for each in self._units.demuxer.tracks if each.kind == "audio"), 0
        )

    @property
    def unreadable(self) -> list[str]:
        """Types of tracks of the stream that nothing here can read, as "0x06"."""
        return [f"0x{kind:02x}" for kind in sorted(self._units.demuxer.unknown)]

    @property
    def parsed(self) -> bool:
        """Whether pictures come one later, since only a parser finds where they begin."""
        return self._units.demuxer.parsed

    @property
    def overdrawn(self) -> bool:
        """Whether it costs more to take apart than it may, for too long."""
        return self.budget.overdrawn

    # the loop

    def catch_up(self, seconds: float) -> None:
        """For so long what comes in is older than it looks: it came while nobody was there, and is
        no reason to drop any of it behind here.
        """
        self._catches_up_until = self._now() + seconds

    def put(self, data: bytes) -> None:
        """Bytes of the stream, in any pieces."""
        self.last_at = self._now()
        self.counts.bytes += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        with self._lock:
            self._pending.append((data, self.last_at))
            self._pending_size += len(data)
            if self._pending_size > self._most_unread:
                self._forget()
                self._pending.append((GAP, self.last_at))
            self._wake()

    def attach(self, source: Source) -> None:
        """Whoever iterates reads it, while it has nothing else to do."""
        with self._lock:
            self._bell = self._bell or _Bell()
            self._attached = _Attached(source, self._bell)
            self._wake()

    def detach(self) -> None:
        """Nobody reads it any more."""
        with self._lock:
            self._wake()
            self._attached = None

    def tend(self) -> None:
        """Read some of what is attached where its reader has been away: what waits is known and
        bounded here, where nobody sees what waits in a socket.
        """
        attached = self._attached
        if attached is None or attached.held or self._resting:
            return
        for _ in range(MOST_READS):
            if not attached.source.pour(self.put):
                return

    def gap(self) -> None:
        """Bytes are missing here."""
        self.counts.gaps += 1
        with self._lock:
            self._pending.append((GAP, self.last_at))
            self._wake()

    def end(self) -> None:
        """Nothing more comes: iterating ends behind what is there."""
        with self._lock:
            self._ended = True
            self._wake()

    def abandon(self) -> None:
        """Iterating ends at once."""
        with self._lock:
            self._forget()
            self._ended = True
            self._units.abandoned = True
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._attached is not None:
            self._attached.wake()

    def _forget(self) -> None:
        self.counts.unread += self._pending_size
        self._pending.clear()
        self._pending_size = 0

    # the thread

    def __iter__(self) -> Iterator[Unit | Gap]:
        """Units and gaps, to the end. Whoever begins ends the iteration before."""
        with self._lock:
            self._reader += 1
            reader = self._reader
            self._wake()
        budget = self.budget
        budget.begin()
        while self._comes(reader):
            self.look()
            with self._reading:
                found = self._units.pop() if reader == self._reader else None
            if found is not None:
                item, came_at = found
                self.given_at = self._now_while_catching_up() or came_at
                budget.end(item.dts if isinstance(item, Unit) else None)
                yield item
            elif self._is_over(reader):
                return
            else:
                budget.end()
            self._rest(reader)
            budget.begin()

    def _now_while_catching_up(self) -> float:
        if self._catches_up_until and (now := self._now()) < self._catches_up_until:
            return now
        self._catches_up_until = 0.0
        return 0.0

    def look(self) -> None:
        """Take apart what came since the last time. Waits for nothing."""
        with self._reading:
            with self._lock:
                pieces = list(self._pending)
                self._pending.clear()
                self._pending_size = 0
            self._units.take_in(pieces, self.last_at)

    def _comes(self, reader: int) -> bool:
        """Wait while there is nothing at all; False where another iteration has begun."""
        while True:
            with self._lock:
                attached = self._attached
                if self._waits(reader):
                    self.budget.idle()
                while self._waits(reader) and (attached is None or attached.is_busy):
                    self._changed.wait()
                    attached = self._attached
                if attached is None or not self._waits(reader):
                    return reader == self._reader
                attached.held = True
            attached.read(self.put)
            if reader != self._reader:
                with self._lock:  # the one that has begun may have waited for this one to leave
                    self._changed.notify_all()

    def _rest(self, reader: int) -> None:
        """Leave the machine to others, where this input has cost more than its share."""
        while (seconds := self.budget.rest()) > 0:
            with self._lock:
                if self._ended or reader != self._reader:
                    return
                self._resting = True
                self._changed.wait(seconds)
                self._resting = False

    def _waits(self, reader: int) -> bool:
        return not self.waiting and not self._ended and reader == self._reader

    def _is_over(self, reader: int) -> bool:
        with self._lock:
            if reader != self._reader:
                return True
            if not self._ended or self._pending:
                return False
        with self._reading:
            return not self._units.finish()


class _Attached:
    """A source, and the thread that waits for it."""

    def __init__(self, source: Source, bell: "_Bell") -> None:
        self.source: Final = source
        self.held = False
        """Whether a thread waits for it or reads it; set under the lock of the ingress."""

        self._bell, self._poll = bell, select.poll()
        self._poll.register(source.fileno, select.POLLIN)
        self._poll.register(bell.fileno, select.POLLIN)

    @property
    def is_busy(self) -> bool:
        """Whether it is no use to wait for it: another thread does, or nothing more comes."""
        return self.held or self.source.over

    def read(self, take: Callable[[bytes], None]) -> None:
        """Wait until something comes, and take it; or until wake()."""
        try:
            ready = self._poll.poll()
            if any(fileno == self._bell.fileno for fileno, _ in ready):
                self._bell.hush()
            else:
                self.source.pour(take)
        finally:
            self.held = False

    def wake(self) -> None:
        """Let the thread look what else there is."""
        if self.held:
            self._bell.ring()


class _Bell:
    """Wakes a thread out of poll()."""

    def __init__(self) -> None:
        self.fileno, self._rope = os.pipe()
        os.set_blocking(self.fileno, False)
        os.set_blocking(self._rope, False)

    def __del__(self) -> None:
        # Whoever polls holds it: closed any sooner, its number could be another file's.
        os.close(self.fileno)
        os.close(self._rope)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has rung often enough
            os.write(self._rope, b"!")

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.fileno, 4096)


class _Units:
    """The units that wait for the decoder, taken out of the bytes. Used by one thread at a time."""

    def __init__(self, counts: IngressCount, most_bytes: int, most_units: int) -> None:
        self.demuxer = Demuxer()
        self.came_at: dict[str, float] = {}
        self.abandoned = False
        self._counts, self._most_bytes, self._most_units = counts, most_bytes, most_units
        self._waiting: deque[tuple[Unit | Gap, float]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take_in(self, pieces: Sequence[tuple[bytes | Gap, float]], newest_at: float) -> None:
        """Take pieces of the stream apart, and make room. newest_at: when bytes came last."""
        if self.abandoned:
            self._drop(len(self._waiting), "stopped")
            return
        for piece, at in pieces:
            if isinstance(piece, Gap):
                self._end_units(at)
                self._mark(at)
            elif units := self.demuxer.feed(piece):
                self._add(units, at)
        if self._waiting and newest_at - self._waiting[0][1] > LONGEST_SECONDS:
            self._catch_up(newest_at)

    def pop(self) -> tuple[Unit | Gap, float] | None:
        """The next one, and when it came; None where none waits."""
        if not self._waiting:
            return None
        item, at = self._waiting.popleft()
        if isinstance(item, Unit):
            self._size -= len(item.data)
        return item, at

    def finish(self) -> bool:
        """Give what was begun as it is; whether something waits now."""
        if not self.abandoned:
            self._end_units(max(self.came_at.values(), default=0.0))
        return bool(self._waiting)

    def _end_units(self, at: float) -> None:
        self._add(self.demuxer.flush(), at)
        self.demuxer.reset()

    def _add(self, units: list[Unit], at: float) -> None:
        for unit in units:
            self._counts.units[unit.track.kind] += 1
            self.came_at[unit.track.kind] = at
            self._waiting.append((unit, at))
            self._size += len(unit.data)
        while len(self._waiting) > self._most_units or self._size > self._most_bytes:
            self._make_room(at)

    def _catch_up(self, at: float) -> None:
        """Drop what is older than the newest key picture, where there is one."""
        if newest := self._newest_key():
            self._drop(newest, "late")
            self._waiting.appendleft((GAP, at))

    def _make_room(self, at: float) -> None:
        """Drop what is older than the newest key picture; where that helps nothing, everything."""
        newest = self._newest_key()
        # Behind a gap alone there is nothing older: then what follows the key is too much.
        behind_a_gap = newest == 1 and isinstance(self._waiting[0][0], Gap)
        self._drop(len(self._waiting) if behind_a_gap else newest or len(self._waiting), "full")
        self._waiting.appendleft((GAP, at))

    def _newest_key(self) -> int:
        """Where the newest key picture waits, 0 where nothing is older or there is none."""
        places = range(len(self._waiting) - 1, 0, -1)
        return next((place for place in places if _begins(self._waiting[place][0])), 0)

    def _drop(self, count: int, reason: str) -> None:
        for _ in range(count):
            item, _ = self._waiting.popleft()
            if isinstance(item, Unit):
                self._size -= len(item.data)
                self._counts.dropped[reason] += 1

    def _mark(self, at: float) -> None:
        if not self._waiting or not isinstance(self._waiting[-1][0], Gap):
            self._waiting.append((GAP, at))


def _begins(item: Unit | Gap) -> bool:
    """Whether decoding of pictures may begin here."""
    return isinstance(item, Unit) and item.key and item.track.kind == "video"
