"""Batch: calls of several threads, gathered into one call of a model."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Job(Generic[Item, Result]):
    """One call. alike: only calls with the same one share a batch."""

    item: Item
    alike: Hashable
    born: float
    result: Result | None = None
    failure: BaseException | None = None
    done: bool = False


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
    joined are there already, or when there is only one.
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
        self._waiting: deque[_Job[Item, Result]] = deque()
        self._members = 0
        self._busy = False

    def join(self) -> None:
        """One more thread that will call."""
        with self._changed:
            self._members += 1

    def leave(self) -> None:
        with self._changed:
            self._members -= 1
            self._changed.notify_all()

    def __call__(self, item: Item, alike: Hashable = None) -> Result:
        """The result of an item. What run() raises for it alone is raised here."""
        batch: list[_Job[Item, Result]] = []
        with self._changed:
            job: _Job[Item, Result] = _Job(item, alike, self._now())
            self._waiting.append(job)
            self._changed.notify_all()
            while not job.done and not batch:
                patience = self._patience(job)
                if patience is not None and patience <= 0:
                    batch = self._gathered(job)
                else:
                    self._changed.wait(patience)
        if batch:
            self._work(batch)
        if job.failure is not None:
            raise job.failure
        return job.result  # type: ignore[return-value]  # set, since it is done without failure

    def _patience(self, job: _Job[Item, Result]) -> float | None:
        """Seconds until this thread makes the call; None while that is not up to it."""
        if self._busy or self._waiting[0] is not job:
            return None
        if len(self._alike(job)) >= self._most or len(self._waiting) >= self._members:
            return 0.0
        return job.born + self._delay - self._now()

    def _alike(self, job: _Job[Item, Result]) -> list[_Job[Item, Result]]:
        return [each for each in self._waiting if each.alike == job.alike][: self._most]

    def _gathered(self, job: _Job[Item, Result]) -> list[_Job[Item, Result]]:
        batch = self._alike(job)
        self._waiting = deque(each for each in self._waiting if each not in batch)
        self._busy = True
        return batch

    def _work(self, batch: list[_Job[Item, Result]]) -> None:
        try:
            self._attempt(batch)
            if len(batch) > 1 and batch[0].failure is not None:
                # One bad item, or too little memory for all: only who fails alone has failed.
                for job in batch:
                    self._attempt([job])
        except BaseException as exc:  # this thread ends: the others should not take it for theirs
            for job in batch:
                job.failure = exc
            raise
        finally:
            with self._changed:
                self._busy = False
                for job in batch:
                    job.done = True
                self._changed.notify_all()

    def _attempt(self, batch: list[_Job[Item, Result]]) -> None:
        self.tally.calls += 1
        self.tally.items += len(batch)
        self.tally.largest = max(self.tally.largest, len(batch))
        try:
            results = self._run([job.item for job in batch])
            for job, result in zip(batch, results, strict=True):
                job.result, job.failure = result, None
        except Exception as exc:  # noqa: BLE001 - it is raised again in whoever asked
            for job in batch:
                job.failure = exc
