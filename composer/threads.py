"""Threads for work that blocks: so many for each kind of work, and no kind waits for another one.

Python's loop has one pool of threads for everything. A few jobs fill it, and then streams cannot
start, sessions cannot end, and names cannot be looked up. Here each piece of work has a thread of
its own, which ends with it; what hangs keeps that thread and no place of others.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from composer.errors import Crowded, Overdue

log: Final = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

RESTART_AT: Final = 64
"""Threads that were left behind in this process from which on it should be started anew. Until that
is done streams start and end as ever.
"""

MOST_LEFT: Final = 1024
"""Threads of a kind that may be left behind before no more of it is begun: each holds memory."""


class LeftBehind:
    """Threads of a process that nobody waits for any more and that have not ended: what they are at
    hangs, and nothing can end them but the end of the process.
    """

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._looking = threading.Lock()

    def add(self, threads: Iterable[threading.Thread]) -> None:
        """Leave these behind; one that has ended, or was not begun, is none."""
        hanging = [thread for thread in threads if thread.is_alive()]
        with self._looking:
            self._threads.update(hanging)
        if hanging:
            log.warning("left behind, since it hangs: %s", ", ".join(t.name for t in hanging))

    def __len__(self) -> int:
        with self._looking:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            return len(self._threads)

    @property
    def why_anew(self) -> str:
        """Why the process should be started anew; "" where it need not be."""
        count = len(self)
        return f"{count} threads hang and cannot be ended" if count >= RESTART_AT else ""


LEFT_BEHIND: Final = LeftBehind()
"""Those of this process."""


class Threads:
    """The threads of one kind of work. most: that work at once; what is more waits for its turn.

    Work that does not come back in its time is left behind: it keeps its thread until it ends, if
    ever, and no place of others. For one loop; call() is for where there is none.
    """

    def __init__(self, kind: str, most: int) -> None:
        self.kind, self._places = kind, asyncio.Semaphore(most)
        self._left: set[Future[Any]] = set()

    @property
    def left_behind(self) -> int:
        """Threads whose work nobody waits for any more, and which has not ended."""
        self._left = {future for future in self._left if not future.done()}
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
                future, thread = self._begun(partial(work, *args, **kwargs))
                try:
                    return await asyncio.wrap_future(future)
                finally:
                    self._noted(future, thread)
                    del future  # else what it raised would hold this frame, which holds it
        except TimeoutError:
            if limit.expired():
                raise Overdue(self._late(seconds)) from None
            raise

    def call(
        self, seconds: float | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for a thread that may wait itself; it waits for no turn."""
        future, thread = self._begun(partial(work, *args, **kwargs))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise
            raise Overdue(self._late(seconds)) from None
        finally:
            self._noted(future, thread)
            del future

    def _begun(self, work: Callable[[], T]) -> "tuple[Future[T], threading.Thread]":
        if self.crowded:
            raise Crowded(f"{self.left_behind} of {self.kind!r} hang, so no more is begun")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can take it back
        # A daemon: one that hangs must not keep Python from its end.
        thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(_work, future, work),
            name=f"blocking {self.kind}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as exc:  # Python's word for a machine that gives no more threads
            raise Crowded(f"this machine gives no thread for {self.kind!r}") from exc
        return future, thread

    def _noted(self, future: "Future[Any]", thread: threading.Thread) -> None:
        if not future.done():
            self._left.add(future)
            LEFT_BEHIND.add([thread])

    def _late(self, seconds: float | None) -> str:
        return f"{self.kind} took more than {seconds:g} s"


def _work(future: "Future[T]", work: Callable[[], T]) -> None:
    """Do it; the future has what comes of it."""
    try:
        result = work()
    except Exception as exc:  # noqa: BLE001 - it is raised where the work is waited for
        future.set_exception(_carried(exc))
    except BaseException as exc:  # noqa: BLE001 - neither the loop nor the process ends for it
        future.set_exception(RuntimeError(f"{type(exc).__name__} in a thread"))
    else:
        future.set_result(result)
    finally:
        del future, work


def _carried(exc: Exception) -> Exception:
    """What a future can hold: asyncio takes StopIteration for a mistake and never wakes anybody."""
    return RuntimeError("StopIteration in a thread") if isinstance(exc, StopIteration) else exc


class Places:
    """Where the blocking work of a worker runs, by kind. capacity: sessions and jobs at once.

    loads: libraries and models before the first session. starts, ends: of sessions. changes:
    another plan or file for what runs. checks: validators of nodes. jobs: one-shot jobs from their
    bodies to their answers. What has a slot has a place here, too: none waits for another one that
    hangs.
    """

    def __init__(self, capacity: int = 1) -> None:
        most = max(1, capacity)
        self.loads = Threads("load", 1)
        self.starts = Threads("start", most)
        self.ends = Threads("end", most)
        self.changes = Threads("change", most + 1)
        self.checks = Threads("check of params", most)
        self.jobs = Threads("job", most)

    def __iter__(self) -> Iterator[Threads]:
        return iter((self.loads, self.starts, self.ends, self.changes, self.checks, self.jobs))

    @property
    def left_behind(self) -> int:
        """Threads that were left behind, of all kinds."""
        return sum(threads.left_behind for threads in self)
