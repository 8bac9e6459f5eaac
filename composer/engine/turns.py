"""Who may go on when: sources through a gate, threads of one stage in turns."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from composer.engine.inbox import Traffic


class Gate:
    """Any number are inside at a time; closing it waits until nobody is."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._lock:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    @contextmanager
    def closed(self, within: float | None = None) -> Iterator[None]:
        """Nobody is inside meanwhile. Raises TimeoutError where somebody still is after `within`
        seconds; then it is open again.
        """
        with self._lock:
            if not self._changed.wait_for(lambda: not self._closed, within):
                raise TimeoutError
            self._closed = True
            if not self._changed.wait_for(lambda: not self._inside, within):
                self._closed = False
                self._changed.notify_all()
                raise TimeoutError
        try:
            yield
        finally:
            with self._lock:
                self._closed = False
                self._changed.notify_all()


class Rotation:
    """Threads that take turns in a ring, number 0 first."""

    def __init__(self, threads: int, traffic: Traffic) -> None:
        self._threads, self._traffic = threads, traffic
        self._changed = threading.Condition()
        self._now = 0
        self._asleep: set[int] = set()

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        self._wait(number)
        try:
            yield
        finally:
            self._hand_on()

    def _wait(self, number: int) -> None:
        with self._changed:
            if self._now == number:
                return
            self._asleep.add(number)
            # Inboxes are looked at one at a time, so this lock must be free.
            self._changed.release()
            try:
                self._traffic.rest()
            finally:
                self._changed.acquire()
            while self._now != number:
                self._changed.wait()

    def _hand_on(self) -> None:
        with self._changed:
            self._now = (self._now + 1) % self._threads
            if self._now in self._asleep:
                self._asleep.remove(self._now)
                self._traffic.enter()
            self._changed.notify_all()
