"""A trickle server and plain sockets to it: what counts here are the bytes on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from composer.trickle.server import TrickleServer

WAIT: Final = 20.0
"""Seconds after which a wait is a deadlock."""


def ran(what: Awaitable[None]) -> None:
    """Run it in a loop of its own, for WAIT at the longest."""

    async def bounded() -> None:
        async with asyncio.timeout(WAIT):
            await what

    asyncio.run(bounded())


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader: Final = reader
        self.writer: Final = writer

    async def send(self, data: bytes) -> None:
        """These bytes and no others."""
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, method: str, path: str, *lines: str) -> None:
        """A request head, without its body."""
        head = [f"{method} {path} HTTP/1.1", "Host: test", *lines, "", ""]
        await self.send("\r\n".join(head).encode())

    async def post(self, path: str, *lines: str) -> None:
        """The head of a POST whose body comes piece by piece."""
        await self.ask("POST", path, "Transfer-Encoding: chunked", *lines)

    async def piece(self, data: bytes) -> None:
        """A piece of a body; the empty one ends it."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def head(self) -> Answer:
        """Status and headers of the next answer, interim ones too."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        named = (line.split(":", 1) for line in lines[1:] if line)
        return Answer(int(lines[0].split(" ")[1]), {k.lower(): v.strip() for k, v in named})

    async def chunk(self) -> bytes:
        """One piece of a chunked answer."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def answer(self) -> Answer:
        """The next answer that is not interim, whole."""
        while (head := await self.head()).status == 100:
            pass
        body = b""
        if "content-length" in head.headers:
            body = await self.reader.readexactly(int(head.headers["content-length"]))
        elif head.headers.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                body += piece
        return Answer(head.status, head.headers, body)

    def close(self) -> None:
        """Leave at once."""
        self.writer.transport.abort()


class Wires:
    """Connections to one server."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host: Final = parts.hostname
        self._port: Final = parts.port
        self._open: Final[list[Wire]] = []

    async def open(self) -> Wire:
        """A new connection."""
        self._open.append(wire := Wire(*await asyncio.open_connection(self._host, self._port)))
        return wire

    async def ask(self, method: str, path: str, body: bytes = b"", *lines: str) -> Answer:
        """One request on a connection of its own, and its answer."""
        wire = await self.open()
        await wire.ask(method, path, f"Content-Length: {len(body)}", *lines)
        await wire.send(body)
        return await wire.answer()

    def close(self) -> None:
        """Leave all of them."""
        for wire in self._open:
            wire.close()


@asynccontextmanager
async def wired(**options: Any) -> AsyncIterator[tuple[TrickleServer, Wires]]:
    """A server on a socket."""
    server = TrickleServer(**options)
    async with server.serving() as address:
        wires = Wires(address)
        try:
            yield server, wires
        finally:
            wires.close()
