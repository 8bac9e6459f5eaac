"""Connection: one of a client. What it cannot read is refused as everything else is.

Of a request that is no HTTP no handler hears, and aiohttp answers it in plain text. It is not
logged: anybody can send it, and what it holds may be a secret.
"""

import asyncio
from typing import Final

from aiohttp import web

from composer.server.routes import refusal

PIECE: Final = 64 << 10
"""Bytes that are taken from a socket at once. A client can make ten thousand chunks of them, each
with its own cost, and the loop has no turn in between.
"""


class HttpConnection(web.RequestHandler):
    """Reads requests, and has them answered."""

    __slots__ = ()

    @property
    def is_idle(self) -> bool:
        """Whether no request of it has come, or the last one is answered."""
        return self._current_request is None and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if hasattr(transport, "max_size"):  # asyncio's own; other loops have a limit that is fixed
            transport.max_size = PIECE
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer, behind which the connection is closed. Raises ConnectionError where another
        one was begun already.
        """
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size:
            raise ConnectionError("an answer was begun already")
        first = (message or "it is no HTTP").strip().split("\n")[0].rstrip(": ")
        answer = refusal(status, f"the request cannot be read: {first}")
        answer.force_close()
        return answer


class _HttpServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return HttpConnection(self, loop=self._loop, **self._kwargs)


class HttpRunner(web.AppRunner):
    """An AppRunner whose connections are these."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _HttpServer
        return server
