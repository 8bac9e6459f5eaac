"""Records: the log of a session's process, on its way to that of the worker."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from composer import logs
from composer.isolation.failure import shortened
from composer.isolation.messages import Logged

MOST_WAITING: Final = 200
"""Records that wait for the worker; what comes then is counted."""

MOST_A_SECOND: Final = 50

_PLAIN: Final = logging.Formatter()


class Records(logging.Handler):
    """Keeps the records of a process until somebody takes them. wake: called, in any thread, when
    there are some.
    """

    def __init__(self, wake: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.addFilter(logs.placed)
        self._wake, self._now = wake, now
        self._waiting: deque[Logged] = deque()
        self._left_out, self._second, self._count = 0, 0, 0
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
        try:
            logged = _logged(record)
        except Exception:  # noqa: BLE001 - its arguments are anybody's
            self.handleError(record)
            return
        self._waiting.append(logged)
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


def _logged(record: logging.LogRecord) -> Logged:
    error = _PLAIN.formatException(record.exc_info) if record.exc_info else record.exc_text
    return Logged(
        logger=record.name,
        level=record.levelno,
        message=shortened(record.getMessage()),
        about=getattr(record, "about", {}),
        error=None if error is None else shortened(error),
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
