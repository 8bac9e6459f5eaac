"""Lines on their way to whoever reads them: nobody may, and then nobody waits for that.

A pipe that is full holds whoever writes to it: a frame, the loop, a process that was asked to end.
So a thread of its own writes, what waits for it is bounded, and what does not fit is counted.
"""

import contextlib
import io
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TextIO

MOST_BYTES: Final = 1 << 20
"""Of what waits; a pipe holds 64 KiB more."""

Write = Callable[[bytes], object]
"""Writes all of it, however long that takes. Raises OSError where nobody will ever read it."""


def to_file(number: int) -> Write:
    """Writes to a file descriptor."""

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]

    return write


class Lines:
    """May be used by any thread, and never blocks but in flush(). left_out: what is written in the
    place of so many lines that found no room.
    """

    def __init__(
        self,
        write: Write,
        left_out: Callable[[int], str] = lambda count: f"({count} lines were left out)\n",
        most: int = MOST_BYTES,
    ) -> None:
        self.lost = 0
        """Lines that found no room."""

        self._write, self._left_out, self._most = write, left_out, most
        self._waiting: deque[bytes] = deque()
        self._size = self._untold = 0
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        # A signal may be handled in between, and log: the lock is one that its thread has already.
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._busy = False

    def put(self, text: str | bytes) -> None:
        """One line, or some, with its end."""
        data = text.encode(errors="backslashreplace") if isinstance(text, str) else bytes(text)
        with self._changed:
            if self._size + len(data) > self._most:
                self.lost += 1
                self._untold += 1
                return
            self._waiting.append(data)
            self._size += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="lines", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Whether all that was put is written, in so many seconds at the most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def _main(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                self._busy = True
                data = b"".join(self._waiting)
                self._waiting.clear()
                self._size = 0
                if self._untold:
                    data += self._left_out(self._untold).encode()
                    self._untold = 0
            with contextlib.suppress(OSError):  # whoever read has gone
                self._write(data)

    def begin_in_child(self) -> None:
        """In a process that was forked: the thread is not there, and what waits is the parent's."""
        self._waiting.clear()
        self._size = self._untold = 0
        self._begin()


def flush(seconds: float) -> bool:
    """Whether all lines of this process are written, in so many seconds at the most."""
    until = time.monotonic() + seconds
    return all([lines.flush(max(0.0, until - time.monotonic())) for lines in list(_ALL)])


class Unheld(io.RawIOBase):
    """What is written to a file descriptor, as lines that nobody waits for."""

    def __init__(self, number: int) -> None:
        self._number, self._lines = number, Lines(to_file(number))

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._lines.put(bytes(data))
        return len(data)


def unheld(stream: TextIO) -> TextIO:
    """The same stream, for whoever prints and must not wait for a reader."""
    raw: Any = Unheld(stream.fileno())
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)


_ALL: Final[weakref.WeakSet[Lines]] = weakref.WeakSet()


def _begin_all() -> None:
    for lines in _ALL:
        lines.begin_in_child()


os.register_at_fork(after_in_child=_begin_all)
