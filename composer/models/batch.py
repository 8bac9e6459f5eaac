"""Batch: calls of several threads, gathered into one call of a model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class _Pending(Generic[Item, Result]):
    """One call. alike: only calls with the same one share a batch. done: free when it was made."""

    item: Item
    alike: Hashable
    born: float
    result: Result | None = None
    failure: BaseException | None = None
    done: threading.Lock = field(default_factory=_taken)


@dataclass
class Tally:
    """How many calls were made of a model, for how many items, and the largest batch."""

    calls: int = 0
    items: int = 0
    largest: int = 0


class Batcher(Generic[Item, Result]):
    """Runs items of several threads together, one call at a time, first come first served.

    run: gives one result per item, in their order. most: items in one call. delay: seconds that the
    first item of a call waits for others at the longest; it waits for nobody when all who have
    joined are there already.

    Where only one has joined, its own thread makes the call. Else one thread makes all of them: the
    next call begins as the one before ends, on a core whose caches know the model.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        most: int = 1,
        delay: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally: Final = Tally()
        self._run, self._most, self._delay, self._now = run, most, delay, now
        self._changed = threading.Condition()
        self._waiting: deque[_Pending[Item, Result]] = deque()
        self._members = 0
        self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def join(self) -> None:
        """One more thread that will call."""
        with self._changed:
            self._members += 1

    def leave(self) -> None:
        with self._changed:
            self._members -= 1
            self._changed.notify()

    def close(self) -> None:
        """End the thread that makes the calls, once nobody will call any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def __call__(self, item: Item, alike: Hashable = None) -> Result:
        """The result of an item. What run() raises for it alone is raised here."""
        with self._changed:
            job: _Pending[Item, Result] = _Pending(item, alike, self._now())
            alone = self._members <= 1 and not self._busy and not self._waiting
            if alone:
                self._busy = True
            else:
                self._waiting.append(job)
                self._start()
                self._changed.notify()
        if alone:
            self._work([job])
        else:
            job.done.acquire()
        if job.failure is not None:
            raise job.failure
        return job.result  # type: ignore[return-value]  # set, since it is done without failure

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="model", daemon=True)
            self._thread.start()

    def _main(self) -> None:
        while batch := self._next():
            self._work(batch)

    def _next(self) -> list[_Pending[Item, Result]]:
        """What the next call is made of, when it is time; nothing at the end."""
        with self._changed:
            while (patience := self._patience()) is None or patience > 0:
                if self._closed and not self._waiting:
                    return []
                self._changed.wait(patience)
            batch = self._alike(self._waiting[0])
            self._waiting = deque(each for each in self._waiting if each not in batch)
            self._busy = True
            return batch

    def _patience(self) -> float | None:
        """Seconds until the next call; None while there is none to make."""
        if self._busy or not self._waiting:
            return None
        first = self._waiting[0]
        if len(self._alike(first)) >= self._most or len(self._waiting) >= self._members:
            return 0.0
        return first.born + self._delay - self._now()

    def _alike(self, job: _Pending[Item, Result]) -> list[_Pending[Item, Result]]:
        return [each for each in self._waiting if each.alike == job.alike][: self._most]

    def _work(self, batch: list[_Pending[Item, Result]]) -> None:
        try:
            self._attempt(batch)
            if len(batch) > 1 and batch[0].failure is not None:
                # One bad item, or too little memory for all: only who fails alone has failed.
                for job in batch:
                    self._attempt([job])
        finally:
            with self._changed:
                self._busy = False
                if self._waiting:
                    self._changed.notify()
            for job in batch:
                job.done.release()

    def _attempt(self, batch: list[_Pending[Item, Result]]) -> None:
        self.tally.calls += 1
        self.tally.items += len(batch)
        self.tally.largest = max(self.tally.largest, len(batch))
        try:
            results = self._run([job.item for job in batch])
            for job, result in zip(batch, results, strict=True):
                job.result, job.failure = result, None
        except BaseException as exc:  # noqa: BLE001 - it is raised again in whoever asked
            for job in batch:
                job.failure = exc
