"""The times of one track, judged as its packets come: how often, how steadily, what is wrong."""

import heapq
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from composer.media.timeline import JUMP_SECONDS

REORDERED: Final = 17
"""Pictures within which those of H.264 and HEVC come into the order in which they are shown."""

BACK_SECONDS: Final = 0.3
"""A step back from which on it is a jump of the clock; ahead it is JUMP_SECONDS."""

MOST_STEPS: Final = 4096
MOST_JUMPS: Final = 100

HOLE: Final = 1.5
"""From so many usual steps on one is a hole."""

STEADY: Final = 0.02
"""Part of a step by which steady ones may differ: clocks are rounded."""


@dataclass(frozen=True, slots=True)
class Jump:
    """The clock steps by `by` seconds behind what is at `at`."""

    at: float
    by: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the times of a track say.

    start, end: seconds of the first item that is shown, and of the last one. rate: items per
    second, 0 where there are too few. steady: whether all are equally far apart, but for `holes`;
    None where times are missing, or too few. longest: seconds of the longest step, behind what is
    at `longest_at`. missing: items without a pts. repeated, back: items whose time was there
    before, or is before the one of the item in front.
    """

    start: float | None
    end: float | None
    rate: float
    steady: bool | None
    holes: int
    longest: float
    longest_at: float
    missing: int
    repeated: int
    back: int
    jumps: tuple[Jump, ...]


class Times:
    """reorders: whether items come in another order than they are shown in."""

    def __init__(self, time_base: Fraction, *, reorders: bool) -> None:
        self._seconds: Final = float(time_base)
        self._window: Final = REORDERED if reorders else 0
        self._waiting: list[int] = []
        self._steps: Counter[int] = Counter()
        self._first: int | None = None
        self._shown: int | None = None
        self._decoded: int | None = None
        self._stored: int | None = None
        self._longest = (0, 0)
        self._missing = self._between = self._repeated = self._back = 0
        self._jumps: list[Jump] = []

    def add(self, pts: int | None, dts: int | None) -> None:
        """The next item as it is stored."""
        written = pts if dts is None and not self._window else dts
        if written is not None:
            self._in_order(written)
        if pts is None:
            self._missing += 1
            return
        self._between = self._missing  # not those behind the last time
        heapq.heappush(self._waiting, pts)
        if len(self._waiting) > self._window:
            self._show(heapq.heappop(self._waiting))

    def verdict(self, *, cut: bool = False) -> Verdict:
        """After the last item. cut: the rest was not read, and what it brings is no hole."""
        while self._waiting and not (cut and self._is_hole(self._waiting[0])):
            self._show(heapq.heappop(self._waiting))
        rate, steady, holes = self._judged()
        first, last = self._first, self._shown
        if first is None:  # only the order of decoding has times
            first, last = self._stored, self._decoded
        return Verdict(
            self._as_seconds(first),
            self._as_seconds(last),
            rate,
            steady,
            holes,
            self._longest[0] * self._seconds,
            self._longest[1] * self._seconds,
            self._missing,
            self._repeated,
            self._back,
            tuple(self._jumps),
        )

    def _in_order(self, written: int) -> None:
        last, self._decoded = self._decoded, written
        if last is None:
            self._stored = written
            return
        step = (written - last) * self._seconds
        if step < -BACK_SECONDS or step > JUMP_SECONDS:
            if len(self._jumps) < MOST_JUMPS:
                self._jumps.append(Jump(last * self._seconds, step))
            self._drain()
            self._shown = None

    def _drain(self) -> None:
        while self._waiting:
            self._show(heapq.heappop(self._waiting))

    def _show(self, pts: int) -> None:
        last, self._shown = self._shown, pts
        if self._first is None:
            self._first = pts
        if last is None:
            return
        step = pts - last
        if step == 0:
            self._repeated += 1
        elif step < 0:
            self._back += 1
        elif step in self._steps or len(self._steps) < MOST_STEPS:
            self._steps[step] += 1
            if step > self._longest[0]:
                self._longest = step, last

    def _judged(self) -> tuple[float, bool | None, int]:
        count = self._steps.total()
        if not count:
            return self._rate_of_decoding(), None, 0
        span = sum(step * times for step, times in self._steps.items())
        usual = self._usual(count)
        near = max(2, usual * STEADY)
        holes = sum(times for step, times in self._steps.items() if step > HOLE * usual)
        even = sum(times for step, times in self._steps.items() if abs(step - usual) <= near)
        steady = even + holes == count and holes <= count // 10
        rate = (count + self._between) / (span * self._seconds)
        if self._missing:
            return rate, None, 0
        return rate, steady, holes if steady else 0

    def _is_hole(self, pts: int) -> bool:
        """Whether something may be missing between what was shown and this."""
        count = self._steps.total()
        if self._shown is None or not count:
            return False
        return pts - self._shown > HOLE * self._usual(count)

    def _rate_of_decoding(self) -> float:
        if self._first is not None or self._stored is None or self._decoded == self._stored:
            return 0.0
        assert self._decoded is not None
        return (self._missing - 1) / ((self._decoded - self._stored) * self._seconds)

    def _usual(self, count: int) -> int:
        """The median step."""
        passed = 0
        for step in sorted(self._steps):
            passed += self._steps[step]
            if 2 * passed >= count:
                return step
        raise AssertionError("a median of nothing")

    def _as_seconds(self, ticks: int | None) -> float | None:
        return None if ticks is None else ticks * self._seconds
