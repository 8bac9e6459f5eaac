"""Publisher: segments into a channel, one request each. The wire around a Publication."""

import asyncio
import contextlib
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import aiohttp

from composer.errors import ChannelEnded, ChannelLost, SegmentLost, TrickleError
from composer.trickle import wire
from composer.trickle.channel_address import ChannelAddress
from composer.trickle.connection import ServerConnection
from composer.trickle.framing import LAST_CHUNK, chunk
from composer.trickle.http import Http, client_of
from composer.trickle.line import Line
from composer.trickle.publication import Delivery, Publication, Retry

log: Final = logging.getLogger(__name__)

STALL_SECONDS: Final = 5.0
"""How long a write waits for the network before its segment is given up."""

HELD_BYTES: Final = 1024 * 1024
"""Most bytes of a segment that wait for the network."""

MOST_OPEN: Final = 6
"""Most segments whose requests are on their way; the oldest is given up for the next one."""

DELETE_SECONDS: Final = 5.0


class SegmentWriter:
    """One segment that is being written."""

    def __init__(self, seq: int, stall: float) -> None:
        self.seq: Final = seq
        self.lost = False
        """Whether its publisher has given it up."""

        self._written = self._sent = False
        self._stall = stall
        self._held: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._failure: TrickleError | None = None
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._posting: asyncio.Future[None] | None = None
        self._line: Line | None = None

    def offer(self, data: bytes) -> bool:
        """Add bytes from any thread, if they can go out at once; False: they were not taken."""
        line = self._line
        return line is not None and line.send(data)

    async def write(self, data: bytes) -> None:
        """Add bytes. Raises SegmentLost (go on with the next one) or ChannelEnded."""
        if self._failure is not None:
            raise self._failure
        self._written = True
        if self._line is not None and self._line.send(data):
            return
        self._held.append(data)
        self._size += len(data)
        self._changed.set()
        if self._size <= HELD_BYTES:
            return
        self._drained.clear()
        try:
            async with asyncio.timeout(self._stall):
                await self._drained.wait()
        except TimeoutError:
            self.give_up(SegmentLost(f"segment {self.seq} could not be sent in time"))
        if self._failure is not None:
            raise self._failure

    async def end(self) -> None:
        """Say that nothing more comes. The network finishes it meanwhile."""
        self._ended = True
        self._changed.set()

    async def done(self) -> None:
        """Wait until it is finished. Raises SegmentLost or ChannelEnded."""
        if self._posting is not None:
            await asyncio.wait({self._posting})
        if self._failure is not None:
            raise self._failure

    @property
    def done_or_failed(self) -> bool:
        """Whether its request is over."""
        return self._failure is not None or (self._posting is not None and self._posting.done())

    @property
    def written(self) -> bool:
        """Whether anything was put into it."""
        return self._written or self.sent

    @property
    def sent(self) -> bool:
        """Whether any byte was handed to the network."""
        return self._sent or (self._line is not None and self._line.used)

    @property
    def finished(self) -> bool:
        """Whether every byte was handed to the network."""
        waits = self._held or (self._line is not None and self._line.rest)
        return self._ended and not waits

    def give_up(self, failure: TrickleError) -> None:
        """Fail, and break its request off."""
        self.fail(failure)
        if self._posting is not None:
            self._posting.cancel()

    def fail(self, failure: TrickleError) -> None:
        if self._failure is None:
            self._failure = failure
        if self._line is not None:
            self._line.close()
        self._held.clear()
        self._size = 0
        self._drained.set()

    async def feed(self, connection: ServerConnection) -> None:
        """Write it as the body of a request, to its end. Raises OSError."""
        line = self._line = Line(connection, self._changed.set)
        try:
            while True:
                while self._held:
                    data = b"".join(self._held)
                    self._held.clear()
                    self._size = 0
                    self._sent = True
                    self._drained.set()
                    if data:
                        await connection.write(chunk(data))
                if self._ended:
                    break
                self._changed.clear()
                line.open()
                await self._changed.wait()
                await line.close_up()
        finally:
            line.close()
        await connection.write(LAST_CHUNK)


class Publisher:
    """Writes one channel. lasting: no failure but the channel's end ends it, as for events.

    ahead: the request of the next segment is opened while one is written.
    """

    def __init__(
        self,
        http: Http,
        url: str,
        *,
        content_type: str,
        lasting: bool = False,
        ahead: bool = False,
        stall: float = STALL_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost = 0
        """Segments with bytes in them that were broken off or never got out, also after their last
        write, but for those of a channel that has ended.
        """
        self.gave_up = False
        """Whether it ended because nothing got through, not because the channel did."""
        self.broken = ""
        """What it ended of where that is a mistake, not the network's doing; else ""."""

        self._http, self._type, self._address = http, content_type, ChannelAddress.parse(url)
        self._client, self._name = client_of(http), self._address.name
        self._lasting, self._ahead, self._stall, self._now = lasting, ahead, stall, now
        self._mind = Publication(lasting=lasting)
        self._over = asyncio.Event()
        self._reset = False
        self._idle: SegmentWriter | None = None
        self._begun = -1
        self._requests: set[asyncio.Future[None]] = set()
        self._open: list[SegmentWriter] = []

    @property
    def ended(self) -> bool:
        return self._over.is_set()

    async def wait_ended(self) -> None:
        """Return when the channel has ended, or was given up."""
        await self._over.wait()

    async def resume(self) -> None:
        """Go on in a channel that somebody wrote to before; what they left open is closed.

        Raises ChannelEnded, and ChannelLost when the server cannot be reached.
        """
        start = await next_number(self._http, self._address)
        self._mind = Publication(start, lasting=self._lasting)
        self._reset = True

    def begin(self) -> SegmentWriter:
        """The next segment; its request is on its way. Nothing is waited for."""
        segment, self._idle = self._idle or self._opened(), None
        self._begun = segment.seq
        for late in self._open[:-MOST_OPEN]:
            late.give_up(SegmentLost(f"segment {late.seq} of {self._name} never got out"))
        if self._ahead:
            self._idle = self._opened()
        return segment

    async def send(self, body: bytes) -> None:
        """One whole segment. A lasting channel may lose it. Raises ChannelEnded, SegmentLost."""
        segment = self.begin()
        try:
            await segment.write(body)
            await segment.end()
            await segment.done()
        except SegmentLost:
            if not self._lasting:
                raise

    async def close(self, seconds: float = 5.0) -> None:
        """End what is open and let it be finished, for so many seconds at most."""
        for segment in self._open:
            await segment.end()
        if self._requests:
            _, late = await asyncio.wait(self._requests, timeout=seconds)
            for request in late:
                request.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    def _opened(self) -> SegmentWriter:
        segment = SegmentWriter(self._mind.take(), self._stall)
        if self.ended:
            segment.fail(ChannelEnded(f"channel {self._name} has ended"))
            return segment
        reset, self._reset = self._reset, False
        request = asyncio.ensure_future(self._post(segment, reset=reset))
        segment._posting = request
        self._open = [begun for begun in self._open if not begun.done_or_failed] + [segment]
        self._requests.add(request)
        request.add_done_callback(partial(self._posted, segment))
        return segment

    def _posted(self, segment: SegmentWriter, request: "asyncio.Future[None]") -> None:
        self._requests.discard(request)
        if request.cancelled():  # also one that never began
            self._lose(segment)
        elif (mistake := request.exception()) is not None:
            self._break(segment, mistake)

    def _break(self, segment: SegmentWriter, mistake: BaseException) -> None:
        """End, as a request failed in a way that no other one would do better."""
        if not self.broken:
            self.broken = f"channel {self._name} broke: {type(mistake).__name__}"
            # What a mistake says of itself may hold the address, which is a secret.
            place = traceback.extract_tb(mistake.__traceback__)[-1]
            log.error("%s, at %s:%d", self.broken, place.filename, place.lineno or 0)
        self._lose(segment)
        segment.fail(ChannelEnded(self.broken))
        self._give_up()

    def _lose(self, segment: SegmentWriter) -> None:
        if segment.written and not segment.lost:
            self.lost += 1
        segment.lost = True

    async def _post(self, segment: SegmentWriter, *, reset: bool) -> None:
        headers = {"Content-Type": self._type, **({wire.RESET: "1"} if reset else {})}
        try:
            await self._settle(segment, await self._tried(segment, headers))
        except asyncio.CancelledError:  # it was given up
            if not segment.lost:
                self._lose(segment)
                if self._mind.failed(self._now(), sent=True) is Delivery.GIVE_UP:
                    self._give_up()
                await self._delete(segment)
            raise

    async def _tried(self, segment: SegmentWriter, headers: dict[str, str]) -> Delivery:
        """Send it, again and again while nothing of it got out and no newer one is written."""
        while isinstance(step := await self._once(segment, headers), Retry):
            if self.ended:
                return Delivery.OVER
            await asyncio.sleep(step.after)
            if segment.seq < self._begun:
                return Delivery.LOST
        return step

    async def _once(self, segment: SegmentWriter, headers: dict[str, str]) -> Delivery | Retry:
        try:
            response = await self._client.post(self._address.at(segment.seq), headers, segment.feed)
        except OSError as exc:
            log.debug("channel %s: %s", self._name, type(exc).__name__)
            return self._mind.failed(self._now(), sent=segment.sent)
        try:
            return self._mind.replied(
                response.status,
                response.headers,
                self._now(),
                sent=segment.sent,
                ended=segment.finished,
            )
        finally:
            response.close()

    async def _settle(self, segment: SegmentWriter, delivery: Delivery) -> None:
        if delivery is Delivery.DONE:
            return
        if delivery is Delivery.LOST:
            self._lose(segment)
            segment.fail(SegmentLost(f"segment {segment.seq} of {self._name} broke off"))
            await self._delete(segment)
            return
        segment.fail(ChannelEnded(f"channel {self._name} has ended"))
        if delivery is Delivery.GIVE_UP:
            self._give_up()
        if self.gave_up:
            self._lose(segment)
        self._over.set()

    def _give_up(self) -> None:
        self.gave_up = True
        self._over.set()

    async def _delete(self, segment: SegmentWriter) -> None:
        """Close a segment that was left open, so that its readers go on."""
        if self._http.closed:
            return
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(DELETE_SECONDS):
                address = self._address.at(segment.seq)
                async with self._http.delete(address, allow_redirects=False) as response:
                    unknown = response.status == 400
                if unknown:  # the server has never seen it: an empty one closes the hole
                    async with self._http.post(address, data=b"", allow_redirects=False):
                        pass


async def next_number(http: aiohttp.ClientSession, address: ChannelAddress) -> int:
    """The number that a channel's next segment has.

    Raises ChannelEnded, and ChannelLost when the server cannot be reached or does not say.
    """
    name = address.name
    try:
        async with http.get(address.at("next"), allow_redirects=False) as response:
            status, headers = response.status, response.headers
    except (aiohttp.ClientError, OSError):
        raise ChannelLost(f"channel {name} cannot be reached") from None
    if status == 404 or wire.CLOSED in headers:
        raise ChannelEnded(f"channel {name} has ended")
    latest = headers.get(wire.LATEST, "")
    if status != 200 or not (latest.isascii() and latest.isdigit() and len(latest) <= 18):
        raise ChannelLost(f"channel {name}: its server does not say where it is")
    return int(latest)


async def remove(http: aiohttp.ClientSession, url: str, seconds: float = DELETE_SECONDS) -> None:
    """Close a whole channel, if that is possible in so many seconds: readers hear that it has ended
    (contract 4.7).
    """
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            async with http.delete(url, allow_redirects=False):
                pass
