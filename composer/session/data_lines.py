"""DataLines: what a session has to say in its data channel, gathered into few short lines."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

LONGEST: Final = 60_000
"""Most bytes of a line: a gateway that meets one of 64 KiB reads it for ever (contract 6.3)."""

LINES: Final = 4
"""Most lines at once: viewers fall behind when more than five come together (contract 6.3)."""

ITEMS: Final = 1000
"""Most items that wait; the oldest is dropped for the next one."""

NOTHING: Final = b"[]\n"
"""A line that only keeps the channel open."""


class DataLines:
    """Items of JSON from any thread, taken out as lines that each hold an array of them.

    wake: called, in the thread that puts, when the first item after a pause came.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.items = 0
        """Items that were put."""
        self.dropped: Counter[str] = Counter()
        """Items that nobody will see, by reason: too long, or pushed out by newer ones."""

        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()

    def put(self, item: str) -> None:
        """Add one JSON value, as text on one line."""
        data = item.strip().encode()
        with self._lock:
            self.items += 1
            if len(data) + 3 > LONGEST:
                self.dropped["too_long"] += 1
                return
            if len(self._waiting) >= ITEMS:
                self._waiting.popleft()
                self.dropped["full"] += 1
            self._waiting.append(data)
            first = len(self._waiting) == 1
        if first:
            self._wake()

    def take(self) -> bytes:
        """The body of the next segment: whole lines, b"" when there is nothing."""
        lines: list[bytes] = []
        with self._lock:
            while self._waiting and len(lines) < LINES:
                lines.append(self._line())
        return b"".join(lines)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _line(self) -> bytes:
        items, size = [], 3
        while self._waiting and size + len(self._waiting[0]) + 1 <= LONGEST + 1:
            item = self._waiting.popleft()
            items.append(item)
            size += len(item) + 1
        return b"[" + b",".join(items) + b"]\n"
