"""Budget: how much of a machine the input of one session may take, so that others lose nothing.

What a peer can make costly (bytes, chunks, packets, tables, units that are tiny) all costs CPU of
the thread that reads and takes the input apart, so that is what is counted, whatever the kind.
"""

import time
from collections.abc import Callable
from typing import Final

from composer.bucket import Bucket

CPU_SHARE: Final = 0.2
"""Of a core, to read and take apart. 1080p60 at 20 Mbit/s takes 0.06 of a slow one."""

CPU_RESERVE: Final = 0.5
"""Seconds of CPU at once: a backlog of some segments."""

PATIENCE_SECONDS: Final = 6.0
"""How long an input may be behind because it is slowed down for what it costs."""

PACE: Final = 2.0
RESERVE_SECONDS: Final = 10.0
"""How fast media may come while there are other sessions, and how much of it at once."""

LONGEST_REST: Final = 1.0

LONGEST_STEP: Final = 1.0
"""Seconds of media between two units; more is a jump of the clock."""


class InputBudget:
    """Of one input. alone: whether there is no other session. cpu: seconds that the calling thread
    has spent. All but `overdrawn` is for the thread that reads.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        alone: Callable[[], bool] = lambda: True,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now, self._alone, self._cpu = now, alone, cpu
        self._work, self._media = Bucket(CPU_SHARE, CPU_RESERVE), Bucket(PACE, RESERVE_SECONDS)
        self._begun = self._rests_until = 0.0
        self._behind_since: float | None = None
        self._last: int | None = None

    @property
    def overdrawn(self) -> bool:
        """Whether it has cost too much for too long."""
        since = self._behind_since
        return since is not None and self._now() - since > PATIENCE_SECONDS

    def idle(self) -> None:
        """All that has come is taken apart."""
        self._behind_since = None

    def begin(self) -> None:
        """The thread begins to read or to take apart."""
        self._begun = self._cpu()

    def end(self, ticks: int | None = None) -> None:
        """It has done so. ticks: the time of the picture or sound that came of it, in 90 kHz."""
        now = self._now()
        rest = min(self._work.take(self._cpu() - self._begun, now), LONGEST_REST)
        if rest and self._behind_since is None:
            self._behind_since = now
        media = self._step(ticks)
        ahead = self._media.take(0.0 if self._alone() else media, now)
        self._rests_until = now + max(rest, min(ahead, LONGEST_REST))

    def rest(self) -> float:
        """Seconds until it may go on, 0 for at once."""
        return max(0.0, self._rests_until - self._now())

    def _step(self, ticks: int | None) -> float:
        if ticks is None:
            return 0.0
        last, self._last = self._last, ticks
        seconds = 0.0 if last is None else (ticks - last) / 90_000
        return seconds if 0 < seconds <= LONGEST_STEP else 0.0
