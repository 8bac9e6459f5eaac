"""Headroom: whether a worker can take more without those that run losing anything by it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from composer.server import descriptors, footprint
from composer.server.footprint import Footprint
from composer.server.pulse import TOO_LATE, WINDOW_SECONDS, Pulse

log: Final = logging.getLogger(__name__)

TIGHT_PART: Final = 0.15
TIGHT_BYTES: Final = 256 << 20
TIGHT_OF_MUCH: Final = 0.05
"""Memory is tight where less than this part of it is left, and less than so many bytes or this part
of it, whichever is more.
"""

RELIEF: Final = 1.2
"""How much more has to be left before it is enough again."""

SHED_PART: Final = 1 / 3
"""Of what is left where it begins to be tight: below that somebody has to go."""

STAYS_SECONDS: Final = 60.0
"""How long memory may be tight in a worker that has nothing to do."""


class Headroom:
    """Of one worker. own_limit: bytes that it may take, 0 for as many as there are. shed: called,
    in another thread, for as long as memory is about to run out.
    """

    def __init__(
        self,
        own_limit: int = 0,
        shed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pulse: Final = Pulse(self.look, now)
        self._own_limit, self._shed, self._now = own_limit, shed, now
        self.memory = footprint.measured(own_limit)
        """As of a second ago."""

        self._tight_since: float | None = None
        self._looking = threading.Lock()

    def begin(self) -> None:
        """Called by the loop that is to be watched."""
        self.pulse.begin()

    def end(self) -> None:
        self.pulse.end()

    def look(self) -> None:
        """See how much memory there is. Called about once a second, in any thread."""
        with self._looking:
            memory = self.memory = footprint.measured(self._own_limit)
            was_tight = self._tight_since is not None
            tight = memory.left < margin(memory) * (RELIEF if was_tight else 1.0)
            if tight and not was_tight:
                self._tight_since = self._now()
                log.warning("memory is tight, and no more streams begin: %s", memory)
            if was_tight and not tight:
                self._tight_since = None
                log.warning("memory is enough again: %s", memory)
        if memory.left < margin(memory) * SHED_PART:
            self._shed()

    def why_no_start(self) -> str:
        """Why no stream and no job may begin, "" where one may."""
        return self.strained or descriptors.why_no_start()

    @property
    def strained(self) -> str:
        """What there is too little of for what runs already, "" for nothing."""
        if self._tight_since is not None:
            return f"memory is tight: {self.memory}"
        if (late := self.pulse.late) > TOO_LATE:
            seconds = f"{late * WINDOW_SECONDS:.1f} of the last {WINDOW_SECONDS:g} seconds"
            return f"the worker has more to do than it can: its loop was late for {seconds}"
        return ""

    def why_anew(self, *, busy: bool) -> str:
        """Why the process should be started anew; "" where it need not be. busy: whether anything
        runs, which would be lost.
        """
        since = self._tight_since
        if busy or since is None or self._now() - since < STAYS_SECONDS:
            return ""
        return f"memory stays tight though nothing runs: {self.memory}"


def margin(memory: Footprint) -> float:
    """Bytes that have to be left for memory not to be tight."""
    return min(memory.limit * TIGHT_PART, max(TIGHT_BYTES, memory.limit * TIGHT_OF_MUCH))
