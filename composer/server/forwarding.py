"""Forwarding: requests that reach a process behind which another one serves already.

Connections outlive the moment at which sockets change hands, and whoever keeps one open asks on it
again. Such requests are passed on, and their connections closed behind the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from aiohttp import web

_OF_THE_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection (RFC 9110, 7.6.1)."""


class Forwarding:
    """Passes on what comes while it has an address to pass it on to."""

    def __init__(self) -> None:
        self.idle: Final = asyncio.Event()
        """Set while no request about a stream is being answered here."""

        self.idle.set()
        self._answering = 0
        self._to = ""
        self._http: aiohttp.ClientSession | None = None

    def begin(self, address: str) -> None:
        """What comes from now on is another process's."""
        self._to = address
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=None)
            self._http = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)

    def end(self) -> None:
        """What comes from now on is answered here again."""
        self._to = ""

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    @web.middleware
    async def middleware(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Around all routes."""
        if self._to and self._http is not None:
            return await self._passed_on(request, self._http)
        if "/process" in request.path:  # a job: it is done here, however long it takes
            return await handler(request)
        self._answering += 1
        self.idle.clear()
        try:
            return await handler(request)
        finally:
            self._answering -= 1
            if not self._answering:
                self.idle.set()

    async def _passed_on(
        self, request: web.Request, http: aiohttp.ClientSession
    ) -> web.StreamResponse:
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_HOP
        ]
        async with http.request(
            request.method,
            f"{self._to}{request.raw_path}",
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _OF_THE_HOP:
                    response.headers.add(name, value)
            response.force_close()
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response
