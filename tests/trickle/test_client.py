"""GETs of our own on sockets, where the other side does what it may, and what it may not."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme
from yarl import URL

from composer.trickle import connection
from composer.trickle.client import (
    INTERIM_RATE,
    LONGEST_HEAD,
    MOST_INTERIM,
    Client,
    Response,
)
from composer.trickle.connection import ServerConnection
from composer.trickle.framing import LAST_CHUNK, chunk
from composer.trickle.http import open_http
from composer.trickle.resolver import Resolver
from tests import clocks
from tests.server.streams import ran

OK = b"HTTP/1.1 200 OK\r\nLp-Trickle-Seq: 7\r\nContent-Length: 5\r\n\r\nhello"


class Scripted:
    """A server that answers each request by the next piece of its script, on whatever connection it
    comes; None closes the connection.
    """

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None] | None] = set()
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if (answer := self._answers.pop(0)) is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(
    *answers: bytes | None, tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Scripted, Client, str]]:
    scripted = Scripted(answers)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    client = Client(Resolver(), lambda: trust or ssl.create_default_context())
    try:
        scheme = "http" if tls is None else "https"
        yield scripted, client, f"{scheme}://localhost:{port}"
    finally:
        client.close()
        server.close()
        await asyncio.sleep(0)
        for task in filter(None, scripted.tasks):
            task.cancel()
        await asyncio.gather(*filter(None, scripted.tasks), return_exceptions=True)


async def whole(response: Response) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    response.close()
    return b"".join(pieces)


def test_it_asks_as_aiohttp_does() -> None:
    async def test() -> None:
        async with serving(OK, OK) as (scripted, client, base):
            path = f"{base}/ai/trickle/a%20b-c?x=%C3%A4"
            response = await client.get(path)
            assert (response.status, response.headers["lp-trickle-seq"]) == (200, "7")
            assert await whole(response) == b"hello"
            assert response.whole
            async with aiohttp.ClientSession() as http, http.get(path) as theirs:
                assert await theirs.read() == b"hello"
        ours, reference = ([*head.split(b"\r\n")] for head in scripted.heads)
        assert ours[:2] == reference[:2]
        names = {line.split(b":")[0] for line in reference[1:]} - {b"Accept-Encoding"}
        assert {line.split(b":")[0] for line in ours[1:]} == names

    ran(test)


def test_a_connection_serves_the_next_request() -> None:
    async def test() -> None:
        async with serving(OK, OK, OK) as (scripted, client, base):
            for _ in range(3):
                assert await whole(await client.get(base)) == b"hello"
            assert scripted.connections == 1

    ran(test)


def test_one_that_its_server_closed_meanwhile_is_made_anew() -> None:
    async def test() -> None:
        async with serving(OK, None, OK) as (scripted, client, base):
            assert await whole(await client.get(base)) == b"hello"
            assert await whole(await client.get(base)) == b"hello"
            assert scripted.connections == 2

    ran(test)


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK + b"what nobody asked for",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
def test_a_connection_that_is_not_clean_is_not_used_again(answer: bytes) -> None:
    async def test() -> None:
        async with serving(answer, OK) as (scripted, client, base):
            response = await client.get(base)
            assert await response.read() == b"hello"
            response.close()
            assert await whole(await client.get(base)) == b"hello"
            assert scripted.connections == 2

    ran(test)


def test_interim_answers_are_gone_by_and_counted() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"

    async def test() -> None:
        async with serving(interim * MOST_INTERIM + OK) as (_, client, base):
            assert await whole(await client.get(base)) == b"hello"
        async with serving(interim * (MOST_INTERIM + 1) + OK) as (_, client, base):
            with pytest.raises(ConnectionError, match="interim"):
                await client.get(base)

    ran(test)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (LONGEST_HEAD + 1),
    ],
    ids=[
        "nothing",
        "another protocol",
        "no status",
        "no header",
        "no length",
        "two lengths",
        "101",
        "no end",
    ],
)
@pytest.mark.fault("F-77")
def test_what_is_no_answer_is_an_error(answer: bytes | None) -> None:
    async def test() -> None:
        async with serving(answer) as (_, client, base):
            with pytest.raises(ConnectionError):
                await client.get(base)

    ran(test)


@pytest.mark.parametrize("address", ["http://[::1", "http://a" + "b" * 64 + ".example:1/"])
def test_an_address_that_cannot_be_used_is_an_error(address: str) -> None:
    async def test() -> None:
        client = Client(Resolver(), ssl.create_default_context)
        with pytest.raises(OSError, match="no address"):
            await client.get(address)

    ran(test)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.05)

    async def test() -> None:
        async with serving(OK) as (_, client, base):  # a handshake that gets no answer
            with pytest.raises(ConnectionError, match="took too long"):
                await client.get(base.replace("http", "https"))

    ran(test)


CA = trustme.CA()


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(context)
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def test_tls_is_read_in_threads_too() -> None:
    body = bytes(range(256)) * 8000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def test() -> None:
        async with serving(head + body, tls=tls(), trust=trusting()) as (_, client, base):
            response = await client.get(base)
            came = bytearray()

            def read() -> None:
                while not response.over:
                    response.pour(came.extend)

            await asyncio.to_thread(read)
            assert came == body
            assert response.whole
            response.close()

    ran(test)


@pytest.mark.fault("F-17")
def test_a_certificate_that_nobody_vouches_for_is_an_error() -> None:
    async def test() -> None:
        async with serving(OK, tls=tls()) as (_, client, base):
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.get(base)

    ran(test)


def test_threads_and_the_loop_give_the_bytes_in_their_order() -> None:
    chunks = b"".join(b"4\r\n%04d\r\n" % number for number in range(3000))
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"

    async def test() -> None:
        async with serving(answer) as (_, client, base):
            response = await client.get(base)
            came = bytearray()

            def read() -> None:
                while not response.over:
                    response.pour(came.extend)

            threads = [threading.Thread(target=read) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert came == b"".join(b"%04d" % number for number in range(3000))
            response.close()

    ran(test)


@pytest.mark.fault("F-19")
def test_a_body_that_breaks_off_is_told() -> None:
    async def test() -> None:
        async with serving(OK[:-2]) as (scripted, client, base):
            response = await client.get(base)
            assert await response.read() == b"hel"
            for task in filter(None, scripted.tasks):
                task.cancel()
            with pytest.raises(ConnectionError):
                await response.read()
            assert response.over
            assert not response.whole
            response.close()

    ran(test)


@pytest.mark.fault("F-77")
def test_interim_answers_without_end_break_a_request_off() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
                await writer.drain()
        writer.transport.abort()

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with open_http() as http:
            with pytest.raises(aiohttp.ClientConnectionError):
                await http.post(f"http://127.0.0.1:{port}/ch/0", data=b"x")
        server.close()
        await server.wait_closed()

    ran(test)


@pytest.mark.parametrize("count", [0, MOST_INTERIM])
def test_some_of_them_are_gone_by(count: int) -> None:
    async def test() -> None:
        async with serving(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count + OK) as (_, client, base):
            del client
            async with open_http() as http, http.get(base) as response:
                assert await response.read() == b"hello"

    ran(test)


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def body(connection: ServerConnection) -> None:
    await connection.write(chunk(b"hello") + LAST_CHUNK)


async def endless(connection: ServerConnection) -> None:
    while True:
        await connection.write(chunk(b"x" * 100_000))
        await asyncio.sleep(0)


def test_a_post_is_answered_when_its_body_is_out_and_leaves_its_connection_to_the_next() -> None:
    async def test() -> None:
        # What it takes for heads are the bodies, too.
        async with serving(b"", EMPTY, b"", EMPTY) as (scripted, client, base):
            for _ in range(2):
                response = await client.post(f"{base}/ch/0", {"Content-Type": "video/MP2T"}, body)
                assert response.status == 200
                response.close()
            assert scripted.connections == 1
            lines = scripted.heads[0].split(b"\r\n")
            assert lines[0] == b"POST /ch/0 HTTP/1.1"
            assert b"Content-Type: video/MP2T" in lines
            assert b"Transfer-Encoding: chunked" in lines
            assert scripted.heads[1] == b"5\r\nhello\r\n0\r\n\r\n"

    ran(test)


def test_an_answer_that_comes_before_the_body_ends_is_the_answer() -> None:
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    async def test() -> None:
        async with serving(gone, EMPTY) as (scripted, client, base):
            response = await client.post(base, {}, endless)
            assert response.status == 404
            response.close()
            (await client.post(base, {}, body)).close()
            assert scripted.connections == 2  # nobody knows what of the first body is on its way

    ran(test)


def test_a_post_whose_connection_breaks_is_an_error() -> None:
    async def test() -> None:
        async with serving(None) as (_, client, base):
            with pytest.raises(ConnectionError):
                await client.post(base, {}, endless)

    ran(test)


def test_a_post_that_nobody_wants_any_more_is_broken_off() -> None:
    async def test() -> None:
        async with serving(b"") as (scripted, client, base):
            begun = asyncio.Event()

            async def feed(connection: ServerConnection) -> None:
                await connection.write(chunk(b"x"))
                begun.set()
                await asyncio.Event().wait()

            posting = asyncio.ensure_future(client.post(base, {}, feed))
            await begun.wait()
            posting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await posting
            await asyncio.gather(*filter(None, scripted.tasks))  # the server sees it end

    ran(test)


def test_interim_answers_may_come_for_as_long_as_they_take_their_time() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(40):
            await asyncio.sleep(1 / INTERIM_RATE)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(OK)
        writer.close()

    async def test() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = Client(Resolver(), ssl.create_default_context)
            assert await whole(await client.get(f"http://127.0.0.1:{port}/")) == b"hello"
            client.close()

    clocks.ran_skipping(test)


def test_a_small_piece_does_not_wait_for_the_one_before_it() -> None:
    async def test() -> None:
        async with serving(OK) as (_, client, base):
            opened = await ServerConnection.open(URL(base), Resolver(), None)
            with socket.socket(fileno=os.dup(opened.fileno)) as sock:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            opened.close()
            client.close()

    ran(test)
