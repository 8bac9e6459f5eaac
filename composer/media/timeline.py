"""The times of what is read: they begin near 0, never repeat and never go back."""

import logging
import math
from fractions import Fraction
from typing import Any, Final

log: Final = logging.getLogger(__name__)

BACK_SECONDS: Final = 0.1
"""From here on a step back in time is one of the source's clock, where that may jump (ffmpeg's)."""

JUMP_SECONDS: Final = 10
"""From here on a step in time is a jump of the source's clock (ffmpeg's -dts_delta_threshold)."""


class BestEffort:
    """When each picture is shown, where a container keeps only the order of decoding (AVI).

    pts, unless they have gone back more often than dts: guess_correct_pts() in libavcodec/decode.c.
    """

    def __init__(self) -> None:
        self._pts = self._dts = -(1 << 63)
        self._faulty_pts = self._faulty_dts = 0

    def time(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self._faulty_dts += dts <= self._dts
            self._dts = dts
        elif pts is not None:
            self._dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._pts
            self._pts = pts
        elif dts is not None:
            self._pts = dts
        if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts):
            return pts
        return dts


class Samples:
    """When each block of sound begins: times that a container has rounded follow the samples."""

    def __init__(self) -> None:
        self._next: int | None = None

    def time(self, block: Any, seconds: float, length: int) -> int | None:
        """In ticks of so many seconds; None where the block says nothing. length: its own ticks."""
        if block.pts is None:
            self._next = None
            return None
        tick = float(block.time_base)
        begin: int = round(block.pts * tick / seconds)
        if self._next is not None and abs(begin - self._next) * seconds <= tick:
            begin = self._next
        self._next = begin + length
        return begin


class Timeline:
    """What to add to the times of a file. A jump of its clock begins a new stretch for all tracks.

    start: seconds that become 0. wraps: a jump ahead counts too; else long pauses are believed.
    back: seconds from which on a step back is a jump; items of a smaller one are left out.
    """

    def __init__(self, start: Fraction, *, wraps: bool, back: float = JUMP_SECONDS) -> None:
        self.shifts = [-start]
        self.wraps, self.back = wraps, back
        self._tracks: list[TrackClock] = []

    def track(self, time_base: Fraction, step: int, name: str = "") -> "TrackClock":
        track = TrackClock(self, time_base, step, name)
        self._tracks.append(track)
        return track

    def nearest(self, seconds: Fraction) -> int:
        """The stretch in which an item written at this time is nearest to the other tracks."""
        now = max((track.now for track in self._tracks), default=Fraction(0))
        return min(
            range(len(self.shifts)), key=lambda stretch: abs(seconds + self.shifts[stretch] - now)
        )


class TrackClock:
    """The clock of one track, counted in `time_base` seconds."""

    def __init__(self, timeline: Timeline, time_base: Fraction, step: int, name: str) -> None:
        self.seconds: Final = float(time_base)
        self.time_base: Final = time_base
        self.repeated = 0
        """Items left out because their time had been used."""

        self.may_repeat = False
        """Whether items may have one time: packets of sound that are shorter than a tick."""

        self._timeline, self._name = timeline, name
        self._stretch = 0
        self._shift = self._ticks(timeline.shifts[0])
        self._jump = round(JUMP_SECONDS / time_base)
        self._back = round(Fraction(timeline.back) / time_base)
        self._step = step
        self._last: int | None = None
        self._dated: int | None = None
        """Where the last item was that had a time of its own; others are counted on from there."""
        self._counted = self._apart = 0

    def place(self, pts: int | None, dts: int | None, duration: int | None) -> int | None:
        """When the next item is, in ticks from 0; None when it must be left out.

        dts: what stands in for a pts that is not said, where it goes on.
        """
        written, last = pts, self._last
        if pts is None and dts is not None and (last is None or dts + self._shift > last):
            written = dts
        if written is None:
            new = 0 if last is None else last + (self._apart or self._step)
        elif last is None:
            new = self._begin(written)
        else:
            new = self._on(written, last)
            if new < last or (new == last and not self.may_repeat):
                self._count_repeated()
                return None
        self._learn(None if written is None else written + self._shift)
        if duration:
            self._step = duration
        self._last = new
        return new

    def _on(self, written: int, last: int) -> int:
        """The time of an item behind another one."""
        new = written + self._shift
        ahead = new - last
        if ahead < -self._back or (self._timeline.wraps and ahead > self._jump + self._step):
            return self._rebase(written, last + self._step)
        if ahead > 0 or not self._counted:
            return new
        if self._dated is None:  # all before it were only counted
            self._shift += last + self._step - new
            return last + self._step
        return last + 1  # they were counted too far

    def _learn(self, placed: int | None) -> None:
        """How far apart items are that have no time follows from those that have one."""
        if placed is None:
            self._counted += 1
            return
        if self._counted and self._dated is not None:
            apart = max(1, (placed - self._dated) // (self._counted + 1))
            self._apart = min(self._apart or apart, apart)  # a time may be that of a later one
        self._counted, self._dated = 0, placed

    @property
    def begun(self) -> bool:
        """Whether it has placed anything."""
        return self._last is not None

    @property
    def now(self) -> Fraction:
        """Seconds at which its last item was."""
        return (self._last or 0) * self.time_base

    @property
    def end(self) -> Fraction:
        """Seconds until which its last item is."""
        return self.now + self._step * self.time_base

    def _begin(self, written: int) -> int:
        self._stretch = self._timeline.nearest(written * self.time_base)
        self._shift = self._ticks(self._timeline.shifts[self._stretch])
        return written + self._shift

    def _rebase(self, written: int, expected: int) -> int:
        """Join the stretch that another track has begun, or begin one where time goes on."""
        shifts = self._timeline.shifts
        for stretch in range(self._stretch + 1, len(shifts)):
            shift = self._ticks(shifts[stretch])
            if abs(written + shift - expected) <= self._jump:
                break
        else:
            stretch, shift = len(shifts), expected - written
            shifts.append(shift * self.time_base)
            log.warning("%s: its clock jumps; time goes on from there", self._name)
        self._stretch, self._shift = stretch, shift
        return written + shift

    def _count_repeated(self) -> None:
        self.repeated += 1
        if self.repeated == 1:
            log.warning("%s: times repeat or go back; such items are left out", self._name)

    def _ticks(self, seconds: Fraction) -> int:
        return round(seconds / self.time_base)


class Pace:
    """Takes at most so many pictures per second, by their time: those nearest to an even beat."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._due = self._last = -math.inf

    def takes(self, seconds: float) -> bool:
        early = min(seconds - self._last, self._interval) / 2
        self._last = seconds
        if seconds < self._due - early:
            return False
        late = seconds >= self._due + self._interval
        self._due = (seconds if late else self._due) + self._interval
        return True
