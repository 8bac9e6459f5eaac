"""Teller: asks the nodes of a run now and then what they have to say of themselves.

What answers is anybody's code, and may never answer. So a thread asks, and whoever wants to know
has what was said last.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from composer import stacks
from composer.threads import LEFT_BEHIND

log: Final = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
"""The nodes of a run are asked no more often."""


class Teller:
    """For one run. tell: asks its nodes, and keeps what they say. Used by one thread."""

    def __init__(
        self, session: str, tell: Callable[[], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._session, self._tell, self._now = session, tell, now
        self._thread: threading.Thread | None = None
        self._asked_at = now()

    def ask(self) -> None:
        """See to it that what is known is not old; where nodes were asked and have not answered,
        nobody asks again.
        """
        answered = self._thread is None or not self._thread.is_alive()
        if not answered or self._now() - self._asked_at < EVERY_SECONDS:
            return
        self._asked_at = self._now()
        tell = stacks.working_for(self._session, self._tell)
        self._thread = threading.Thread(target=tell, name=f"account {self._session}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as exc:  # Python's word for a machine that gives no more threads
            self._thread = None
            log.debug("nodes are not asked: %s", exc)

    def leave_behind(self) -> None:
        """Nobody wants to know any more."""
        if self._thread is not None:
            LEFT_BEHIND.add([self._thread])
