"""A subscriber on a socket, where the other side is not as it should be."""

import asyncio
import select
import socket
from functools import partial

import pytest

from composer.errors import ChannelLost
from composer.room import Room
from composer.trickle import subscriber as subscribers
from composer.trickle.http import Http, open_http
from composer.trickle.server import TrickleServer
from composer.trickle.subscriber import (
    Ended,
    Opened,
    OpenSegment,
    Subscriber,
)
from tests.server.streams import ran
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub


async def everything(http: Http, url: str, start: int = -1) -> list[object]:
    return [item async for item in Subscriber(http, url, start=start)]


@pytest.mark.fault("F-09")
def test_a_segment_that_breaks_off_is_not_whole_and_the_next_follows() -> None:
    async def test() -> None:
        answers = [
            wire_stub.broken(b"half", 0),
            wire_stub.status(200, body=b"next", seq="1"),
            wire_stub.status(404),
        ]
        async with Stub(GET=answers).serving() as url, open_http() as http:
            seen = await everything(http, url)
        assert seen == [
            *[Opened(0, gap=False), b"half", Ended(0, whole=False)],
            *[Opened(1, gap=False), b"next", Ended(1, whole=True)],
        ]

    ran(test)


@pytest.mark.fault("F-10")
def test_a_segment_that_its_publisher_left_open_is_left_when_the_next_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribers, "GRACE_SECONDS", 0.01)

    async def test() -> None:
        answers = [
            wire_stub.open_for_ever(b"half", 0),
            wire_stub.status(200, body=b"next", seq="1"),
            wire_stub.status(404),
        ]
        async with Stub(GET=answers).serving() as url, open_http() as http:
            seen = await everything(http, url)
        assert seen[:4] == [
            Opened(0, gap=False),
            b"half",
            Ended(0, whole=False),
            Opened(1, gap=False),
        ]

    ran(test)


def test_a_reader_that_takes_its_time_is_no_silence_of_the_publisher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribers, "GRACE_SECONDS", 0.2)

    async def test() -> None:
        answers = [
            wire_stub.pieces(b"one", b"two", seq=0),
            wire_stub.status(200, body=b"next", seq="1"),
            wire_stub.status(404),
        ]
        stub = Stub(GET=answers)
        async with stub.serving() as url, open_http() as http:
            channel = Subscriber(http, url, start=-1).__aiter__()
            seen = [await anext(channel), await anext(channel)]
            await stub.until(lambda: len(stub.requests("GET")) == 2)
            await asyncio.sleep(subscribers.GRACE_SECONDS * 2)
            seen += [item async for item in channel]
        assert b"".join(item for item in seen if isinstance(item, bytes)) == b"onetwonext"
        assert Ended(0, whole=True) in seen

    ran(test)


@pytest.mark.fault("F-14")
def test_a_hundred_empty_segments_are_gone_through_one_by_one() -> None:
    async def test() -> None:
        empty = [wire_stub.status(200, seq=str(seq)) for seq in range(100)]
        stub = Stub(GET=[*empty, wire_stub.status(404)])
        async with stub.serving() as url, open_http() as http:
            seen = await everything(http, url, start=0)
        assert not [item for item in seen if isinstance(item, bytes)]
        assert not [item for item in seen if isinstance(item, Opened) and item.gap]
        assert len(stub.requests("GET")) == 101

    ran(test)


@pytest.mark.fault("F-08")
def test_a_moment_of_trouble_costs_no_segment() -> None:
    async def test() -> None:
        good = [wire_stub.status(200, body=b"%d" % seq, seq=str(seq)) for seq in range(6)]
        answers: list[wire_stub.Answer] = []
        for each in good:
            answers += [wire_stub.status(503), wire_stub.reset(), each]
        stub = Stub(GET=[*answers, wire_stub.status(404)])
        async with stub.serving() as url, open_http() as http:
            seen = await everything(http, url, start=0)
        assert [item for item in seen if isinstance(item, bytes)] == [b"%d" % s for s in range(6)]

    ran(test)


@pytest.mark.fault("F-16")
def test_a_redirect_is_not_followed() -> None:
    async def test() -> None:
        canary = Stub(GET=[wire_stub.status(200, body=b"secret", seq="0")])
        async with canary.serving() as elsewhere:
            stub = Stub(GET=[wire_stub.status(302, location=elsewhere)])
            async with stub.serving() as url, open_http() as http:
                with pytest.raises(ChannelLost, match="which is not followed"):
                    await everything(http, url)
        assert canary.seen == []

    ran(test)


@pytest.mark.fault("F-02")
def test_a_server_that_is_gone_is_given_up_without_its_address_in_the_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    times = iter(range(0, 1000, 10))

    async def test() -> None:
        async with open_http() as http:
            channel = Subscriber(
                http, f"http://127.0.0.1:{port}/secret/ch", now=lambda: float(next(times))
            )
            with pytest.raises(ChannelLost) as lost:
                async for _ in channel:
                    pass
        assert str(lost.value) == "channel ch: the server could not be reached for 30 s"

    ran(test)


def test_messages_are_whole_segments_of_any_size_in_any_pieces() -> None:
    async def test() -> None:
        server = TrickleServer()
        large = b"x" * 2_000_000
        async with server.serving() as base, open_http() as http:
            async with http.post(f"{base}/ch"):
                pass
            got: list[bytes] = []

            async def read() -> None:
                async for body in Subscriber(http, f"{base}/ch", start=0).messages():
                    got.append(body)

            reading = asyncio.ensure_future(read())
            for seq, body in enumerate((b"a", b"", large)):
                async with http.post(f"{base}/ch/{seq}", data=_pieces(body)):
                    pass
            async with http.delete(f"{base}/ch"):
                pass
            await reading
            assert got == [b"a", large]

    ran(test)


async def _pieces(body: bytes):  # type: ignore[no-untyped-def]
    for at in range(0, len(body), 7000):
        yield body[at : at + 7000]


def test_a_message_without_end_is_left_out() -> None:
    async def test() -> None:
        answers = [
            wire_stub.status(200, body=b"x" * 1001, seq="0"),
            wire_stub.status(200, body=b"x" * 1000, seq="1"),
            wire_stub.broken(b"x", 2),
            wire_stub.status(404),
        ]
        async with Stub(GET=answers).serving() as url, open_http() as http:
            channel = Subscriber(http, url, start=0)
            texts = channel.texts(1000, 20.0, Room(1000))
            assert [text.bytes() async for text in texts] == [b"x" * 1000]
            assert dict(channel.left_out) == {"too_long": 2}

    ran(test)


def test_leaving_early_leaves_nothing_behind() -> None:
    async def test() -> None:
        stub = Stub(GET=[wire_stub.open_for_ever(b"x", 0), wire_stub.never()])
        async with stub.serving() as url, open_http() as http:
            before = asyncio.all_tasks()
            given = Subscriber(http, url).__aiter__()
            assert await anext(given) == Opened(0, gap=False)
            assert await anext(given) == b"x"
            await given.aclose()
            left = [task for task in asyncio.all_tasks() - before if "Subscriber" in repr(task)]
            assert left == []

    ran(test)


def test_a_thread_reads_a_segment_while_the_loop_waits_for_its_end() -> None:
    async def test() -> None:
        answers = [
            wire_stub.pieces(b"one", b"two", seq=0),
            wire_stub.broken(b"three", 1),
            wire_stub.status(404),
        ]
        async with Stub(GET=answers).serving() as url, open_http() as http:
            came = bytearray()

            def read(segment: OpenSegment) -> None:
                while not segment.over:
                    select.select([segment.fileno], [], [])
                    segment.pour(came.extend)

            whole = []
            async for segment in Subscriber(http, url, start=-1).segments():
                reading = asyncio.ensure_future(asyncio.to_thread(read, segment))
                await segment.poured(lambda: None)
                await reading
                whole.append(segment.whole)
        assert came == b"onetwothree"
        assert whole == [True, False]

    ran(test)


@pytest.mark.fault("F-10")
def test_a_segment_that_nobody_finishes_is_left_by_those_who_pour_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribers, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(subscribers, "LOOK_SECONDS", 0.02)

    async def test() -> None:
        answers = [
            wire_stub.open_for_ever(b"half", 0),
            wire_stub.status(200, body=b"next", seq="1"),
            wire_stub.status(404),
        ]
        async with Stub(GET=answers).serving() as url, open_http() as http:
            came = bytearray()
            async for segment in Subscriber(http, url, start=-1).segments():
                await segment.poured(partial(segment.pour, came.extend))
        assert came == b"halfnext"

    ran(test)


@pytest.mark.fault("F-14")
def test_segments_without_end_are_asked_for_at_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "RESERVE_SECONDS", 0.4)

    async def test() -> None:
        empty = [wire_stub.status(200, seq=str(seq)) for seq in range(6)]
        stub = Stub(GET=[*empty, wire_stub.status(404)])
        async with stub.serving() as url, open_http() as http:
            began = asyncio.get_running_loop().time()
            async for _ in Subscriber(http, url, start=0, most=10.0):
                pass
            # Four at once, and three that wait for a tenth of a second each.
            assert asyncio.get_running_loop().time() - began >= 0.29
            assert len(stub.requests("GET")) == 7

    ran(test)
