"""Egress: what goes out of a session, on its way from an encoder's thread to the network's loop."""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from composer.media.mpegts.muxer import CLOCK, Muxer
from composer.media.mpegts.written import Written

log: Final = logging.getLogger(__name__)

LIMIT_BYTES: Final = 4 << 20
CHUNK_BYTES: Final = 32 << 10
"""A read gives no more at once, but for a single packet that is larger."""

SHORTEST_SEGMENT_SECONDS: Final = 0.5
"""A keyframe sooner than this (after a restart of an encoder) begins no new segment."""

SOUND_SEGMENT_SECONDS: Final = 2.0
"""Length of segments where there are no pictures."""

JUMP_TICKS: Final = CLOCK
"""Times that go back by more than this belong to another clock; less is corrected tick by tick."""

REPEATED_TICKS: Final = 20 * CLOCK
"""Times that are no further back than this behind what another process has written may be those of
what it has written: the window of a channel holds no more (contract 4.6).
"""

WRAP_TICKS: Final = 1 << 33
"""After which a clock of MPEG-TS begins again at 0."""

Offer = Callable[[bytes], bool]
"""Takes bytes at once, from any thread, or says False and leaves them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A new segment begins here."""


CUT: Final = Cut()


@dataclass
class EgressCount:
    """What went out. packets: by kind. dropped: packets and pictures by reason."""

    bytes: int = 0
    packets: Counter[str] = field(default_factory=Counter)
    segments: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Egress:
    """The output of one session: packets of encoders in, bytes of MPEG-TS and cuts out.

    Opened again and again, by each encoder that is put in the place of another, it stays one
    stream: a track keeps its codec, one that is new is added, counters run on, times only grow.
    open(), repeats(), packet() and end() belong to one thread at a time, read() to one task.
    """

    def __init__(
        self,
        *,
        wanted: bool = True,
        limit: int = LIMIT_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self.counts: Final = EgressCount()
        self.last_at = 0.0
        """When the last packet came; 0.0 before the first."""

        self._limit, self._now = limit, now
        self._lock = threading.Lock()
        self._queue: deque[bytes | Cut] = deque()
        self._held = 0
        self._ended = self._congested = False
        self._waiter: asyncio.Future[None] | None = None
        self._offer: Offer | None = None  # only while a reader waits, and nothing else does
        self._muxer: Muxer | None = None
        self._tracks: dict[str, str] = {}
        self._offered: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self._shifts: dict[str, int] = {}
        self._shift = 0
        self._begin: int | None = None
        self._needs_key = self._needs_tables = False
        self._after: Written | None = None
        self._repeats = False
        self._seen: dict[str, int] = {}

    # from one process to the next

    def go_on_after(self, written: Written, shift: int, *, repeats: bool) -> None:
        """Before the first packet: go on with an output that somebody else has written so far. It
        keeps its tracks and counters, and its times grow. shift: ticks by which the times of the
        encoders were behind those of the output. repeats: what comes first may be in it already,
        and is left out then.
        """
        self._after, self._shift, self._repeats = written, shift, repeats

    def written(self) -> Written | None:
        """Behind the last packet: what is in the output; None for nothing."""
        return self._muxer.written(self._last) if self._muxer is not None and self._last else None

    @property
    def shift(self) -> int:
        """Ticks by which the times of the encoders are behind those of the output."""
        return self._shift

    # the encoder's thread

    @property
    def refusal(self) -> str:
        """Why a picture need not be encoded now: "congested", "unwanted" for a stream that has no
        output, "" when it is welcome. Congestion lasts from a quarter of the limit down to a
        sixteenth.
        """
        if not self._wanted:
            return "unwanted"
        return "congested" if self._congested else ""

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None:
        """Encoders begin. One of another codec than its track began with is left out."""
        offered = {kind: name for kind, name in (("video", video), ("audio", audio)) if name}
        new = {kind: name for kind, name in offered.items() if kind not in self._tracks}
        self._offered |= offered
        self._tracks |= new
        self._needs_key = self._needs_key or bool(video)
        if self._muxer is None:
            self._muxer = self._begun(video, audio, channels)
        elif new:
            self._muxer.add(**new, channels=channels)
            self._needs_tables = True
        for kind, name in offered.items():
            if self._tracks[kind] != name:
                log.warning("the output began with %s, so %s is left out", self._tracks[kind], name)

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None:
        """One packet of a track, "video" or "audio"; it is readable when this returns."""
        if not self._wanted:
            self.counts.dropped["unwanted"] += 1
            return
        if self._muxer is None or self._tracks.get(kind) != self._offered.get(kind, ""):
            self.counts.dropped["track"] += 1
            return
        if kind == "video" and self._needs_key and not key:
            self.counts.dropped["keyframe"] += 1
            return
        if self._held + len(data) > self._limit:
            self.counts.dropped["full"] += 1
            self._needs_key = self._needs_key or kind == "video"
            return
        if self._after is not None:
            seen = self._is_seen(kind, _on_clock(dts, time_base))
            if seen and kind == "audio":  # of pictures it is asked before they are encoded
                self.counts.dropped["repeated"] += 1
                return
        ticks = self._ticks(kind, _on_clock(dts, time_base))
        shown = max(ticks, ticks + _on_clock(pts - dts, time_base))
        parts: list[bytes | Cut] = []
        if self._begins(kind, ticks, key=key):
            self._begin = ticks
            self.counts.segments += 1
            parts = [CUT]
            self._needs_tables = True
        if self._begin is None:  # sound before the first keyframe: no segment to put it in
            self.counts.dropped["early"] += 1
            return
        if self._needs_tables:
            self._needs_tables = False
            parts.append(self._muxer.tables())
        if kind == "video":
            self._needs_key = False
            parts.append(self._muxer.video(data, shown, ticks, key=key))
        else:
            parts.append(self._muxer.audio(data, ticks))
        self.counts.packets[kind] += 1
        self._put(parts)

    def repeats(self, pts: int, time_base: Fraction) -> bool:
        """Whether a picture is in the output already, and need not be encoded."""
        going_on = self._after is not None
        return going_on and self._is_seen("video", _on_clock(pts, time_base))

    def dropped(self, reason: str) -> None:
        """Count a picture that was left out before it was encoded."""
        self.counts.dropped[reason] += 1

    def end(self) -> None:
        """Nothing comes any more."""
        with self._lock:
            self._ended = True
            waiter, self._waiter = self._waiter, None
        _wake(waiter)

    def _begun(self, video: str, audio: str, channels: int) -> Muxer:
        """The muxer of the first encoders, which may go on with what is written."""
        if (after := self._after) is None:
            return Muxer(video=video, audio=audio, channels=channels)
        before = {"video": after.video, "audio": after.audio}
        self._tracks = {kind: name for kind, name in before.items() if name} | self._tracks
        return Muxer(
            video=video or after.video,
            audio=audio or after.audio,
            channels=channels if audio else after.channels or channels,
            after=after,
        )

    def _is_seen(self, kind: str, dts: int) -> bool:
        """Whether somebody else has written a unit of this time. Asked with each until one of each
        kind is new; then nothing is left of what was written but its times.
        """
        if self._after is not None and not self._last:
            self._meet(self._after, dts)
        if dts + self._shift <= self._seen.get(kind, dts + self._shift - 1):
            return True
        self._seen.pop(kind, None)
        if not self._seen and self._muxer is not None:
            self._after = None
        return False

    def _meet(self, after: Written, dts: int) -> None:
        """Find out where what comes is beside what is written: its clock may be another one."""
        newest = max(after.last.values())
        wraps = round((dts + self._shift - newest) / WRAP_TICKS) * WRAP_TICKS
        self._last = {kind: ticks + wraps for kind, ticks in after.last.items()}
        newest += wraps
        if newest - REPEATED_TICKS < dts + self._shift and self._repeats:
            self._seen = dict(self._last)
        elif dts + self._shift <= newest:
            self._shift = newest + CLOCK // 30 - dts

    def _ticks(self, kind: str, dts: int) -> int:
        """The time of a packet on the one clock of the output, above the last of its track."""
        last = self._last.get(kind)
        ticks = dts + self._shifts.setdefault(kind, self._shift)
        if last is not None and ticks <= last:
            if last - ticks > JUMP_TICKS:
                if dts + self._shift <= last:
                    self._shift = max(self._last.values()) + CLOCK // 30 - dts
                self._shifts[kind] = self._shift
            ticks = max(dts + self._shifts[kind], last + 1)
        # Opus begins 6.5 ms before its sound, which below zero would look like a wrap of the clock
        ticks = max(ticks, 0)
        self._last[kind] = ticks
        return ticks

    def _begins(self, kind: str, ticks: int, *, key: bool) -> bool:
        pictures = "video" in self._tracks
        if pictures and (kind != "video" or not key):
            return False
        if self._begin is None:
            return True
        least = SHORTEST_SEGMENT_SECONDS if pictures else SOUND_SEGMENT_SECONDS
        return ticks - self._begin >= least * CLOCK

    def _put(self, parts: list[bytes | Cut]) -> None:
        size = sum(len(part) for part in parts if isinstance(part, bytes))
        waiter = None
        with self._lock:
            if self._ended:
                return
            if not self._went(parts):
                self._queue.extend(parts)
                self._held += size
                self._congested = self._congested or self._held > self._limit // 4
                waiter, self._waiter, self._offer = self._waiter, None, None
        self.counts.bytes += size
        self.last_at = self._now()
        _wake(waiter)

    def _went(self, parts: list[bytes | Cut]) -> bool:
        """Whether the network took it at once, so that the reader goes on waiting."""
        if self._offer is None:
            return False
        data = [part for part in parts if isinstance(part, bytes)]
        return len(data) == len(parts) and self._offer(b"".join(data))

    # the loop

    async def read(self, offer: Offer | None = None) -> bytes | Cut | None:
        """What comes next; waits for it. None: the end.

        offer: what comes while this waits goes there, and only what it leaves is given here. A cut
        is always given here.
        """
        while True:
            with self._lock:
                if self._queue:
                    return self._taken()
                if self._ended:
                    return None
                waiter = self._waiter = asyncio.get_running_loop().create_future()
                self._offer = offer
            try:
                await waiter
            finally:
                with self._lock:
                    self._waiter = self._offer = None

    def _taken(self) -> bytes | Cut:
        first = self._queue.popleft()
        if isinstance(first, Cut):
            return first
        parts, size = [first], len(first)
        while self._queue:
            part = self._queue[0]
            if isinstance(part, Cut) or size + len(part) > CHUNK_BYTES:
                break
            parts.append(part)
            size += len(part)
            self._queue.popleft()
        self._held -= size
        self._congested = self._congested and self._held > self._limit // 16
        return b"".join(parts)


def _on_clock(value: int, time_base: Fraction) -> int:
    """A time as ticks of 90 kHz; in whole numbers, since fractions are slow."""
    return (2 * value * time_base.numerator * CLOCK + time_base.denominator) // (
        2 * time_base.denominator
    )


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is None:
        return
    try:
        waiter.get_loop().call_soon_threadsafe(_finish, waiter)
    except RuntimeError:  # the loop is closed: nobody reads any more
        log.debug("the loop of the output is closed")


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
