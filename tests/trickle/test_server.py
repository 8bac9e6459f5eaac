"""The trickle server on a socket: refusals, limits, peers that leave."""

import subprocess
import sys

import pytest

from composer.trickle.directory import Limits
from tests.trickle.raw import WAIT, ran, wired


@pytest.mark.parametrize("framed", ["length", "chunked"])
def test_a_publisher_that_leaves_at_once_loses_nothing(framed: str) -> None:
    body = b"whole" * 20_000
    whole = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    }[framed]

    async def play() -> None:
        async with wired() as (_, wires):
            await wires.ask("POST", "/c")
            for seq in range(5):
                publisher = await wires.open()
                await publisher.send(b"POST /c/%d HTTP/1.1\r\nHost: test\r\n%b" % (seq, whole))
                publisher.writer.close()
                assert (await wires.ask("GET", f"/c/{seq}")).body == body

    ran(play())


def test_a_reader_that_leaves_is_forgotten() -> None:
    async def play() -> None:
        async with wired() as (server, wires):
            await wires.ask("POST", "/c")
            reader = await wires.open()
            head = b"GET /c/%b HTTP/1.1\r\nHost: test\r\n\r\n"
            await reader.send(head % b"next" + head % b"0")
            await reader.answer()
            channel = server.directory.find("c")
            assert channel is not None
            segment = channel.segment(0)
            assert segment is not None
            assert len(segment.wakers) == 1
            reader.close()
            await wires.ask("GET", "/c/next")
            assert not segment.wakers

    ran(play())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_changes"),
        ("DELETE", "/_changes"),
        ("POST", "/_changes/0"),
        ("DELETE", "/_changes/0"),
    ],
)
def test_nobody_else_writes_the_feed(method: str, path: str) -> None:
    async def play() -> None:
        async with wired(changefeed=True) as (_, wires):
            assert (await wires.ask(method, path)).status == 403
            await wires.ask("POST", "/c")
            assert (await wires.ask("GET", "/_changes/0")).body == b'{"added":["c"]}'

    ran(play())


def test_a_publisher_that_starts_again_at_zero_is_read() -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            for seq in range(8):
                await wires.ask("POST", f"/c/{seq}", b"old")
            for seq in range(3):
                await wires.ask("POST", f"/c/{seq}", b"new")
                assert (await wires.ask("GET", f"/c/{seq}")).body == b"new"
                assert (await wires.ask("GET", "/c/-2")).body == b"new"
            assert (await wires.ask("GET", "/c/next")).body == b"3"

    ran(play())


@pytest.mark.parametrize(
    ("path", "allowed"), [("/c", "DELETE, POST"), ("/c/0", "DELETE, GET, HEAD, POST")]
)
def test_other_methods_are_told_what_is_allowed(path: str, allowed: str) -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            refused = await wires.ask("PUT", path)
            assert (refused.status, refused.headers["allow"]) == (405, allowed)

    ran(play())


def test_memory_comes_back_when_a_channel_is_deleted() -> None:
    async def play() -> None:
        async with wired(limits=Limits(total_bytes=10)) as (_, wires):
            assert (await wires.ask("POST", "/c/0", b"x" * 10)).status == 200
            assert (await wires.ask("POST", "/c/1", b"x")).status == 503
            await wires.ask("DELETE", "/c")
            assert (await wires.ask("POST", "/d/0", b"x" * 10)).status == 200

    ran(play())


def test_a_segment_may_be_only_so_long() -> None:
    async def play() -> None:
        async with wired(limits=Limits(segment_bytes=10)) as (_, wires):
            assert (await wires.ask("POST", "/c/0", b"x" * 11)).status == 413
            assert (await wires.ask("POST", "/c/1", b"x" * 10)).status == 200

    ran(play())


def test_only_so_many_channels() -> None:
    async def play() -> None:
        async with wired(limits=Limits(channels=1)) as (_, wires):
            assert (await wires.ask("POST", "/c")).status == 200
            assert (await wires.ask("POST", "/d")).status == 503
            assert (await wires.ask("POST", "/c")).status == 200

    ran(play())


def test_only_so_many_connections() -> None:
    async def play() -> None:
        async with wired(limits=Limits(connections=1)) as (_, wires):
            first = await wires.open()
            await first.ask("GET", "/c/next")
            await first.answer()
            second = await wires.open()
            assert (await second.answer()).status == 503

    ran(play())


def test_a_slow_head_is_closed() -> None:
    async def play() -> None:
        async with wired(head_s=0.05) as (_, wires):
            slow = await wires.open()
            await slow.send(b"GET /c/0 HTTP/1.1\r\nHost:")
            assert await slow.reader.read() == b""

    ran(play())


def test_a_publisher_that_waits_is_told_to_go_on() -> None:
    async def play() -> None:
        async with wired(interim_s=0.01) as (_, wires):
            publisher = await wires.open()
            await publisher.post("/c/0")
            for _ in range(3):
                assert (await publisher.head()).status == 100
            for each in (b"a", b"b", b""):
                await publisher.piece(each)
            assert (await publisher.answer()).status == 200
            assert (await wires.ask("GET", "/c/0")).body == b"ab"

    ran(play())


@pytest.mark.parametrize("name", ["a%20b", "%2e%2e", "a%0ab", "%00", "x" * 129])
def test_names_refused(name: str) -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            assert (await wires.ask("POST", f"/{name}")).status in {400, 404}

    ran(play())


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /c/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /c/0 HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
        b"POST /c/9999999999999999999999 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.fault("F-77")
def test_hostile_requests(request_: bytes) -> None:
    async def play() -> None:
        async with wired() as (_, wires):
            wire = await wires.open()
            await wire.send(request_)
            assert (await wire.answer()).status == 400

    ran(play())


def test_base_path_and_no_autocreate() -> None:
    async def play() -> None:
        async with wired(base_path="/ai/trickle", autocreate=False) as (_, wires):
            assert (await wires.ask("POST", "/c")).status == 404
            for path in ("/ai/trickle/c", "/ai/trickle/c/0"):
                refused = await wires.ask("POST", path)
                assert (refused.status, refused.headers["connection"]) == (404, "close")

    ran(play())


def test_the_command_ends_in_good_order() -> None:
    command = [sys.executable, "-m", "composer", "trickle", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("trickle at http://127.0.0.1:")
        process.terminate()
        assert process.wait(WAIT) == 0
