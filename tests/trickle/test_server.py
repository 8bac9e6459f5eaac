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
