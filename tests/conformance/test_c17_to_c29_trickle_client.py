"""The trickle client, C-17 to C-29 of the contract's checklist (C-28 is about media)."""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from composer.errors import ChannelEnded, SegmentLost
from composer.trickle import subscriber as subscribers
from composer.trickle import wire
from composer.trickle.http import open_http
from composer.trickle.publisher import Publisher
from composer.trickle.server import TrickleServer
from composer.trickle.subscriber import Ended, Opened, Subscriber
from tests.server.streams import ran
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub


def publisher(http: aiohttp.ClientSession, url: str, **options: Any) -> Publisher:
    return Publisher(http, url, content_type="video/MP2T", **options)


async def bodies(http: aiohttp.ClientSession, url: str, count: int) -> list[bytes]:
    found = []
    for seq in range(count):
        async with http.get(f"{url}/{seq}") as answer:
            assert answer.status == 200
            found.append(await answer.read())
    return found


def test_c17_numbers_have_no_gap_and_no_repeat_whoever_is_in_a_hurry() -> None:
    async def test() -> None:
        async with TrickleServer().serving() as base, open_http() as http:
            out = publisher(http, f"{base}/ch", lasting=True)
            await asyncio.gather(*(out.send(b"%d" % number) for number in range(4)))
            assert sorted(await bodies(http, f"{base}/ch", 4)) == [b"0", b"1", b"2", b"3"]
            await out.close()

    ran(test)


def test_c18_an_idle_publisher_goes_on_where_it_was() -> None:
    """Two minutes are twelve interim answers: here they come every 10 ms."""

    async def test() -> None:
        server = TrickleServer(interim_s=0.01)
        async with server.serving() as base, open_http() as http:
            out = publisher(http, f"{base}/ch", ahead=True)
            await out.send(b"first")
            segment = out.begin()
            await asyncio.sleep(0.15)
            await segment.write(b"second")
            await segment.end()
            await segment.done()
            assert await bodies(http, f"{base}/ch", 2) == [b"first", b"second"]
            await out.close()

    ran(test)


def test_c19_the_head_is_there_before_the_first_byte() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = publisher(http, url)
            segment = out.begin()
            await stub.until(lambda: stub.requests("POST") == ["/ch/0"])
            assert stub.seen[0].headers["Transfer-Encoding"] == "chunked"
            assert stub.seen[0].headers["Content-Type"] == "video/MP2T"
            await segment.write(b"x")
            await out.close()
            assert bytes(stub.seen[0].body) == b"x"

    ran(test)


def test_c20_any_number_of_interim_answers_is_fine() -> None:
    async def test() -> None:
        server = TrickleServer(interim_s=0.002)
        async with server.serving() as base, open_http() as http:
            out = publisher(http, f"{base}/ch")
            segment = out.begin()
            await asyncio.sleep(0.1)
            await segment.write(b"late")
            await out.close()
            assert await bodies(http, f"{base}/ch", 1) == [b"late"]

    ran(test)


def test_c21_what_was_not_sent_is_tried_again_and_what_broke_is_deleted() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.reset(), wire_stub.status(503), wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = publisher(http, url)
            segment = out.begin()
            await stub.until(lambda: len(stub.requests("POST")) == 2)
            await segment.end()
            await segment.done()
            assert stub.requests("POST")[:2] == ["/ch/0", "/ch/0"]
            await out.close()
        stub = Stub(POST=[wire_stub.reset(after=3), wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = publisher(http, url)
            segment = out.begin()
            await segment.write(b"abc")
            with pytest.raises(SegmentLost):
                await segment.done()
            await stub.until(lambda: stub.requests("DELETE") == ["/ch/0"])
            await out.send(b"next")
            assert stub.requests("POST") == ["/ch/0", "/ch/1"]
            assert out.lost == 1
            await out.close()

    ran(test)


@pytest.mark.parametrize(
    "answer", [wire_stub.early(404), wire_stub.early(200, closed="terminated", seq="0")]
)
def test_c22_a_channel_that_is_gone_ends_without_noise(answer: wire_stub.Answer) -> None:
    async def test() -> None:
        stub = Stub(POST=[answer])
        async with stub.serving() as url, open_http() as http:
            out = publisher(http, url, lasting=True)
            segment = out.begin()
            await out.wait_ended()
            with pytest.raises(ChannelEnded):
                await segment.write(b"x")
            with pytest.raises(ChannelEnded):
                await out.send(b"x")
            assert out.ended
            await out.close()

    ran(test)


def test_c23_close_lets_the_open_segment_be_finished() -> None:
    async def test() -> None:
        server = TrickleServer()
        async with server.serving() as base, open_http() as http:
            out = publisher(http, f"{base}/ch", ahead=True)
            segment = out.begin()
            for _ in range(50):
                await segment.write(b"x" * 10_000)
            await out.close()
            channel = server.directory.find("ch")
            assert channel is not None
            last = channel.segment(0)
            assert last is not None
            assert (len(last), last.closed) == (500_000, True)

    ran(test)


def test_c24_a_moment_of_trouble_ends_no_events() -> None:
    async def test() -> None:
        trouble = [wire_stub.status(500), wire_stub.reset(after=1), wire_stub.status(502)]
        stub = Stub(POST=[*trouble * 5, wire_stub.status(200)])
        async with stub.serving() as url, open_http() as http:
            out = publisher(http, url, lasting=True)
            for number in range(20):
                await out.send(b"%d" % number)
            assert not out.ended
            assert bytes(stub.seen[-1].body) == b"19"
            await out.close()

    ran(test)


def test_c25_a_silent_channel_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes are twenty requests that nothing answers: here they last 5 ms each."""
    monkeypatch.setattr(subscribers, "REFRESH_SECONDS", 0.005)

    async def test() -> None:
        answers = [*[wire_stub.never()] * 20, wire_stub.status(200, body=b"x", seq="0")]
        stub = Stub(GET=[*answers, wire_stub.never()])
        async with stub.serving() as url, open_http() as http:
            async for item in Subscriber(http, url, start=-1):
                if item == b"x":
                    break
            assert stub.requests("GET")[:20] == ["/ch/-1"] * 20

    ran(test)


def test_c26_empty_is_next_and_closed_is_the_end_and_its_body_is_nothing() -> None:
    async def test() -> None:
        answers = [
            wire_stub.status(200, seq="4", latest="5"),
            wire_stub.status(200, body=b"data", seq="5"),
            wire_stub.status(200, body=b"Entry not found", closed="terminated"),
        ]
        stub = Stub(GET=answers)
        async with stub.serving() as url, open_http() as http:
            seen = [item async for item in Subscriber(http, url, start=-1)]
        expected = [Opened(4, gap=False), Ended(4, whole=True), Opened(5, gap=False), b"data"]
        assert seen == [*expected, Ended(5, whole=True)]
        assert stub.requests("GET") == ["/ch/-1", "/ch/5", "/ch/6"]
        stub = Stub(GET=[wire_stub.status(404)])
        async with stub.serving() as url, open_http() as http:
            assert [item async for item in Subscriber(http, url)] == []

    ran(test)


def test_c27_behind_jumps_with_a_gap_and_ahead_waits() -> None:
    async def test() -> None:
        answers = [
            wire_stub.status(200, body=b"a", seq="3"),
            wire_stub.status(470, latest="9", seq="4"),
            wire_stub.status(200, body=b"b", seq="9"),
            wire_stub.status(470, latest="10", seq="10"),
            wire_stub.status(200, body=b"c", seq="10"),
            wire_stub.status(404),
        ]
        stub = Stub(GET=answers)
        async with stub.serving() as url, open_http() as http:
            seen = [item async for item in Subscriber(http, url)]
        opened = [item for item in seen if isinstance(item, Opened)]
        assert opened == [Opened(3, gap=False), Opened(9, gap=True), Opened(10, gap=False)]
        assert [item for item in seen if isinstance(item, bytes)] == [b"a", b"b", b"c"]
        paths = ["/ch/-2", "/ch/4", "/ch/9", "/ch/10", "/ch/10", "/ch/11"]
        assert stub.requests("GET") == paths

    ran(test)


def test_c29_a_certificate_of_ones_own_works_and_can_be_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x", headers={wire.SEQ: "0"})

    async def test() -> None:
        runner = web.ServerRunner(web.Server(answer, access_log=None))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/ch/0"
        try:
            for options in ({"verify_tls": False}, {"ca_file": str(tmp_path / "ca.pem")}):
                async with open_http(**options) as http, http.get(url) as found:
                    assert await found.read() == b"x"
            async with open_http() as http:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await http.get(url)
        finally:
            with contextlib.suppress(ssl.SSLError):
                await runner.cleanup()

    ran(test)
