"""A subscriber's mind: which segment to ask for next, and when to stop asking. It touches no wire.

It is told what came back and answers with a Step (contract 4.12).
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from composer.trickle import wire

AHEAD_SECONDS: Final = 0.25
"""Before asking again for a segment that nobody has begun."""

BACKOFF_SECONDS: Final = (0.1, 2.0)
"""The first wait after a failed request, and the longest."""

STRANGE: Final = 5
"""Answers in a row that make no sense, after which the server is not understood."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for `seq`, after so many seconds."""

    seq: int
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Take:
    """The body that comes is segment `seq`. gap: segments before it are missing."""

    seq: int
    gap: bool


@dataclass(frozen=True, slots=True)
class Over:
    """The channel has ended."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The channel is lost: why, in words without its address."""

    why: str


Step = Ask | Take | Over | GiveUp


class Subscription:
    """Where a reader is in a channel.

    start: a number, wire.NEXT or wire.CURRENT. late: seconds for which a channel that was never
    there is waited for. lost: seconds of failures after which it is given up.
    """

    def __init__(
        self,
        start: int = wire.CURRENT,
        *,
        late: float = 0.0,
        lost: float = 30.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._wanted, self._late, self._lost, self._chance = start, late, lost, chance
        self._began: float | None = None
        self._failing_since: float | None = None
        self._failures = self._strange = self._missed = 0
        self._last: int | None = None
        self._found = self._torn = False

    def first(self) -> Ask:
        return Ask(self._wanted)

    def after(self, seq: int) -> Ask:
        """What to ask for while segment `seq` is read."""
        return Ask(seq + 1)

    def replied(self, status: int, headers: Mapping[str, str], now: float) -> Step:
        """What an answer to the request for the wanted segment means."""
        if self._began is None:
            self._began = now
        if wire.CLOSED in headers:
            return Over()
        if status == 404:
            return self._missing(now)
        if status == wire.NO_SUCH_SEGMENT:
            self._worked()
            return self._elsewhere(headers)
        if status == 200:
            self._worked()
            return self._arrived(headers)
        if 300 <= status < 400:
            return GiveUp("the server sent us elsewhere, which is not followed")
        return self.failed(now)

    def failed(self, now: float) -> Step:
        """What to do after a connection broke, or the server had a fault of its own."""
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self._lost:
            return GiveUp(f"the server could not be reached for {self._lost:g} s")
        first, longest = BACKOFF_SECONDS
        wait = min(longest, first * 2 ** min(self._failures, 10))
        self._failures += 1
        return Ask(self._wanted, wait * (0.5 + self._chance() / 2))

    def _worked(self) -> None:
        self._found, self._failing_since, self._failures = True, None, 0

    def _missing(self, now: float) -> Step:
        """A channel that was never there may be late; one that was there has ended."""
        assert self._began is not None
        if self._found or now - self._began >= self._late:
            return Over()
        return Ask(self._wanted, AHEAD_SECONDS)

    def _elsewhere(self, headers: Mapping[str, str]) -> Step:
        """The segment is not there: we are behind, ahead, or the server does not say."""
        latest = _number(headers.get(wire.LATEST))
        wait = AHEAD_SECONDS if self._missed else 0.0
        self._missed += 1
        if latest is None:
            self._wanted = wire.NEXT
            return Ask(self._wanted, AHEAD_SECONDS)
        if self._wanted - wire.WINDOW <= latest <= self._wanted:
            return Ask(self._wanted, AHEAD_SECONDS)
        # Far behind its window, or far ahead of it: then the server has begun to count anew.
        self._torn, self._last, self._wanted = True, None, latest
        return Ask(latest, wait)

    def _arrived(self, headers: Mapping[str, str]) -> Step:
        self._missed = 0
        seq = _number(headers.get(wire.SEQ))
        if seq is None:
            seq = self._wanted if self._wanted >= 0 else None
        back = seq is not None and self._last is not None and seq <= self._last
        if seq is None or back:
            self._strange += 1
            if self._strange >= STRANGE:
                return GiveUp("the server does not say which segment it sends")
            return Ask(self._wanted, AHEAD_SECONDS)
        self._strange = 0
        gap = self._torn or (self._last is not None and seq != self._last + 1)
        self._torn, self._last, self._wanted = False, seq, seq + 1
        return Take(seq, gap)


def _number(text: str | None) -> int | None:
    """A segment's number as a header has it; None for anything else."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)
