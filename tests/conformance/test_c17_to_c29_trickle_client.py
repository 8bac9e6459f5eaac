"""The trickle client, C-17 to C-29 of the contract's checklist (C-28 is about media)."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from composer import YUV, Node, Record
from composer.errors import ChannelEnded, SegmentLost
from composer.media.clip import Piece
from composer.session.ending import Reason
from composer.trickle import wire
from composer.trickle.http import open_http
from composer.trickle.publisher import Publisher
from composer.trickle.server import TrickleServer
from composer.trickle.subscriber import Ended, Opened, Subscriber
from tests import clocks
from tests.server.streams import QUICK, numbers, pieces, ran, serving
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
    """Before its first byte, and between two of them."""

    async def test() -> None:
        async with TrickleServer().serving() as base, open_http() as http:
            out = publisher(http, f"{base}/ch", ahead=True)
            await out.send(b"first")
            await asyncio.sleep(120)
            segment = out.begin()
            await segment.write(b"sec")
            await asyncio.sleep(600)
            await segment.write(b"ond")
            await segment.end()
            await segment.done()
            await out.send(b"third")
            assert await bodies(http, f"{base}/ch", 3) == [b"first", b"second", b"third"]
            assert out.lost == 0
            await out.close()

    clocks.ran_skipping(test)


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
    bodies: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(50):
            await asyncio.sleep(wire.INTERIM_S)
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked.set()
        bodies.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    asked = asyncio.Event()

    async def test() -> None:
        async with (
            await asyncio.start_server(answer, "127.0.0.1", 0) as server,
            open_http() as http,
        ):
            port = server.sockets[0].getsockname()[1]
            out = publisher(http, f"http://127.0.0.1:{port}/ch")
            segment = out.begin()
            await asked.wait()
            await segment.write(b"late")
            await segment.end()
            await segment.done()
            await out.close()
        assert bodies == [b"4\r\nlate\r\n0\r\n\r\n"]

    clocks.ran_skipping(test)


@pytest.mark.fault("F-37")
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
@pytest.mark.fault("F-04", "F-36")
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
            ahead = channel.segment(1)
            assert ahead is not None
            assert (len(ahead), ahead.closed) == (0, True)
            assert clocks.clock().skipped < 1  # nothing was waited for in vain

    clocks.ran_skipping(test)


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


@pytest.mark.fault("F-11")
def test_c25_a_silent_channel_is_waited_for() -> None:
    """Before a segment, and in the middle of one."""
    ten_minutes = 600.0

    async def test() -> None:
        server = TrickleServer()
        async with server.serving() as base, open_http() as http:
            server.directory.create("ch", "video/MP2T")
            out = publisher(http, f"{base}/ch")
            seen: list[object] = []

            async def read() -> None:
                async for item in Subscriber(http, f"{base}/ch", start=-1, now=clocks.clock().time):
                    seen.append(item)

            reading = asyncio.ensure_future(read())
            await asyncio.sleep(ten_minutes)
            segment = out.begin()
            await segment.write(b"x")
            await asyncio.sleep(ten_minutes)
            await segment.write(b"y")
            await out.close()
            server.directory.delete("ch")
            await reading
            assert seen == [Opened(0, gap=False), b"x", b"y", Ended(0, whole=True)]

    clocks.ran_skipping(test)


PASS_AND_SAY = """
nodes:
  source: {type: decode}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
  say: {type: say, queue: 300, on_full: wait}
  save: {type: record}
"""


class Say(Node):
    """A record for every picture."""

    def process(self, image: YUV) -> Record:
        return {}


@pytest.mark.fault("F-01")
def test_c24_a_moment_of_trouble_ends_no_stream() -> None:
    trouble = [wire_stub.status(500), wire_stub.reset(after=1), wire_stub.status(502)]
    events, data = (Stub(POST=[*trouble * 4, wire_stub.status(200)]) for _ in range(2))
    often = replace(QUICK, status=0.01, data=0.01, data_keepalive=0.01)

    async def test() -> None:
        async with (
            events.serving() as events_url,
            data.serving() as data_url,
            serving(PASS_AND_SAY, {"say": Say}, timing=often) as stage,
        ):
            stream = await stage.start(data=True, events_url=events_url, data_url=data_url)
            session = stage.sessions[stream.name]
            for stub in (events, data):
                await stub.until(lambda stub=stub: len(stub.requests("POST")) > 12)  # type: ignore[misc]
            assert session.reason is None
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            await stream.stop()
            assert json.loads(events.seen[-1].body)["reason"] == "stopped"

    ran(test)


@pytest.mark.fault("F-07")
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


@pytest.mark.fault("F-05")
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
        stub, began = Stub(GET=answers), clocks.clock().time()
        async with stub.serving() as url, open_http() as http:
            seen = [item async for item in Subscriber(http, url)]
        opened = [item for item in seen if isinstance(item, Opened)]
        assert opened == [Opened(3, gap=False), Opened(9, gap=True), Opened(10, gap=False)]
        assert [item for item in seen if isinstance(item, bytes)] == [b"a", b"b", b"c"]
        paths = ["/ch/-2", "/ch/4", "/ch/9", "/ch/10", "/ch/10", "/ch/11"]
        assert stub.requests("GET") == paths
        assert clocks.clock().time() - began >= 0.25

    clocks.ran_skipping(test)


def test_c27_behind_begins_anew_at_a_key_picture() -> None:
    """What follows the jump goes on, packet by packet, where nothing is known of its pictures."""
    first, _, third, fourth = (group_of(pieces(40), number) for number in range(4))
    answers = [
        wire_stub.status(200, body=first, seq="0"),
        wire_stub.status(470, latest="9", seq="1"),
        wire_stub.status(200, body=from_picture(5, third, behind=first), seq="9"),
        wire_stub.status(200, body=fourth, seq="10"),
        wire_stub.never(),
    ]

    async def test() -> None:
        async with Stub(GET=answers).serving() as url, serving() as stage:
            stream = await stage.start(subscribe_url=url)
            await stream.until(lambda: len(numbers(stream.output)) >= 20)
            assert numbers(stream.output) == [*range(10), *range(30, 40)]
            await stream.stop()

    ran(test)


def group_of(clip: list[Piece], number: int) -> bytes:
    """One segment of a clip."""
    begins = [place for place, piece in enumerate(clip) if piece.begins] + [len(clip)]
    return b"".join(piece.data for piece in clip[begins[number] : begins[number + 1]])


def from_picture(number: int, segment: bytes, *, behind: bytes) -> bytes:
    """What follows the beginning of a picture, its packets counted on from those of another
    segment: so no packet seems to be lost.
    """
    packets = list(map(bytearray, _packets(segment)))
    starts = [at for at, packet in enumerate(packets) if packet[1] & 0x40 and _pid(packet) == 256]
    counts = {_pid(packet): packet[3] & 15 for packet in _packets(behind)}
    for packet in packets[starts[number] :]:
        counts[_pid(packet)] = count = (counts[_pid(packet)] + 1) & 15
        packet[3] = packet[3] & 0xF0 | count
    return b"".join(packets[starts[number] :])


def _packets(segment: bytes) -> list[bytes]:
    return [segment[at : at + 188] for at in range(0, len(segment), 188)]


def _pid(packet: bytes | bytearray) -> int:
    return int.from_bytes(packet[1:3]) & 0x1FFF


@asynccontextmanager
async def secured(
    authority: trustme.CA, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
) -> AsyncIterator[str]:
    """A server with a certificate of some authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/ch"
    finally:
        with contextlib.suppress(ssl.SSLError):
            await runner.cleanup()


@pytest.mark.fault("F-17")
def test_c29_a_certificate_of_ones_own_works_and_can_be_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x", headers={wire.SEQ: "0"})

    async def test() -> None:
        async with secured(authority, answer) as url:
            for options in ({"verify_tls": False}, {"ca_file": str(tmp_path / "ca.pem")}):
                async with open_http(**options) as http, http.get(url) as found:
                    assert await found.read() == b"x"
            async with open_http() as http:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await http.get(url)

    ran(test)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, Reason.LOST),
        ({"verify_tls": False}, Reason.CONTROL_CLOSED),
        ({"ca_file": "ca.pem"}, Reason.CONTROL_CLOSED),
    ],
)
def test_c29_a_worker_trusts_what_it_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], reason: Reason
) -> None:
    """It hears that the control channel has ended, or cannot hear anything."""
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=404)

    async def test() -> None:
        async with (
            secured(authority, answer) as url,
            serving(timing=replace(QUICK, lost=0), **options) as stage,
        ):
            await stage.start(control_url=url)
            await stage.worker.slots.empty.wait()
            assert stage.worker.capabilities["cap"].ended == {reason: 1}

    ran(test)
