"""Limits of a log: how long a record may be, how many may come, and what is told once."""

import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from composer.errors import kind_of, told

MOST_CHARACTERS: Final = 8192
"""Of a message."""

MOST_TRACEBACK: Final = 16384
"""Characters of a traceback; of a longer one the end is kept, where it was raised."""

MOST_FRAMES: Final = 32
"""Of each exception in it, those next to where it was raised."""

MOST_CAUSES: Final = 8
"""Exceptions in a traceback: the one that was raised, and those that it came from."""

MOST_KINDS: Final = 256
"""Kinds of exceptions that are remembered; one that was not seen for longest is told anew."""

LINES_PER_SECOND: Final = 20.0
BURST: Final = 200
"""Records that one session, or the worker beside them, may have written at once, and in the long
run. Warnings have as many again.
"""

MOST_NAMES: Final = 4096
"""Sessions whose records are counted; there are 1000 at once at the most."""


class Allowance:
    """How many records may be written for each name: `burst` at once, `rate` in a second after
    that. What is more is counted. Any thread may ask.
    """

    def __init__(
        self,
        rate: float = LINES_PER_SECOND,
        burst: int = BURST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.left_out = 0
        """Records that were not written."""

        self._rate, self._burst, self._now = rate, burst, now
        self._names: OrderedDict[str, tuple[float, float, int]] = OrderedDict()
        # A signal may be handled in between, and log.
        self._looking = threading.RLock()

    def ask(self, name: str) -> int | None:
        """How many records of this name were left out since the last one; None where this one has
        to be.
        """
        with self._looking:
            now = self._now()
            left, at, count = self._names.pop(name, (float(self._burst), now, 0))
            left = min(float(self._burst), left + (now - at) * self._rate)
            if left < 1:
                self.left_out += 1
                self._names[name] = left, now, count + 1
                return None
            if len(self._names) >= MOST_NAMES:
                self._names.popitem(last=False)
            self._names[name] = left - 1, now, 0
            return count


class Tracebacks:
    """Where each kind of exception was raised, told once. Any thread may ask."""

    def __init__(self) -> None:
        self._seen: OrderedDict[object, int] = OrderedDict()
        self._looking = threading.RLock()

    def of(self, exc: BaseException) -> str:
        """How an exception is told: with its traceback where none of its kind was told before."""
        kind = _kind(exc)
        with self._looking:
            count = self._seen.pop(kind, 0) + 1
            if len(self._seen) >= MOST_KINDS:
                self._seen.popitem(last=False)
            self._seen[kind] = count
        if count > 1:
            return f"{told(exc)} (number {count} of its kind; the first one has its traceback)"
        return written(exc)


def written(exc: BaseException) -> str:
    """An exception with its traceback, behind those that it came of, as far as there is room."""
    parts = []
    for each in reversed(_with_causes(exc)):
        frames = "".join(traceback.format_tb(each.__traceback__, limit=-MOST_FRAMES))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(each)}")
    text = "\n\nThat led to:\n\n".join(parts)
    return text if len(text) <= MOST_TRACEBACK else f"... {text[-MOST_TRACEBACK:]}"


def _with_causes(exc: BaseException) -> list[BaseException]:
    """An exception, and what it came of: those that it holds, its cause, its context."""
    found: list[BaseException] = []
    waiting = deque([exc])
    while waiting and len(found) < MOST_CAUSES:
        here = waiting.popleft()
        if any(here is each for each in found):
            continue
        found.append(here)
        if isinstance(here, BaseExceptionGroup):
            waiting.extend(here.exceptions)
        cause = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
        waiting.extend([] if cause is None else [cause])
    return found


def _kind(exc: BaseException) -> tuple[str, str, int]:
    """What it is, and the line of code that it came from."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = ("", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return kind_of(exc), *at
