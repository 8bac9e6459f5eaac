"""The other end of the wire, as a test scripts it: one answer for each request, in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from composer.trickle import wire

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """One request: what came of it. body grows while it is read."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


SEEN: Final = web.RequestKey("seen", Seen)


class Stub:
    """Answers the requests of each method by a script; the last answer stays."""

    def __init__(self, **scripts: Iterable[Answer]) -> None:
        self.seen: list[Seen] = []
        self.came: Final = asyncio.Event()
        self._scripts = {method: list(answers) for method, answers in scripts.items()}

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/ch"
        finally:
            await runner.cleanup()

    def requests(self, method: str) -> list[str]:
        """Paths of the requests so far."""
        return [each.path for each in self.seen if each.method == method]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds; looked at after each request."""
        while not holds():
            self.came.clear()
            await self.came.wait()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = Seen(request.method, request.path, dict(request.headers))
        request[SEEN] = seen
        self.seen.append(seen)
        self.came.set()
        script = self._scripts.get(request.method, [status(200)])
        answer = script.pop(0) if len(script) > 1 else script[0]
        return await answer(request)


def status(code: int, *, body: bytes = b"", **headers: str) -> Answer:
    """Read the request, then answer."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        async for data in request.content.iter_any():
            request[SEEN].body.extend(data)
        named = {_NAMES[key]: value for key, value in headers.items()}
        return web.Response(status=code, body=body, headers=named)

    return answer


def early(code: int, **headers: str) -> Answer:
    """Answer without reading the request."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        named = {_NAMES[key]: value for key, value in headers.items()}
        response = web.Response(status=code, headers=named)
        response.force_close()
        return response

    return answer


def reset(*, after: int = 0) -> Answer:
    """Read so many bytes of the request, then break the connection."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        while len(request[SEEN].body) < after:
            request[SEEN].body.extend(await request.content.readany())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def behind(may_read: asyncio.Event) -> Answer:
    """Read the request only when it may be, then answer."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await may_read.wait()
        return await status(200)(request)

    return answer


def never() -> Answer:
    """Answer nothing, as a server whose segment has no byte yet."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    return answer


def broken(data: bytes, seq: int) -> Answer:
    """Give some bytes of a segment, then break the connection."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={wire.SEQ: str(seq)})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(data)
        await asyncio.sleep(0.02)  # what is in flight when a connection breaks may be lost
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


def pieces(*data: bytes, seq: int) -> Answer:
    """Give a segment piece by piece, to its end."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={wire.SEQ: str(seq)})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in data:
            await response.write(piece)
            await asyncio.sleep(0.02)  # so that they are read one by one
        return response

    return answer


def open_for_ever(data: bytes, seq: int) -> Answer:
    """Give some bytes of a segment and leave it open, as when its publisher died."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={wire.SEQ: str(seq)})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(data)
        await asyncio.Event().wait()
        return response

    return answer


_NAMES: Final = {
    "seq": wire.SEQ,
    "latest": wire.LATEST,
    "closed": wire.CLOSED,
    "location": "Location",
}
