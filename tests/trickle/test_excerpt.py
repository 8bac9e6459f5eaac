"""A few seconds of a channel, from a real server."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from composer.errors import ChannelEnded
from composer.trickle import excerpt
from composer.trickle.excerpt import Excerpt
from composer.trickle.http import open_http
from composer.trickle.server import TrickleServer
from tests.media import transport

Test = Callable[[aiohttp.ClientSession, str], Awaitable[None]]


def ran(test: Test) -> None:
    async def run() -> None:
        async with (
            asyncio.timeout(20),
            TrickleServer().serving() as base,
            open_http() as http,
        ):
            await test(http, base)

    asyncio.run(run())


async def published(http: aiohttp.ClientSession, url: str, *segments: bytes | io.BytesIO) -> None:
    for seq, body in enumerate(segments):
        async with http.post(f"{url}/{seq}", data=body):
            pass


async def taken(
    http: aiohttp.ClientSession, url: str, *, seconds: float = 0.2, most: int = 1 << 20
) -> tuple[Excerpt, bytes]:
    into = io.BytesIO()
    return await excerpt.take(http, url, into, seconds=seconds, most=most), into.getvalue()


def test_what_is_a_channel() -> None:
    async def test(http: aiohttp.ClientSession, base: str) -> None:
        await published(http, f"{base}/in", b"x")
        assert await excerpt.is_channel(http, f"{base}/in")
        assert await excerpt.is_channel(http, f"{base}/in/")
        with pytest.raises(ChannelEnded, match=r"^there is no channel other$"):
            await excerpt.is_channel(http, f"{base}/other")

    ran(test)


def test_what_is_none() -> None:
    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(text="1")

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        async with open_http() as http:
            assert not await excerpt.is_channel(http, f"http://127.0.0.1:{port}/in")
            assert not await excerpt.is_channel(http, "http://host name/in")
            runner = web.ServerRunner(web.Server(page))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            assert not await excerpt.is_channel(http, f"http://127.0.0.1:{port}/in")
            await runner.cleanup()

    asyncio.run(test())


def test_it_begins_with_the_segment_that_is_written_now() -> None:
    async def test(http: aiohttp.ClientSession, base: str) -> None:
        release = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"second"
            await release.wait()

        await published(http, f"{base}/in", b"first")
        writing = asyncio.ensure_future(http.post(f"{base}/in/1", data=slow()))
        while (await (await http.get(f"{base}/in/next")).text()) != "2":
            pass
        found, data = await taken(http, f"{base}/in")
        assert (data, found.segments, found.ended) == (b"second", 1, False)
        release.set()
        (await writing).close()

    ran(test)


def test_a_channel_that_ends() -> None:
    async def test(http: aiohttp.ClientSession, base: str) -> None:
        async def ended() -> None:
            while (await (await http.get(f"{base}/in/next")).text()) != "1":
                pass
            async with http.delete(f"{base}/in"):
                pass

        await published(http, f"{base}/in", b"only")
        reading = asyncio.ensure_future(taken(http, f"{base}/in", seconds=10))
        await ended()
        found, _ = await reading
        assert found.ended

    ran(test)


def test_a_channel_that_nobody_writes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpt, "PATIENCE_SECONDS", 0.1)

    async def test(http: aiohttp.ClientSession, base: str) -> None:
        async with http.post(f"{base}/in"):
            pass
        found, data = await taken(http, f"{base}/in")
        assert (data, found.bytes, found.ended) == (b"", 0, False)

    ran(test)


def test_no_more_is_kept_than_may_be() -> None:
    async def test(http: aiohttp.ClientSession, base: str) -> None:
        await published(http, f"{base}/in", io.BytesIO(bytes(4_000_000)))
        found, data = await taken(http, f"{base}/in", seconds=10, most=1000)
        assert 1000 <= found.bytes == len(data) < 4_000_000

    ran(test)


@pytest.mark.parametrize("cut", [0, 3])
def test_segments_that_do_not_begin_with_the_tables(cut: int) -> None:
    async def test(http: aiohttp.ClientSession, base: str) -> None:
        packets = transport.packets(transport.stream(frames=10))
        await published(http, f"{base}/in", b"".join(packets[cut:]))
        found, _ = await taken(http, f"{base}/in")
        assert found.bare == (1 if cut else 0)

    ran(test)
