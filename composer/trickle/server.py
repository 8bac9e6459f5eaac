"""A trickle server: channels over HTTP, on one event loop.

For development, tests and demos: the same answers as the server inside an orchestrator, without its
payments, and without its traps (a number it cannot use is refused, a finished segment stays as it
is). Who is slow to read waits alone: a publisher only ever adds to memory.
"""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import ClientError, web
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict

from composer.trickle import wire
from composer.trickle.channel import Channel, LimitReached, Segment, TooLong
from composer.trickle.directory import NAME, Directory, Limits
from composer.trickle.server_log import SERVER_LOG

PIECE: Final = 64 << 10
"""Bytes handed to a reader's socket at a time."""

HEAD_S: Final = 10.0
"""A connection that has not sent a whole request head by then is closed."""

STALL_S: Final = 60.0
"""A reader that takes nothing for so long is gone."""

LINGER_S: Final = 1.0
"""How long a body nobody wants is read away, so that its sender gets to see the answer."""

CHANNEL_METHODS: Final = "DELETE, POST"
SEGMENT_METHODS: Final = "DELETE, GET, HEAD, POST"

_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


class TrickleServer:
    """Serves a Directory of channels.

    async with TrickleServer().serving("127.0.0.1", 0) as address: ...
    """

    def __init__(
        self,
        *,
        base_path: str = "/",
        autocreate: bool = True,
        changefeed: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
        interim_s: float = wire.INTERIM_S,
        head_s: float = HEAD_S,
    ) -> None:
        self.directory: Final = Directory(limits, clock, changefeed=changefeed)
        self._base: Final = "/" + base_path.strip("/") + "/" if base_path.strip("/") else "/"
        self._autocreate: Final = autocreate
        self._changefeed: Final = changefeed
        self._limits: Final = limits
        self._clock: Final = clock
        self._interim_s: Final = interim_s
        self._head_s: Final = head_s

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen while the block runs; gives the address, without a slash at its end."""
        loop = asyncio.get_running_loop()
        connections = _Connections(self._answer, self._limits.connections, self._head_s)
        listening = await loop.create_server(connections, host, port)
        sweeping = _Every(loop, wire.SWEEP_S, self.directory.sweep)
        bound = listening.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{name}:{bound}{self._base}".rstrip("/")
        finally:
            sweeping.stop()
            listening.close()
            # First the channels: readers and preconnected publishers are then told of the end.
            self.directory.close()
            await connections.shutdown(LINGER_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if not path.startswith(self._base):
            return _plain(404, "404 page not found")
        name, slash, seq = path.removeprefix(self._base).partition("/")
        if not NAME.fullmatch(name):
            return _plain(404 if not name else 400, "Invalid stream")
        if self._feeds(name) and request.method in ("DELETE", "POST"):
            return _plain(403, "The server alone writes this stream", close=True)
        try:
            if not slash:
                return self._channel(request, name)
            return await self._segment(request, name, seq)
        except LimitReached as exc:
            return _plain(503, str(exc), close=True)

    def _feeds(self, name: str) -> bool:
        return self._changefeed and name == wire.CHANGES

    def _channel(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        if request.method == "POST":
            if self.directory.find(name) is None and not self._autocreate:
                return _plain(404, "Stream not found", close=True)
            self.directory.create(name, request.headers.get(wire.EXPECT_CONTENT, ""))
            return _answered({})
        if request.method == "DELETE":
            if not self.directory.delete(name):
                return _plain(400, "Invalid stream")
            return _answered({})
        return _plain(405, "Method Not Allowed", {"Allow": CHANNEL_METHODS})

    async def _segment(self, request: web.BaseRequest, name: str, text: str) -> web.StreamResponse:
        method = request.method
        if method not in SEGMENT_METHODS.split(", "):
            return _plain(405, "Method Not Allowed", {"Allow": SEGMENT_METHODS})
        reading = method in ("GET", "HEAD")
        channel = self.directory.find(name)
        if channel is None and not (method == "POST" and self._autocreate):
            return _plain(404, "Stream not found", close=method == "POST")
        if reading and channel is not None and text == "next":
            return _next(channel)
        lowest = wire.CURRENT if reading else wire.NEXT if method == "POST" else 0
        if not _NUMBER.fullmatch(text) or int(text) < lowest:
            return _plain(400, "Invalid idx", close=method == "POST")
        seq = int(text)
        if channel is None:
            channel = self.directory.create(name, request.headers.get("Content-Type", ""))
        if reading:
            return await self._read(request, channel, seq)
        if method == "POST":
            return await self._publish(request, channel, seq)
        return _delete(channel, seq)

    async def _read(
        self, request: web.BaseRequest, channel: Channel, seq: int
    ) -> web.StreamResponse:
        segment = channel.to_read(seq)
        if segment is None:
            return _missing(channel, seq)
        latest = channel.next_write
        segment.hold()
        try:
            with _Waker(segment) as waker:
                while not len(segment) and not segment.closed:
                    await waker.wait()
                if not len(segment):
                    return _empty(channel, segment)
                headers = {wire.SEQ: str(segment.seq), "Content-Type": channel.mime}
                if latest != segment.seq:
                    headers[wire.LATEST] = str(latest)
                return await _follow(request, segment, waker, headers)
        finally:
            segment.release()

    async def _publish(
        self, request: web.BaseRequest, channel: Channel, seq: int
    ) -> web.StreamResponse:
        if seq == wire.NEXT:
            seq = channel.next_write
        if request.headers.get(wire.RESET):
            channel.reset(seq)
        segment = channel.to_write(seq)
        if segment is None:
            return self._over(channel, seq)
        if request.headers.get("Expect", "").lower() == "100-continue":
            _go_on(request)
        try:
            first = await self._first(request, segment)
            if first is None:
                return self._over(channel, seq)
            channel.began(seq, self._clock())
            segment.append(first)
            while data := await request.content.readany():
                segment.append(data)
        except LimitReached as exc:
            return _plain(413 if isinstance(exc, TooLong) else 503, str(exc), close=True)
        except (OSError, ClientError, web.RequestPayloadError):
            # The segment stays open: another connection may go on with it.
            return _plain(500, "Error reading body", close=True)
        segment.close()
        return _answered({wire.SEQ: str(seq)})

    async def _first(self, request: web.BaseRequest, segment: Segment) -> bytes | None:
        """The first bytes of a body, b"" at its end, None when the segment ended meanwhile."""
        while not segment.closed:
            try:
                async with asyncio.timeout(self._interim_s) as patience:
                    wake = partial(_end, patience)
                    segment.wakers.add(wake)
                    try:
                        return await request.content.readany()
                    finally:
                        segment.wakers.discard(wake)
            except TimeoutError:
                if not segment.closed:
                    _go_on(request)
        return None

    def _over(self, channel: Channel, seq: int) -> web.StreamResponse:
        """The answer to a publisher whose bytes are not wanted."""
        channel.began(seq, self._clock())
        headers = {wire.SEQ: str(seq), "Connection": "close"}
        if channel.closed:
            headers[wire.CLOSED] = wire.TERMINATED
        return _answered(headers)


class _Connections(web.Server):
    """aiohttp's server, with a limit to its connections."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        most: int,
        head_s: float,
    ) -> None:
        super().__init__(
            answer,
            handler_cancellation=True,
            access_log=None,
            logger=SERVER_LOG,
            auto_decompress=False,
            # Counts until a whole head is there, from the start and after each answer.
            keepalive_timeout=head_s,
            lingering_time=LINGER_S,
        )
        self._most: Final = most
        self._transports: Final[dict[RequestHandler, asyncio.Transport]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        full = len(self.connections) >= self._most
        super().connection_made(handler, transport)
        if full:
            transport.write(_FULL)
            transport.close()
        self._transports[handler] = transport

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self._transports.pop(handler, None)
        super().connection_lost(handler, exc)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        self.pre_shutdown()
        await super().shutdown(timeout)
        # Closing waits for a reader that takes nothing.
        for transport in self._transports.values():
            transport.abort()


class _Waker:
    """Waits for news of a segment."""

    def __init__(self, segment: Segment) -> None:
        self._segment: Final = segment
        self._news: Final = asyncio.Event()

    def __enter__(self) -> "_Waker":
        self._segment.wakers.add(self._news.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._segment.wakers.discard(self._news.set)

    async def wait(self) -> None:
        """Until something happened since the last wait."""
        await self._news.wait()
        self._news.clear()


class _Every:
    """Calls something again and again."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, call: Callable[[], None]
    ) -> None:
        self._loop: Final = loop
        self._seconds: Final = seconds
        self._call: Final = call
        self._timer = loop.call_later(seconds, self._due)

    def stop(self) -> None:
        """No further call."""
        self._timer.cancel()

    def _due(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._due)
        self._call()


def run(server: TrickleServer, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. OSError when the port is taken."""
    asyncio.run(_run(server, host, port, started))


async def _run(server: TrickleServer, host: str, port: int, started: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with server.serving(host, port) as address:
        started(address)
        await ended.wait()


async def _follow(
    request: web.BaseRequest, segment: Segment, waker: _Waker, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    if request.method != "HEAD":
        response.enable_chunked_encoding()
    await response.prepare(request)
    at = 0
    while request.method != "HEAD":
        data = segment.read(at, PIECE)
        if data:
            at += len(data)
            await _give(request, response, data)
        elif segment.closed:
            break
        else:
            await waker.wait()
    await response.write_eof()
    return response


async def _give(request: web.BaseRequest, response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(STALL_S):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the reader takes nothing") from None


def _delete(channel: Channel, seq: int) -> web.StreamResponse:
    segment = channel.segment(seq)
    if segment is None:
        return _plain(400, "Nonexistent segment")
    segment.close()
    return _answered({})


def _next(channel: Channel) -> web.StreamResponse:
    text = str(channel.next_write)
    return web.Response(text=text, headers={wire.LATEST: text})


def _missing(channel: Channel, seq: int) -> web.StreamResponse:
    return web.Response(
        status=wire.NO_SUCH_SEGMENT,
        reason="Entry not found",
        text="Entry not found",
        headers={wire.LATEST: str(channel.next_write), wire.SEQ: str(seq)},
    )


def _empty(channel: Channel, segment: Segment) -> web.StreamResponse:
    headers = {wire.SEQ: str(segment.seq), wire.LATEST: str(channel.next_write)}
    if channel.closed:
        headers[wire.CLOSED] = wire.TERMINATED
    return _answered(headers)


def _answered(headers: dict[str, str]) -> web.StreamResponse:
    """200 with nothing in it."""
    response = web.Response(headers=CIMultiDict(headers))
    if headers.get("Connection") == "close":
        response.force_close()
    return response


def _plain(
    status: int, text: str, headers: dict[str, str] | None = None, *, close: bool = False
) -> web.StreamResponse:
    response = web.Response(status=status, text=f"{text}\n", headers=headers or {})
    if close:
        response.headers["Connection"] = "close"
        response.force_close()
    return response


def _end(patience: asyncio.Timeout) -> None:
    # A second call, before the first has taken effect, must not raise.
    if not patience.expired():
        patience.reschedule(asyncio.get_running_loop().time())


def _go_on(request: web.BaseRequest) -> None:
    if request.transport is not None and request.version >= (1, 1):
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
