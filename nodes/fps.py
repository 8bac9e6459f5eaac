"""Give the pictures a constant rate."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator

from composer import Context, Frame, Moment, Node, Picture
from composer.media import rates
from composer.pictures import chain

if TYPE_CHECKING:  # pydantic evaluates annotations, which would load the module
    from composer.pictures.chain import Chain

LONGEST_GAP_SECONDS: Final = 10
"""A longer gap stays a gap: it is a jump of the clock, or a source that was away."""

CLOSE: Final = Fraction(1, 16)
"""Part of a step that a picture may be early and still be given at once (clocks of 1 ms)."""


class Fps(Node):
    """Give the pictures a constant rate, by leaving some out and repeating others.

    image: pictures of any rate. Gives, at each multiple of 1/fps second, the picture whose time is
    nearest, or the one before where there is none; the same pixels, with times in 1/90000 second.
    Pictures that are on time come out at once, those up to half a step early wait for the next one.
    At the end the last picture is repeated for as long as it was shown. A gap of more than 10 s is
    not filled.
    """

    fps: float | str = Field(
        30, description='pictures per second, 1..240: 30, 29.97 (is 30000/1001) or "30000/1001"'
    )

    _rate: Fraction
    _references: "Chain"
    _shown: "tuple[int, Picture] | None" = None
    _waiting: "tuple[int, Picture, Fraction] | None" = None
    _before: Fraction | None = None
    _interval: Fraction = Fraction(0)

    @field_validator("fps")
    @classmethod
    def _is_a_rate(cls, written: float | str) -> float | str:
        rates.frame_rate(written)
        return written

    def setup(self, ctx: Context) -> None:
        self._rate = rates.frame_rate(self.fps)
        self._references = chain.Chain()

    def process(self, image: Picture, at: Moment) -> Iterator[Frame[Picture]]:
        place = at.pts * at.time_base * self._rate
        if self._before is not None:
            self._interval = place - self._before
        self._before = place
        tick = math.floor(place + Fraction(1, 2))
        if self._waiting is not None:
            waiting_tick, waiting, off = self._waiting
            if tick == waiting_tick and abs(place - tick) <= off:
                self._waiting = None  # this one is nearer
            else:
                yield from self._show(waiting_tick, waiting)
        if self._shown is not None and tick <= self._shown[0]:
            return
        if tick - place > CLOSE:
            self._waiting = (tick, image, tick - place)
        else:
            yield from self._show(tick, image)

    def _show(self, tick: int, image: Picture) -> Iterator[Frame[Picture]]:
        """Fill the gap with the picture before, then give this one."""
        self._waiting = None
        if self._shown is not None:
            yield from self._repeat(tick)
        self._shown = (tick, image)
        yield self._frame(tick, image)

    def _repeat(self, until: int) -> Iterator[Frame[Picture]]:
        assert self._shown is not None
        last, image = self._shown
        if until - last > LONGEST_GAP_SECONDS * self._rate:
            return
        for tick in range(last + 1, until):
            yield self._frame(tick, image)

    def _frame(self, tick: int, image: Picture) -> Frame[Picture]:
        shown = self._references.run(image)
        shown.pts, shown.time_base = rates.ticks(tick, self._rate), rates.TIME_BASE
        shown.duration = rates.ticks(tick + 1, self._rate) - shown.pts
        return Frame(shown, shown.pts, rates.TIME_BASE, rate=self._rate)

    def flush(self) -> Iterator[Frame[Picture]]:
        if self._waiting is not None:
            yield from self._show(self._waiting[0], self._waiting[1])
        if self._shown is not None and self._before is not None:
            yield from self._repeat(math.floor(self._before + self._interval + Fraction(1, 2)))
