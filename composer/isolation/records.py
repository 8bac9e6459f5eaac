"""RecordQueue: the log of a session's process, on its way to that of the worker."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from composer import logs
from composer.isolation.messages import Logged
from composer.loglimits import Tracebacks

MOST_WAITING: Final = 200
"""RecordQueue that wait for the worker; what comes then is counted."""

MOST_A_SECOND: Final = 50


class RecordQueue(logging.Handler):
    """Keeps the records of a process until somebody takes them. wake: called, in any thread, when
    there are some.
    """

    def __init__(self, wake: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.addFilter(logs.placed)
        self._wake, self._now = wake, now
        self._waiting: deque[Logged] = deque()
        self._left_out, self._second, self._count = 0, 0, 0
        self._tracebacks = Tracebacks()
        self._mutex = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        with self._mutex:
            second = int(self._now())
            if second != self._second:
                self._second, self._count = second, 0
            self._count += 1
            if self._count > MOST_A_SECOND or len(self._waiting) >= MOST_WAITING:
                self._left_out += 1
                return
        self._waiting.append(self._logged(record))
        self._wake()

    def pop_all(self) -> list[Logged]:
        """What waits, and how much was left out."""
        with self._mutex:
            left_out, self._left_out = self._left_out, 0
        records = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if left_out:
            message = f"{left_out} more records of its process were left out"
            records.append(
                Logged(
                    logger=__name__, level=logging.WARNING, message=message, about={}, error=None
                )
            )
        return records

    def _logged(self, record: logging.LogRecord) -> Logged:
        error = logs.error_of(record, self._tracebacks)
        return Logged(
            logger=record.name,
            level=record.levelno,
            message=logs.message_of(record),
            about=getattr(record, "about", {}),
            error=error or None,
        )


def log_again(logged: Logged, session: str) -> None:
    """Write a record of a session's process into the log of this one. session: "" for none."""
    logger = logging.getLogger(logged.logger)
    if not logger.isEnabledFor(logged.level):
        return
    record = logger.makeRecord(logged.logger, logged.level, "", 0, "%s", (logged.message,), None)
    record.about = {**logged.about, **({"session": session} if session else {})}
    record.exc_text = logged.error
    logger.handle(record)
