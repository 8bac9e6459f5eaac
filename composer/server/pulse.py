"""Pulse: whether the loop of a worker goes on, how late it is, and what holds it up.

All streams share the loop. What holds it up is somebody's mistake, of ours or of a library, and the
one moment to see whose is while it lasts: so a thread looks, and tells where the loop stands.
"""

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Final

from composer.engine.account import Histogram

log: Final = logging.getLogger(__name__)

BEAT_SECONDS = 0.05
"""How often the loop is to show that it goes on."""

STANDS_SECONDS: Final = 0.25
"""From how much on a delay is told; below that it is a figure."""

LATE_SECONDS: Final = 0.1
"""From how much on a delay is one that streams feel."""

WINDOW_SECONDS: Final = 10.0
TOO_LATE: Final = 0.3
"""The part of the last seconds that the loop may have been late, before no more streams begin."""

LOOK_SECONDS: Final = 0.1
MOST_FRAMES: Final = 16
MOST_PLACES: Final = 64
"""Places where the loop stood that are remembered; their stacks are told once."""


class Pulse:
    """Of the loop that runs when it is begun. also: called in its thread about once a second."""

    def __init__(
        self,
        also: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lag = Histogram()
        """How late the loop was, beat by beat."""

        self._also, self._now = also, now
        self._due = 0.0
        self._delays: deque[tuple[float, float]] = deque()
        self._told: dict[str, None] = {}
        self._told_of = 0.0
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def begin(self) -> None:
        """Watch the loop that runs now. Called by it."""
        self._loop_thread = threading.get_ident()
        self._next(asyncio.get_running_loop())
        self._thread.start()

    def end(self) -> None:
        """Watch it no longer."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def late(self) -> float:
        """The part of the last seconds for which the loop was so late that streams felt it."""
        since = self._now() - WINDOW_SECONDS
        return sum(delay for at, delay in list(self._delays) if at >= since) / WINDOW_SECONDS

    # the loop

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = self._now() + BEAT_SECONDS
        self._timer = loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._now()
        self.came(max(0.0, now - self._due), now)
        self._next(loop)

    def came(self, delay: float, now: float) -> None:
        """A beat came, so many seconds late."""
        self.lag.add(delay)
        if delay < LATE_SECONDS:
            return
        while self._delays and self._delays[0][0] < now - WINDOW_SECONDS:
            self._delays.popleft()
        self._delays.append((now, delay))
        if delay >= STANDS_SECONDS:
            log.warning("the loop stood for %.2f s", delay)

    # the thread

    def _watch(self) -> None:
        looked_at = self._now()
        while True:
            began = self._now()
            if self._stopped.wait(LOOK_SECONDS):
                return
            now, due = self._now(), self._due
            kept = now - began - LOOK_SECONDS
            if now - due >= STANDS_SECONDS or kept >= STANDS_SECONDS:
                self.stands(due)
            if now - looked_at >= 1:
                looked_at = now
                self._also()

    def stands(self, due: float) -> None:
        """Tell where the loop stands, which should have come at `due`; once for each time that it
        does, and with its stack once for each place.
        """
        if due == self._told_of:
            return
        self._told_of = due
        frames = sys._current_frames()
        here = frames.get(self._loop_thread)
        if here is None:
            return
        place = f"{here.f_code.co_qualname} ({here.f_code.co_filename}:{here.f_lineno})"
        waits = here.f_code.co_name == "select" and here.f_code.co_filename == selectors.__file__
        message = "the loop stands at %s"
        if waits:
            message = "the loop waits at %s for its turn: something keeps the interpreter from it"
        if place in self._told:
            log.warning(message, place)
            return
        if len(self._told) >= MOST_PLACES:
            del self._told[next(iter(self._told))]
        self._told[place] = None
        shown = {self._loop_thread: here} if not waits else frames
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        stacks = [
            f"{names.get(number, 'a thread')}:\n{''.join(_stack(frame))}"
            for number, frame in shown.items()
            if number != self._thread.ident
        ]
        log.warning(message, place, extra={"stack": "\n".join(stacks)})


def _stack(frame: FrameType) -> list[str]:
    return traceback.format_stack(frame, limit=MOST_FRAMES)
