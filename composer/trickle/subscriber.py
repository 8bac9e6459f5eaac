"""Subscriber: the segments of a channel as they are written. The wire around a Subscription.

A segment of media may be endless, and is never gathered: 128 KiB wait in the socket's buffer, and
whoever reads bounds the rest. Messages are gathered, up to LONGEST_MESSAGE.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from composer.errors import ChannelLost
from composer.trickle import wire
from composer.trickle.subscription import Ask, GiveUp, Over, Step, Subscription, Take

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 30.0
"""A request that nothing answers is made anew after this: its server may be long gone."""

GRACE_SECONDS: Final = 1.0
"""Silence after which a segment is left for the next one, once that has begun."""

LONGEST_MESSAGE: Final = 12 * 1024 * 1024
"""Largest segment that is gathered as one message."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A segment begins. gap: segments before it are missing."""

    seq: int
    gap: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over. whole: its publisher finished it, as far as one can see."""

    seq: int
    whole: bool


Given = Opened | bytes | Ended


class Subscriber:
    """Reads one channel. Iterating gives Opened, bytes ... Ended for each segment, until the end.

    start: wire.CURRENT for the segment that is being written, wire.NEXT for the one after it.
    late: seconds for which a channel that is not there yet is waited for. Iterating raises
    ChannelLost when its server cannot be reached or understood any more.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        start: int = wire.CURRENT,
        late: float = 0.0,
        lost: float = 30.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.too_long = 0
        """Messages left out because they were larger than LONGEST_MESSAGE, or broken off."""

        self._http, self._url, self._now = http, url.rstrip("/"), now
        self._name = self._url.rsplit("/", 1)[-1]
        self._mind = Subscription(start, late=late, lost=lost)

    async def __aiter__(self) -> AsyncGenerator[Given, None]:
        coming = asyncio.ensure_future(self._next(self._mind.first()))
        try:
            while (found := await coming) is not None:
                take, response = found
                coming = asyncio.ensure_future(self._next(self._mind.after(take.seq)))
                yield Opened(take.seq, take.gap)
                whole = False
                async with contextlib.aclosing(self._body(response, coming)) as body:
                    async for data in body:
                        whole = data is None
                        if data:
                            yield data
                yield Ended(take.seq, whole)
        finally:
            await _dropped(coming)

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """The channel's segments, each as a whole; empty and broken ones are left out."""
        gathered: bytearray | None = bytearray()
        async with contextlib.aclosing(self.__aiter__()) as given:
            async for item in given:
                if isinstance(item, Opened):
                    gathered = bytearray()
                elif isinstance(item, bytes):
                    if gathered is not None and len(gathered) + len(item) > LONGEST_MESSAGE:
                        gathered = None
                    elif gathered is not None:
                        gathered += item
                elif gathered is None or not item.whole:
                    self.too_long += 1
                elif gathered:
                    yield bytes(gathered)

    async def _next(self, ask: Ask) -> tuple[Take, aiohttp.ClientResponse] | None:
        """The next segment that has bytes to give, None at the end. Raises ChannelLost."""
        while True:
            if ask.after:
                await asyncio.sleep(ask.after)
            response: aiohttp.ClientResponse | None = None
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    response = await self._http.get(f"{self._url}/{ask.seq}", allow_redirects=False)
            except aiohttp.ClientError as exc:  # first: to connect in vain is a TimeoutError, too
                step = self._failed(exc)
            except TimeoutError:
                continue
            except OSError as exc:
                step = self._failed(exc)
            else:
                step = self._mind.replied(response.status, response.headers, self._now())
            if isinstance(step, Take):
                assert response is not None
                return step, response
            if response is not None:
                response.close()
            if isinstance(step, Over):
                return None
            if isinstance(step, GiveUp):
                raise ChannelLost(f"channel {self._name}: {step.why}")
            ask = step

    def _failed(self, exc: Exception) -> Step:
        log.debug("channel %s: %s", self._name, type(exc).__name__)
        return self._mind.failed(self._now())

    async def _body(
        self, response: aiohttp.ClientResponse, coming: "asyncio.Future[Any]"
    ) -> AsyncGenerator[bytes | None, None]:
        """What is there of a segment, as it comes; None at the end of a whole one.

        A publisher that died leaves its segment open for ever: it is left when the next has begun.
        """
        told = "Content-Length" in response.headers or response.headers.get(
            "Transfer-Encoding", ""
        ).endswith("chunked")
        patience = _Patience(coming)
        try:
            while data := await patience.read(response.content):
                yield data
            if told:
                yield None
        except TimeoutError:
            log.info("channel %s: a segment was left open by its publisher", self._name)
        except (aiohttp.ClientError, OSError) as exc:
            log.info("channel %s: a segment broke off (%s)", self._name, type(exc).__name__)
        finally:
            response.close()


class _Patience:
    """Reads a segment for as long as it takes, but once the next has begun only so long.

    A read costs no task of its own: the arrival of the next segment moves the limit of the read
    that goes on just then.
    """

    def __init__(self, coming: "asyncio.Future[Any]") -> None:
        self._coming, self._loop = coming, asyncio.get_running_loop()
        self._limit: asyncio.Timeout | None = None
        coming.add_done_callback(self._begun)

    async def read(self, content: aiohttp.StreamReader) -> bytes:
        """What is there, b"" at the end. Raises TimeoutError."""
        due = self._loop.time() + GRACE_SECONDS if self._coming.done() else None
        try:
            async with asyncio.timeout_at(due) as self._limit:
                return await content.readany()
        finally:
            self._limit = None

    def _begun(self, coming: "asyncio.Future[Any]") -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._loop.time() + GRACE_SECONDS)


async def _dropped(task: "asyncio.Future[Any]") -> None:
    """Let go of a request or a read that nobody waits for any more."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ChannelLost, aiohttp.ClientError, OSError):
        found = await task
        if isinstance(found, tuple):
            found[1].close()
