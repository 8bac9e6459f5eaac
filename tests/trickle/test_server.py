"""The trickle server on a socket: refusals, limits, peers that leave."""

import pytest

from tests.trickle.raw import ran, wired


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
