"""A publisher's mind: which number the next segment has, and what an answer means. No wire here.

See contract 4.11. Numbers are given out one by one and never again.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from composer.trickle import wire

FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 2.0

LOST_SECONDS: Final = 30.0
"""How long nothing may get out before a channel that does not last is given up."""

MOST_FAILURES: Final = 10
"""Segments lost in a row after which a channel that does not last is given up."""


class Delivery(Enum):
    """What became of one request."""

    DONE = "done"
    OVER = "over"  # the channel has ended
    LOST = "lost"  # what was sent of the segment is broken; go on with the next
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing was sent, so the same number may be used again, after so many seconds."""

    after: float


class Publication:
    """Where a writer is in a channel. lasting: failures never end it (events and data)."""

    def __init__(
        self, start: int = 0, *, lasting: bool = False, chance: Callable[[], float] = random.random
    ) -> None:
        self._next, self._lasting, self._chance = start, lasting, chance
        self._failures = self._lost = 0
        self._failing_since: float | None = None

    def take(self) -> int:
        """The number of the next segment."""
        seq, self._next = self._next, self._next + 1
        return seq

    def replied(
        self, status: int, headers: Mapping[str, str], now: float, *, sent: bool, ended: bool
    ) -> Delivery | Retry:
        """What the answer to a POST means. sent: bytes of it went out; ended: all of them did."""
        if status == 404 or wire.CLOSED in headers:
            return Delivery.OVER
        if status < 300:
            if ended:
                self._failures, self._lost, self._failing_since = 0, 0, None
                return Delivery.DONE
            return self._broken()  # closed by somebody else while we were writing
        if 300 <= status < 400:
            return Delivery.GIVE_UP
        return self.failed(now, sent=sent)

    def failed(self, now: float, *, sent: bool) -> Delivery | Retry:
        """What a broken connection, or a fault of the server, means."""
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= LOST_SECONDS and not self._lasting:
            return Delivery.GIVE_UP
        if sent:
            return self._broken()
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        return Retry(wait * (0.5 + self._chance() / 2))

    def _broken(self) -> Delivery:
        self._lost += 1
        if self._lost >= MOST_FAILURES and not self._lasting:
            return Delivery.GIVE_UP
        return Delivery.LOST
