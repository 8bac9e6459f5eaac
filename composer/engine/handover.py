"""Handover: whether the thread of a source goes on with a frame itself.

Waking another thread costs more than a cheap node does, and gains nothing while there is time
enough for all of the work on one thread. Who has no time to spare hands on to the inbox, and the
stages work side by side.
"""

import time
from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 0.5
"""For so long the work is measured before it is decided anew."""

SPARE_BELOW: Final = 0.6
BUSY_ABOVE: Final = 0.8
"""Parts of the time that all the work would take on one thread: between the two nothing changes."""


class Handover:
    """Measures one source. Used by its thread alone.

    downstream: seconds that the nodes behind it have worked so far, all together. clock: seconds.
    spent: seconds of CPU that this thread has spent.
    """

    def __init__(
        self,
        downstream: Callable[[], float],
        clock: Callable[[], float] = time.perf_counter,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self.direct = False
        """Whether it goes on with a frame itself."""

        self._downstream, self._clock, self._spent = downstream, clock, spent
        self._mark: tuple[float, float, float] | None = None

    def look(self) -> None:
        """A frame comes: decide anew where it is time to."""
        now = self._clock()
        if self._mark is None:
            self._mark = now, self._spent(), self._downstream()
            return
        began, spent, downstream = self._mark
        if now - began < WINDOW_SECONDS:
            return
        spent, downstream = self._spent() - spent, self._downstream() - downstream
        # What it went on with is among what it has spent.
        busy = max(spent, downstream) if self.direct else spent + downstream
        self.direct = busy / (now - began) < (BUSY_ABOVE if self.direct else SPARE_BELOW)
        self._mark = now, self._spent(), self._downstream()
