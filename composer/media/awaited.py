"""Which pictures a decoder took and never gave."""

from fractions import Fraction
from heapq import heappop, heappush
from typing import Any, Final

_FIELD: Final = Fraction(3, 4)
"""A packet that is nearer to an interlaced picture than so much of a picture is its other field."""


class Awaited:
    """The packets of one track whose pictures have not come yet, by the times that both have.

    step: ticks from one picture to the next.
    """

    def __init__(self, step: int) -> None:
        self.late = 0
        """Pictures before the first one that came: the key picture that they need was missing."""

        self.damaged = 0
        """Pictures that did not come after it."""

        self._step = step
        self._times: list[int] = []
        self._sent = self._came = 0
        self._begun = False
        self._last = 0
        self._interlaced = False

    def sent(self, packet: Any) -> None:
        """A packet that holds a picture to be shown went into the decoder."""
        if packet.is_discard:  # an edit list leaves it out
            return
        self._sent += 1
        if packet.pts is not None:
            heappush(self._times, packet.pts)

    def came(self, image: Any) -> None:
        """A picture came out: what should have been shown before it will not come."""
        self._came += 1
        pts, times = image.pts, self._times
        if pts is not None:
            if times and times[0] <= pts:
                self._pass(pts)
            self._last, self._interlaced = pts, image.interlaced_frame
        self._begun = True

    @property
    def due(self) -> int:
        """How many are to come yet; 0 where that cannot be told, because fields are packets."""
        return 0 if self._interlaced else self._sent - self._came - self.late - self.damaged

    def end(self) -> None:
        """Nothing more will come."""
        missing = self._sent - self._came - self.late - self.damaged
        if self._interlaced:  # fields may be packets, and have no times
            missing = min(missing, sum(not self._other_field(time) for time in self._times))
        self._count(max(missing, 0))
        self._times.clear()

    def _pass(self, pts: int) -> None:
        times, gone = self._times, 0
        while times and times[0] < pts:
            gone += not self._other_field(heappop(times))
        if times and times[0] == pts:
            heappop(times)
        most = self._sent - self._came - len(times) - self.late - self.damaged
        self._count(max(min(gone, most), 0))

    def _other_field(self, time: int) -> bool:
        return self._interlaced and self._last < time < self._last + self._step * _FIELD

    def _count(self, pictures: int) -> None:
        if self._begun:
            self.damaged += pictures
        else:
            self.late += pictures
