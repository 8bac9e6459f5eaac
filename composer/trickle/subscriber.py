"""Subscriber: the segments of a channel as they are written. The wire around a Subscription.

A segment of media may be endless, and is never gathered: 128 KiB wait in the socket's buffer, and
whoever reads bounds the rest. Messages are gathered, within limits.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from composer.errors import ChannelLost
from composer.room import Room
from composer.spool import Spool
from composer.trickle import wire
from composer.trickle.message import Message
from composer.trickle.subscription import Ask, GiveUp, Over, Step, Subscription, Take

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 30.0
"""A request that nothing answers is made anew after this: its server may be long gone."""

GRACE_SECONDS: Final = 1.0
"""Silence after which a segment is left for the next one, once that has begun."""

LONGEST_MESSAGE: Final = 12 * 1024 * 1024
"""Largest segment that is gathered as one message, where nobody says otherwise, ..."""

MESSAGE_SECONDS: Final = 20.0
"""... and how long one may take from its first byte to its last."""


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
        self.left_out: Counter[str] = Counter()
        """Messages left out, by reason: `too_long` (or broken off), `late`, `full`."""

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
                body = _ReadBody(response, coming, self._name)
                try:
                    while data := await body.read():
                        yield data
                finally:
                    body.close()
                yield Ended(take.seq, body.whole)
        finally:
            await _dropped(coming)

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """The channel's segments, each as a whole; empty, broken, long and late ones are left
        out.
        """
        async with contextlib.aclosing(
            self.texts(LONGEST_MESSAGE, MESSAGE_SECONDS, Room(LONGEST_MESSAGE))
        ) as texts:
            async for text in texts:
                yield text.bytes()

    async def texts(self, longest: int, seconds: float, room: Room) -> AsyncGenerator[Spool, None]:
        """The same, with limits of one's own: bytes and seconds of one, and room for all who share
        it, which each of them has until the next is asked for.
        """
        message = Message(longest, seconds, room, self.left_out)
        try:
            async with contextlib.aclosing(self.__aiter__()) as given:
                async for item in given:
                    if isinstance(item, Opened):
                        message.begin()
                    elif isinstance(item, bytes):
                        message.add(item)
                    elif (text := message.end(whole=item.whole)) is not None:
                        yield text
                        message.forget()
        finally:
            message.forget()

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


class _ReadBody:
    """What is there of a segment, as it comes.

    A publisher that died leaves its segment open for ever: it is left when the next has begun and
    a read has waited for so long. One timer watches all reads, and is set only then.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, coming: "asyncio.Future[Any]", name: str
    ) -> None:
        self.whole = False
        """Whether its publisher finished it; known when a read has given nothing."""

        self._response, self._coming, self._name = response, coming, name
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._left = False
        coming.add_done_callback(self._next_began)

    async def read(self) -> bytes:
        """What came, b"" at the end, however it ended."""
        self._waits_since = self._loop.time()
        try:
            if data := await self._response.content.readany():
                return data
            self.whole = _tells_its_end(self._response)
        except (aiohttp.ClientError, OSError) as exc:
            why = "was left open by its publisher" if self._left else f"broke off ({_kind(exc)})"
            log.info("channel %s: a segment %s", self._name, why)
        finally:
            self._waits_since = None
        return b""

    def close(self) -> None:
        """Read no more of it."""
        self._coming.remove_done_callback(self._next_began)
        if self._watch is not None:
            self._watch.cancel()
        self._response.close()

    def _next_began(self, _: "asyncio.Future[Any]") -> None:
        self._watch = self._loop.call_later(GRACE_SECONDS, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._waits_since is None else self._waits_since
        if now - since < GRACE_SECONDS:
            self._watch = self._loop.call_at(since + GRACE_SECONDS, self._look)
            return
        self._left = True
        self._response.close()  # the read that waits ends with an error


def _tells_its_end(response: aiohttp.ClientResponse) -> bool:
    """Whether the end of a body is not just the end of its connection."""
    headers = response.headers
    return "Content-Length" in headers or headers.get("Transfer-Encoding", "").endswith("chunked")


def _kind(exc: Exception) -> str:
    return type(exc).__name__


async def _dropped(task: "asyncio.Future[Any]") -> None:
    """Let go of a request or a read that nobody waits for any more."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ChannelLost, aiohttp.ClientError, OSError):
        found = await task
        if isinstance(found, tuple):
            found[1].close()
