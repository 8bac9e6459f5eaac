"""Subscriber: the segments of a channel as they are written. The wire around a Subscription.

A segment of media may be endless, and is never gathered: what waits is the socket's, and whoever
reads bounds the rest. Messages are gathered, within limits.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

from composer.bucket import Bucket
from composer.errors import ChannelLost
from composer.room import Room
from composer.spool import Spool
from composer.trickle import wire
from composer.trickle.channel_address import ChannelAddress
from composer.trickle.client import Response
from composer.trickle.http import Http, client_of
from composer.trickle.message import Message
from composer.trickle.subscription import Ask, GiveUp, Over, Step, Subscription, Take

log: Final = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 30.0
"""A request that nothing answers is made anew after this: its server may be long gone."""

GRACE_SECONDS: Final = 1.0
"""Silence after which a segment is left for the next one, once that has begun."""

MOST_SEGMENTS: Final = 50.0
RESERVE_SECONDS: Final = 4.0
"""Segments a second that are asked for, and how many seconds' worth of them at once."""

LOOK_SECONDS: Final = 0.5
"""How often the loop looks after a segment that a thread reads."""

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
    late: seconds for which a channel that is not there yet is waited for. most: segments a second
    that are asked for; a server that has more of them waits. Iterating raises ChannelLost when its
    server cannot be reached or understood any more.
    """

    def __init__(
        self,
        http: Http,
        url: str,
        *,
        start: int = wire.CURRENT,
        late: float = 0.0,
        lost: float = 30.0,
        most: float = MOST_SEGMENTS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seq = -1
        """Number of the segment that was given last."""
        self.left_out: Counter[str] = Counter()
        """Messages left out, by reason: `too_long` (or broken off), `late`, `full`."""

        self._client, self._address, self._now = client_of(http), ChannelAddress.parse(url), now
        self._name = self._address.name
        self._mind = Subscription(start, late=late, lost=lost)
        self._asks = Bucket(most, most * RESERVE_SECONDS)

    async def __aiter__(self) -> AsyncGenerator[Given, None]:
        async with contextlib.aclosing(self.segments()) as segments:
            async for segment in segments:
                yield segment.opened
                while data := await segment.read():
                    yield data
                yield Ended(segment.opened.seq, segment.whole)

    async def segments(self) -> AsyncGenerator["OpenSegment", None]:
        """Each to be read to its end before the next one is asked for."""
        coming = asyncio.ensure_future(self._next(self._mind.first()))
        try:
            while (found := await coming) is not None:
                take, response = found
                coming = asyncio.ensure_future(self._next(self._mind.after(take.seq)))
                self.seq = take.seq
                opened = Opened(take.seq, take.gap)
                segment = OpenSegment(opened, response, coming, self._name)
                try:
                    yield segment
                finally:
                    segment.close()
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
                        with contextlib.closing(text):
                            yield text
                        message.forget()
        finally:
            message.forget()

    async def _next(self, ask: Ask) -> tuple[Take, Response] | None:
        """The next segment that has bytes to give, None at the end. Raises ChannelLost."""
        while True:
            rest = self._asks.take(1.0, asyncio.get_running_loop().time())
            if wait := max(ask.after, rest):
                await asyncio.sleep(wait)
            response: Response | None = None
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    response = await self._client.get(self._address.at(ask.seq))
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


class OpenSegment:
    """A segment that is being read, by read() on the loop, or by pour() in any thread.

    A publisher that died leaves its segment open for ever: it is left when the next has begun and
    nothing more has come for GRACE_SECONDS.
    """

    def __init__(
        self, opened: Opened, response: Response, coming: "asyncio.Future[Any]", name: str
    ) -> None:
        self.opened: Final = opened
        self.fileno: Final = response.fileno
        """Of the socket that poll() may wait for."""

        self._response, self._coming, self._name = response, coming, name
        self._loop = asyncio.get_running_loop()
        self._limit: asyncio.Timeout | None = None
        self._came_at = self._loop.time()
        self._over = asyncio.Event()
        coming.add_done_callback(self._next_began)

    @property
    def over(self) -> bool:
        """Whether nothing more comes, however it ended."""
        return self._response.over

    @property
    def whole(self) -> bool:
        """Whether its publisher finished it, as far as one can see; known when it is over."""
        return self._response.whole

    async def read(self) -> bytes:
        """What came, b"" at the end, however it ended."""
        limit = self._loop.time() + GRACE_SECONDS if self._coming.done() else None
        try:
            async with asyncio.timeout_at(limit) as self._limit:
                return await self._response.read()
        except TimeoutError:
            self._leave()
        except OSError as exc:
            self._broke_off(exc)
        finally:
            self._limit = None
        return b""

    def pour(self, take: Callable[[bytes], None]) -> bool:
        """Give what is there, in any thread, waiting for nothing; whether anything was."""
        try:
            came = self._response.pour(take)
        except OSError as exc:
            self._broke_off(exc)
            came = False
        if came:
            self._came_at = self._loop.time()
        if self._response.over:
            self._tell_the_loop()
        return came

    async def poured(self, look: Callable[[], object]) -> None:
        """Return when it is over, while others pour it out. look: called now and then."""
        look()
        while not self.over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._over.wait()
            look()
            if self._coming.done() and self._loop.time() - self._came_at > GRACE_SECONDS:
                self._leave()

    def close(self) -> None:
        """Read no more of it."""
        self._coming.remove_done_callback(self._next_began)
        self._response.close()

    def _next_began(self, _: "asyncio.Future[Any]") -> None:
        if self._limit is not None:
            self._limit.reschedule(self._loop.time() + GRACE_SECONDS)

    def _leave(self) -> None:
        if not self.over:
            log.info("channel %s: a segment was left open by its publisher", self._name)
            self._response.close()

    def _broke_off(self, exc: OSError) -> None:
        log.info("channel %s: a segment broke off (%s)", self._name, type(exc).__name__)

    def _tell_the_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._over.set)
        except RuntimeError:
            log.debug("the loop of a segment is closed")


async def _dropped(task: "asyncio.Future[Any]") -> None:
    """Let go of a request that nobody waits for any more."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ChannelLost, OSError):
        if (found := await task) is not None:
            found[1].close()
