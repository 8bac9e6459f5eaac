"""A line on a socket: who may write to it, when, and in what order it comes out."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from yarl import URL

from composer.trickle.connection import ServerConnection
from composer.trickle.framing import chunk
from composer.trickle.line import Line
from composer.trickle.resolver import Resolver
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
        writer.transport.abort()
        self.ended.set()


@asynccontextmanager
async def connected(
    server: ssl.SSLContext | None = None, client: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[_Peer, ServerConnection, Line]]:
    peer = _Peer()
    listening = await asyncio.start_server(peer.take, "127.0.0.1", 0, ssl=server)
    port = listening.sockets[0].getsockname()[1]
    scheme = "http" if server is None else "https"
    url = URL(f"{scheme}://127.0.0.1:{port}")
    connection = await ServerConnection.open(url, Resolver(), client)
    await peer.there
    line = Line(connection, peer.left.set)
    try:
        yield peer, connection, line
    finally:
        line.close()
        connection.close()
        peer.may.set()
        await peer.ended.wait()
        listening.close()
        await listening.wait_closed()


async def all_of(peer: _Peer, connection: ServerConnection) -> bytes:
    connection.read_now()  # what TLS has said: left unread, it would break the connection off
    connection.close()
    peer.may.set()
    await peer.ended.wait()
    return bytes(peer.came)


@pytest.mark.parametrize("secure", [False, True])
def test_another_thread_writes_while_it_is_open_and_the_loop_does_not_hear_of_it(
    secure: bool,  # noqa: FBT001
) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)

    async def test() -> None:
        contexts = (server, client) if secure else ()
        async with connected(*contexts) as (peer, connection, line):
            assert not await asyncio.to_thread(line.send, b"early")
            line.open()
            assert await asyncio.to_thread(line.send, b"one")
            assert line.send(b"two")
            assert await asyncio.to_thread(line.send, b"three")
            await line.close_up()
            assert not await asyncio.to_thread(line.send, b"late")
            assert not peer.left.is_set()
            came = await all_of(peer, connection)
            assert came == chunk(b"one") + chunk(b"two") + chunk(b"three")

    ran(test)


def test_what_the_network_leaves_of_a_piece_goes_before_all_that_comes_later() -> None:
    async def test() -> None:
        async with connected() as (peer, connection, line):
            line.open()
            count = 0
            while await asyncio.to_thread(line.send, PIECE):
                count += 1
            assert count
            await peer.left.wait()
            assert line.rest
            line.open()
            assert not line.send(PIECE)  # it would overtake what was left
            peer.may.set()
            await line.close_up()
            assert not line.rest
            await connection.write(b"last")
            assert await all_of(peer, connection) == chunk(PIECE) * count + b"last"

    ran(test)


def test_a_connection_that_broke_takes_nothing() -> None:
    async def test() -> None:
        async with connected() as (peer, _, line):
            line.open()
            (await peer.there).transport.abort()
            while await asyncio.to_thread(line.send, PIECE):
                pass  # until the other side has said that it is gone
            line.open()
            assert not line.send(b"x")

    ran(test)


def test_nothing_is_no_piece() -> None:
    """A chunk of no bytes would end the body."""

    async def test() -> None:
        async with connected() as (peer, connection, line):
            line.open()
            assert line.send(b"")
            assert not line.used
            assert line.send(b"x")
            assert await all_of(peer, connection) == chunk(b"x")

    ran(test)
