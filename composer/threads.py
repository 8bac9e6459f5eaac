"""Threads for work that blocks: so many for each kind of work, and no kind waits for another one.

Python's loop has one pool of threads for everything. A few jobs fill it, and then streams cannot
start, sessions cannot end, and names cannot be looked up.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from composer.errors import Crowded, Overdue

P = ParamSpec("P")
T = TypeVar("T")

MOST_LEFT: Final = 4
"""Threads of a kind that may be left behind, since what they do hangs, before no more is begun."""

MOST_AT_ONCE: Final = 32
"""Threads of a kind at the most, whatever the capacity of a worker."""


class Threads:
    """The threads of one kind of work. most: that work at once; what is more waits for its turn.

    Work that does not come back in its time is left behind: it keeps its thread until it ends, if
    ever, and no place of others. For one loop; call() is for where there is none.
    """

    def __init__(self, kind: str, most: int) -> None:
        self.kind, self._places = kind, asyncio.Semaphore(most)
        self._left: set[Future[Any]] = set()
        # Each place may lose its thread once more after MOST_LEFT - 1 are gone.
        self._pool = ThreadPoolExecutor(most + MOST_LEFT, f"blocking {kind}")

    @property
    def left_behind(self) -> int:
        """Threads whose work nobody waits for any more, and which has not ended."""
        self._left = {each for each in self._left if not each.done()}
        return len(self._left)

    @property
    def crowded(self) -> bool:
        """Whether so much hangs that nothing more is begun."""
        return self.left_behind >= MOST_LEFT

    async def run(
        self, seconds: float | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What work(*args) returns or raises. seconds: that it may take with its turn, None for any
        number. Raises Overdue when they have passed, and Crowded. Cancelled, it is left behind.
        """
        limit = asyncio.timeout(seconds)
        try:
            async with limit, self._places:
                future = self._begun(partial(work, *args, **kwargs))
                try:
                    return await asyncio.wrap_future(future)
                finally:
                    self._noted(future)
        except TimeoutError:
            if limit.expired():
                raise Overdue(self._late(seconds)) from None
            raise

    def call(
        self, seconds: float | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for a thread that may wait itself; it waits for no turn."""
        future = self._begun(partial(work, *args, **kwargs))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise
            raise Overdue(self._late(seconds)) from None
        finally:
            self._noted(future)

    def close(self) -> None:
        """Let threads end that have nothing to do; those that were left behind go on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, work: Callable[[], T]) -> "Future[T]":
        if self.crowded:
            raise Crowded(f"{self.left_behind} of {self.kind!r} hang, so no more is begun")
        return self._pool.submit(contextvars.copy_context().run, work)

    def _noted(self, future: "Future[Any]") -> None:
        if not future.done():
            self._left.add(future)

    def _late(self, seconds: float | None) -> str:
        return f"{self.kind} took more than {seconds:g} s"


class Places:
    """Where the blocking work of a worker runs, by kind. capacity: sessions and jobs at once.

    loads: libraries and models before the first session. starts, ends: of sessions. changes:
    another plan or file for what runs. jobs: one-shot jobs from their bodies to their answers.
    """

    def __init__(self, capacity: int = 1) -> None:
        most = max(1, min(capacity, MOST_AT_ONCE))
        self.loads = Threads("load", 1)
        self.starts = Threads("start", most)
        self.ends = Threads("end", most)
        self.changes = Threads("change", 2)
        self.jobs = Threads("job", max(1, capacity))

    def __iter__(self) -> Iterator[Threads]:
        return iter((self.loads, self.starts, self.ends, self.changes, self.jobs))

    @property
    def left_behind(self) -> int:
        """Threads that were left behind, of all kinds."""
        return sum(threads.left_behind for threads in self)

    def close(self) -> None:
        for threads in self:
            threads.close()
