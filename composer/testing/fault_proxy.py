"""A proxy that stands before a server and spoils what goes through it, the same way each time.

    async with FaultProxy(server, Fault(cut_after=5000, reset=True)).serving() as address:
        ...                                    # talk to `address` instead of `server`

A `Fault` is for one connection. Several take turns in their order, and the last one stays; a fault
may be set while connections are open and holds for those that come then.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

READ: Final = 64 * 1024
LONGEST_HEAD: Final = 64 * 1024
INTERIM: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Fault:
    """What becomes of a connection. Of what the server says, unless `upwards`: of what it is told.

    delay: seconds before each piece goes on. rate: bytes in a second, 0 for as they come. piece:
    the most bytes that go on at once, 0 for as they come. cut_after: bytes after which the
    connection ends, by FIN or, with `reset`, by RST. stall_after: bytes after which nothing more
    goes on while the connection stays open. corrupt: the chance of each byte behind the head to be
    another one.

    Of the head of an answer: status: another one. drop, double: names of headers that are left out,
    or come twice. redirect: an address to which the answer leads. interim: so many `100 Continue`
    before it. A connection serves one request then.
    """

    delay: float = 0.0
    rate: float = 0.0
    piece: int = 0
    cut_after: int | None = None
    reset: bool = False
    stall_after: int | None = None
    corrupt: float = 0.0
    upwards: bool = False
    status: int = 0
    drop: str = ""
    double: str = ""
    redirect: str = ""
    interim: int = 0

    @property
    def of_head(self) -> bool:
        """Whether it spoils the head of an answer."""
        return bool(self.status or self.drop or self.double or self.redirect or self.interim)


class FaultProxy:
    """Between clients and the server at an address of http. seed: of what chance decides; a
    connection has its own sequence, so the order in which bytes of others come changes nothing.
    """

    def __init__(self, target: str, *faults: Fault, seed: int = 0) -> None:
        parts = urlsplit(target)
        self.connections = 0
        """How many came so far."""

        self._target: Final = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._path: Final = parts.path
        self._seed: Final = seed
        self._faults = list(faults)
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Listen while the block runs; the address, with the path of the server's."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._path}"
        finally:
            server.close()
            await self.drop_all()

    def set(self, *faults: Fault) -> None:
        """What becomes of the connections that come from now on; of none, nothing does."""
        self._faults = list(faults)

    async def drop_all(self) -> None:
        """End all connections that are open, as when a server is killed."""
        for connection in self._open:
            connection.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chance = random.Random(f"{self._seed}:{self.connections}")
        self.connections += 1
        fault = self._next()
        connection = asyncio.ensure_future(_through(self._target, fault, chance, reader, writer))
        self._open.add(connection)
        connection.add_done_callback(self._open.discard)

    def _next(self) -> Fault:
        if not self._faults:
            return Fault()
        return self._faults.pop(0) if len(self._faults) > 1 else self._faults[0]


async def _through(
    target: tuple[str, int],
    fault: Fault,
    chance: random.Random,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Carry one connection until one of its sides ends it."""
    ends = [writer]
    try:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            above, to_server = await asyncio.open_connection(*target, limit=LONGEST_HEAD)
            ends.append(to_server)
            spoil, clean = _Spoiler(fault, chance), _Spoiler(Fault(), chance)
            up, down = (spoil, clean) if fault.upwards else (clean, spoil)
            if fault.of_head:
                to_server.write(_once(await reader.readuntil(b"\r\n\r\n")))
                await _head(above, writer, fault)
            carrying = [
                asyncio.ensure_future(up.carry(reader, to_server)),
                asyncio.ensure_future(down.carry(above, writer)),
            ]
            try:
                await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in carrying:
                    each.cancel()
                await asyncio.wait(carrying)
            if spoil.broke:
                for end in ends:
                    _reset(end)
    finally:
        for end in ends:
            end.close()


async def _head(above: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
    """Pass on the head of an answer, spoilt."""
    head = await above.readuntil(b"\r\n\r\n")
    while head.split(b" ", 2)[1].startswith(b"1"):
        writer.write(head)
        head = await above.readuntil(b"\r\n\r\n")
    for _ in range(fault.interim):
        writer.write(INTERIM)
        await writer.drain()
    writer.write(b"\r\n".join([*_lines(head, fault), b"", b""]))
    await writer.drain()


def _lines(head: bytes, fault: Fault) -> Iterator[bytes]:
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    status = 302 if fault.redirect else fault.status
    yield b"HTTP/1.1 %d Spoilt" % status if status else first
    if fault.redirect:
        yield b"Location: " + fault.redirect.encode()
    yield b"Connection: close"
    for line in lines:
        name = line.partition(b":")[0].strip().lower().decode("latin-1")
        if name in ("connection", fault.drop.lower()):
            continue
        yield line
        if name == fault.double.lower():
            yield line


def _once(head: bytes) -> bytes:
    """A request that is the last of its connection."""
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([kept[0], b"Connection: close", *kept[1:]])


class _Spoiler:
    """One direction of a connection."""

    def __init__(self, fault: Fault, chance: random.Random) -> None:
        self.broke = False
        """Whether the connection is to end by RST."""

        self._fault, self._chance = fault, chance
        self._gone = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, to the end of one of the two or to that of the fault."""
        fault, head = self._fault, b""
        with contextlib.suppress(OSError):
            while data := await reader.read(fault.piece or READ):
                if fault.corrupt:
                    head, data = self._behind_head(head, data)
                for part in self._allowed(data):
                    await self._send(part, writer)
                if fault.stall_after is not None and self._gone >= fault.stall_after:
                    await asyncio.Event().wait()
                if fault.cut_after is not None and self._gone >= fault.cut_after:
                    self.broke = fault.reset
                    return

    def _allowed(self, data: bytes) -> Iterator[bytes]:
        limits = (self._fault.cut_after, self._fault.stall_after)
        room = min([limit - self._gone for limit in limits if limit is not None], default=len(data))
        data = data[: max(room, 0)]
        size = self._fault.piece or len(data) or 1
        yield from (data[at : at + size] for at in range(0, len(data), size))

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        wait = self._fault.delay + (len(data) / self._fault.rate if self._fault.rate else 0.0)
        if wait:
            await asyncio.sleep(wait)
        writer.write(data)
        await writer.drain()
        self._gone += len(data)

    def _behind_head(self, head: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Spoil bytes of a body; what belongs to the first head is left as it is."""
        if b"\r\n\r\n" in head[-LONGEST_HEAD:]:
            return head, self._spoilt(data)
        head += data
        begun = head.find(b"\r\n\r\n")
        if begun < 0:
            return head, data
        inside = len(data) - (len(head) - begun - 4)
        return b"\r\n\r\n", data[:inside] + self._spoilt(data[inside:])

    def _spoilt(self, data: bytes) -> bytes:
        chance, share = self._chance, self._fault.corrupt
        if share >= 1:
            return chance.randbytes(len(data))
        spoilt = bytearray(data)
        at = int(chance.expovariate(share))
        while at < len(spoilt):
            spoilt[at] ^= chance.randrange(1, 256)
            at += 1 + int(chance.expovariate(share))
        return bytes(spoilt)


def _reset(writer: asyncio.StreamWriter) -> None:
    taken: socket.socket | None = writer.get_extra_info("socket")
    if taken is not None and not writer.transport.is_closing():
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
