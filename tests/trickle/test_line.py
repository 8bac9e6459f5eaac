"""A line on a socket: who may write to it, when, and in what order it comes out."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trustme

from composer.trickle.line import Line
from tests.server.streams import ran

PIECE = b"\x47" * 100_000


class _Peer:
    """The other side: it reads nothing before it may."""

    def __init__(self) -> None:
        self.may, self.ended, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.came = bytearray()
        self.there: asyncio.Future[asyncio.StreamWriter] = asyncio.Future()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.there.set_result(writer)
        await self.may.wait()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                self.came += data
        writer.close()
        self.ended.set()


@asynccontextmanager
async def connected(
    server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[_Peer, asyncio.Transport, Line]]:
    peer = _Peer()
    listening = await asyncio.start_server(peer.take, "127.0.0.1", 0, ssl=server)
    port = listening.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port, ssl=client)
    await peer.there
    line = Line(transport, peer.left.set)
    try:
        yield peer, transport, line
    finally:
        line.close()
        transport.close()
        peer.may.set()
        await peer.ended.wait()
        listening.close()
        await listening.wait_closed()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_another_thread_writes_while_it_is_open_and_the_loop_does_not_hear_of_it() -> None:
    async def test() -> None:
        async with connected() as (peer, transport, line):
            assert not await asyncio.to_thread(line.send, b"early")
            line.open()
            assert await asyncio.to_thread(line.send, b"one")
            assert line.write(b"two")
            assert await asyncio.to_thread(line.send, b"three")
            line.close_up()
            assert not await asyncio.to_thread(line.send, b"late")
            assert not line.write(b"late")
            line.close()
            transport.close()
            peer.may.set()
            await peer.ended.wait()
            assert not peer.left.is_set()
            assert peer.came == chunk(b"one") + chunk(b"two") + chunk(b"three")

    ran(test)


def test_what_the_network_leaves_of_a_piece_goes_before_all_that_comes_later() -> None:
    async def test() -> None:
        async with connected() as (peer, transport, line):
            line.open()
            count = 0
            while await asyncio.to_thread(line.send, PIECE):
                count += 1
            assert count
            if line.rest:
                await peer.left.wait()
            assert not line.write(PIECE)  # it would overtake what was left
            line.open()
            assert not line.write(PIECE)
            line.close_up()
            assert not line.rest
            transport.write(b"last")
            line.close()
            peer.may.set()
            transport.close()
            await peer.ended.wait()
            assert bytes(peer.came) == chunk(PIECE) * count + b"last"

    ran(test)


def test_it_stays_shut_while_the_transport_holds_anything() -> None:
    async def test() -> None:
        async with connected() as (_, transport, line):
            while not transport.get_write_buffer_size():
                transport.write(PIECE)
            line.open()
            assert not line.write(b"x")
            assert not await asyncio.to_thread(line.send, b"x")
            assert not line.used

    ran(test)


def test_a_connection_that_broke_takes_nothing() -> None:
    async def test() -> None:
        async with connected() as (peer, _, line):
            line.open()
            (await peer.there).transport.abort()
            while await asyncio.to_thread(line.send, PIECE):
                pass  # until the other side has said that it is gone
            assert not line.rest

    ran(test)


def test_through_tls_only_the_loop_writes() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)

    async def test() -> None:
        async with connected(server, client) as (peer, transport, line):
            line.open()
            assert not await asyncio.to_thread(line.send, b"x")
            assert line.write(b"x")
            line.close()
            transport.close()
            peer.may.set()
            await peer.ended.wait()
            assert peer.came == chunk(b"x")

    ran(test)


def test_nothing_is_no_piece() -> None:
    """A chunk of no bytes would end the body."""

    async def test() -> None:
        async with connected() as (peer, transport, line):
            line.open()
            assert line.write(b"")
            assert line.send(b"")
            assert not line.used
            assert line.write(b"x")
            line.close()
            transport.close()
            peer.may.set()
            await peer.ended.wait()
            assert bytes(peer.came) == chunk(b"x")

    ran(test)
