"""A publisher on a socket, where the other side is not as it should be."""

import asyncio
import socket

import pytest
from aiohttp import web

from composer.errors import ChannelEnded, ChannelLost, SegmentLost
from composer.trickle import wire
from composer.trickle.http import open_http
from composer.trickle.publication import MOST_FAILURES
from composer.trickle.publisher import MOST_OPEN, Publisher
from composer.trickle.server import TrickleServer
from tests.server.streams import ran
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def test_segments_do_not_pile_up_while_the_server_is_away_and_come_in_order_after() -> None:
    async def test() -> None:
        port = free_port()
        async with open_http() as http:
            address = f"http://127.0.0.1:{port}/ch"
            out = Publisher(http, address, content_type="x", ahead=True, lasting=True)
            for number in range(30):
                segment = out.begin()
                await segment.write(b"%d" % number)
                await segment.end()
                await asyncio.sleep(0.001)
            assert len(out._requests) <= MOST_OPEN + 2
            stub = Stub(POST=[wire_stub.status(200)])
            async with stub.serving(port):
                last = out.begin()
                await last.write(b"last")
                await last.end()
                await last.done()
                await out.close()
            written = [each for each in stub.seen if each.method == "POST" and each.body]
            seqs = [int(each.path.rsplit("/", 1)[1]) for each in written]
            assert seqs == sorted(seqs)
            assert bytes(written[-1].body) == b"last"
            assert out.lost >= 30 - MOST_OPEN

    ran(test)


def test_a_write_that_nobody_takes_loses_its_segment_and_the_next_goes_on() -> None:
    async def stands(request: web.BaseRequest) -> web.StreamResponse:
        request.protocol.pause_reading()
        await asyncio.Event().wait()
        return web.Response()

    async def test() -> None:
        stub = Stub(POST=[stands, wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x", stall=0.1)
            segment = out.begin()

            async def write_for_ever() -> None:
                while True:
                    await segment.write(b"x" * 100_000)

            with pytest.raises(SegmentLost):
                await write_for_ever()
            await out.send(b"next")
            assert b"next" in [bytes(each.body) for each in stub.seen]
            assert out.lost == 1
            await out.close()

    ran(test)


def test_it_gives_up_when_nothing_gets_out() -> None:
    times = iter(range(0, 1000, 10))

    async def test() -> None:
        async with open_http() as http:
            out = Publisher(
                http,
                f"http://127.0.0.1:{free_port()}/ch",
                content_type="x",
                now=lambda: float(next(times)),
            )
            out.begin()
            await out.wait_ended()
            assert out.gave_up
            await out.close()

    ran(test)


def test_it_resumes_where_somebody_else_was() -> None:
    async def test() -> None:
        server = TrickleServer()
        async with server.serving() as base, open_http() as http:
            url = f"{base}/ch"
            for number in range(3):
                async with http.post(f"{url}/{number}", data=b"old"):
                    pass
            out = Publisher(http, url, content_type="x")
            await out.resume()
            await out.send(b"new")
            async with http.get(f"{url}/3") as answer:
                assert await answer.read() == b"new"
            await out.close()
            gone = Publisher(http, f"{base}/none", content_type="x")
            with pytest.raises(ChannelEnded):
                await gone.resume()
            away = Publisher(http, f"http://127.0.0.1:{free_port()}/ch", content_type="x")
            with pytest.raises(ChannelLost, match="channel ch cannot be reached"):
                await away.resume()

    ran(test)


def test_the_first_segment_after_a_restart_resets_what_was_left_open() -> None:
    async def test() -> None:
        stub = Stub(
            GET=[wire_stub.status(200, body=b"4", latest="4")], POST=[wire_stub.status(200)]
        )
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x")
            await out.resume()
            await out.send(b"a")
            await out.send(b"b")
            posts = [each for each in stub.seen if each.method == "POST"]
            assert [wire.RESET in each.headers for each in posts] == [True, False]
            assert [each.path for each in posts] == ["/ch/4", "/ch/5"]
            await out.close()

    ran(test)


def test_a_hole_is_closed_with_an_empty_segment_where_delete_knows_nothing() -> None:
    async def test() -> None:
        stub = Stub(
            POST=[wire_stub.reset(after=1), wire_stub.status(200)],
            DELETE=[wire_stub.status(400)],
        )
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x")
            segment = out.begin()
            await segment.write(b"x")
            with pytest.raises(SegmentLost):
                await segment.done()
            await stub.until(lambda: len(stub.requests("POST")) == 2)
            assert stub.requests("POST") == ["/ch/0", "/ch/0"]
            assert bytes(stub.seen[-1].body) == b""
            await out.close()

    ran(test)


def test_bytes_of_another_thread_come_in_order_whether_they_go_out_at_once_or_wait() -> None:
    async def test() -> None:
        may_read = asyncio.Event()
        stub = Stub(POST=[wire_stub.behind(may_read), wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            loop = asyncio.get_running_loop()
            out = Publisher(http, url, content_type="x")
            segment = out.begin()
            await stub.until(lambda: len(stub.requests("POST")) == 1)
            gone = bytearray()

            def write(number: int) -> bool:
                piece = b"%06d" % number * 25_000
                gone.extend(piece)
                if segment.offer(piece):
                    return True
                asyncio.run_coroutine_threadsafe(segment.write(piece), loop).result()
                return False

            def write_all() -> None:
                number = 0
                while write(number):  # until nobody takes more
                    number += 1
                assert number
                for later in range(5):  # less than a segment may hold while nobody reads
                    write(number + 1 + later)
                loop.call_soon_threadsafe(may_read.set)
                for later in range(5, 80):
                    write(number + 1 + later)

            await asyncio.to_thread(write_all)
            await segment.end()
            await segment.done()
            assert gone == bytes(stub.seen[0].body)
            assert out.lost == 0
            await out.close()

    ran(test)


def test_a_segment_that_broke_off_takes_no_bytes_of_another_thread() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.reset(after=1), wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x")
            segment = out.begin()
            await segment.write(b"x")
            with pytest.raises(SegmentLost):
                await segment.done()
            assert not await asyncio.to_thread(segment.offer, b"y")
            with pytest.raises(SegmentLost):
                await segment.write(b"y")
            await out.close()

    ran(test)


@pytest.mark.fault("F-39")
def test_each_segment_that_fails_after_its_last_write_is_counted_up_to_the_last_one() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.status(500)])
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x")
            while not out.ended:
                segment = out.begin()
                await segment.write(b"x")
                await segment.end()
                with pytest.raises((SegmentLost, ChannelEnded)):
                    await segment.done()
            assert out.gave_up
            assert out.lost == MOST_FAILURES
            await out.close()

    ran(test)


def test_what_waits_for_a_server_that_is_away_is_lost_with_the_publisher_but_nothing_empty() -> (
    None
):
    async def test() -> None:
        async with open_http() as http:
            out = Publisher(
                http, f"http://127.0.0.1:{free_port()}/ch", content_type="x", ahead=True
            )
            segment = out.begin()
            await segment.write(b"x")
            await out.close(0.01)
            assert out.lost == 1

    ran(test)


def test_a_loss_is_counted_once_though_its_hole_cannot_be_closed_in_time() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.reset(after=1)], DELETE=[wire_stub.never()])
        async with stub.serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x")
            segment = out.begin()
            await segment.write(b"x")
            await stub.until(lambda: bool(stub.requests("DELETE")))
            await out.close(0.01)
            assert out.lost == 1

    ran(test)


def test_segments_that_are_given_up_before_their_requests_began_are_counted() -> None:
    async def test() -> None:
        async with Stub().serving() as url, open_http() as http:
            out = Publisher(http, url, content_type="x", lasting=True)
            for _ in range(MOST_OPEN + 3):
                await out.begin().write(b"x")
            await out.close()
            assert out.lost == 3

    ran(test)


def test_a_request_that_fails_as_none_should_ends_the_publisher(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that is closed refuses requests with an error that no network has."""

    async def test() -> None:
        async with open_http() as http:
            out = Publisher(http, "http://127.0.0.1:9/ch?token=s3cr3t", content_type="x")
            await http.close()
            with pytest.raises(ChannelEnded, match="channel ch broke: RuntimeError"):
                await out.send(b"x")
            assert (out.ended, out.gave_up, out.broken) == (
                True,
                True,
                "channel ch broke: RuntimeError",
            )
            with pytest.raises(ChannelEnded):
                await out.send(b"y")
            await out.close()
            assert out.lost == 1

    ran(test)
    assert caplog.text.count("broke") == 1
    assert "s3cr3t" not in caplog.text
