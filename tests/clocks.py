"""A loop whose clock a test holds: minutes go by in milliseconds, or no second goes by at all.

Every timer of asyncio goes by the clock of its loop, the time limits of aiohttp as well. Sockets,
threads and the order of what happens are the real ones.
"""

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from composer.server import pulse

STILL_SECONDS: Final = 0.01
"""Nothing happens any more when nothing has happened for so long."""

SLOWLY: Final = 0.01
"""How fast the clock goes in slow(): half a second of it is more than any machine needs."""

WAIT: Final = 20.0
"""Seconds after which a wait is a deadlock."""

DAY: Final = 86_400.0

LOOK_SECONDS: Final = 60.0
"""The longest wait for sockets in one go: an operating system does not take any number."""


class Clock(asyncio.SelectorEventLoop):
    """A loop that a test runs in; clock() gives it."""

    def __init__(self) -> None:
        self.skipped = 0.0
        """Seconds in which nothing happened, and that were left out."""

        self._rate, self._skips = 1.0, False
        self._at, self._since = 0.0, time.monotonic()
        super().__init__(_Waiting(self))

    def time(self) -> float:
        """Seconds; only differences mean anything."""
        return self._at + (time.monotonic() - self._since) * self._rate

    @contextmanager
    def skipping(self) -> Iterator[None]:
        """Where nothing happens the next timer is due at once. For times in which no thread works,
        since the loop does not see what happens there.
        """
        beat, pulse.BEAT_SECONDS = pulse.BEAT_SECONDS, DAY  # a worker's is a timer, too
        self._skips = True
        try:
            yield
        finally:
            self._skips, pulse.BEAT_SECONDS = False, beat

    @asynccontextmanager
    async def slow(self) -> AsyncIterator[None]:
        """What has to wait for a timer does not come, and is a deadlock; what needs none comes,
        however busy the machine is.
        """
        self._go(SLOWLY)
        try:
            async with asyncio.timeout(WAIT * SLOWLY):
                yield
        finally:
            self._go(1.0)

    def _go(self, rate: float) -> None:
        self._at, self._since, self._rate = self.time(), time.monotonic(), rate

    def wait(self, select: Callable[[float | None], list[Any]], timeout: float | None) -> list[Any]:
        """What has happened by the next timer, which is due in so many seconds of this clock."""
        if timeout is None or timeout <= 0:
            return select(timeout)
        if not self._skips:
            return select(min(timeout / self._rate, LOOK_SECONDS))
        events = select(min(timeout, STILL_SECONDS))
        if not events and timeout > STILL_SECONDS:
            self._at += timeout - STILL_SECONDS
            self.skipped += timeout - STILL_SECONDS
        return events


class _Waiting(selectors.DefaultSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        return self._clock.wait(super().select, timeout)


def clock() -> Clock:
    """The loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    return loop


def ran(test: Callable[[], Awaitable[object]], seconds: float = DAY) -> None:
    """Run a coroutine in such a loop, for so many seconds of its clock at the longest."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await test()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(bounded())


def ran_skipping(test: Callable[[], Awaitable[object]]) -> None:
    """The same where no thread works, and nothing has to be waited for."""

    async def skipped() -> None:
        with clock().skipping():
            await test()

    ran(skipped)
