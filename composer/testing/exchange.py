"""Exchange: one request to a server that a test plays, to be answered byte by byte."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Exchange:
    """One request whose head has come, and the connection that it came on.

    number: how many requests of its method came before it. seq: the segment that it asks for;
    where it asks for the newest (-1), `number` stands for it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    number: int
    seq: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    over: bool = field(default=False)
    """Whether nothing more is read from this connection."""

    async def say(self, data: bytes) -> None:
        """Send these bytes. Raises ConnectionError where nobody takes them any more."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, **headers: object) -> None:
        """Send the head of an answer; headers: `Lp_Trickle_Seq=3` is `Lp-Trickle-Seq: 3`."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.say("\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode())

    async def answer(self, status: int = 200, body: bytes = b"", **headers: object) -> None:
        """Send a whole answer."""
        await self.head(status, Content_Length=len(body), **headers)
        if body:
            await self.say(body)

    async def body(self) -> bytes:
        """What the request brings, up to its end."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return await self.reader.readexactly(int(self.headers.get("content-length", 0)))
        pieces = []
        while size := int((await self.reader.readline()).partition(b";")[0], 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readline()
        return b"".join(pieces)

    def finish(self) -> None:
        """End the connection in good order (FIN), when what was said has gone."""
        self.over = True

    def reset(self) -> None:
        """Break the connection off (RST)."""
        self.over = True
        taken: socket.socket = self.writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


async def taken(exchange: Exchange) -> None:
    """Take what is sent, and say so: what an honest server does with a POST, and with a DELETE."""
    await exchange.body()
    await exchange.answer()


async def absent(exchange: Exchange) -> None:
    """There is no such channel."""
    await exchange.body()
    await exchange.answer(404)
