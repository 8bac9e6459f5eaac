"""What is left in the channels of a session whose process is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from composer.errors import ChannelEnded, ChannelLost
from composer.media.mpegts.muxer import Muxer
from composer.session import remains
from composer.session.channels import Channels
from composer.session.session_record import SessionRecord
from composer.trickle.http import Http, open_http
from composer.trickle.server import TrickleServer
from tests.server.streams import ran
from tests.session.test_session import channels

KEY = b"\0\0\0\1\x67\1\0\0\0\1\x68\1\0\0\1\x65"


async def wrote(http: Http, url: str, *segments: bytes) -> None:
    for seq, body in enumerate(segments):
        async with http.post(f"{url}/{seq}", data=body):
            pass


def record(here: Channels, next_input: int | None = None) -> SessionRecord:
    return SessionRecord("cap", "x", here, next_input=next_input)


async def left_open(http: Http, url: str, seq: int, data: bytes) -> None:
    """What a publisher leaves that is killed in the middle of a segment."""

    async def body() -> AsyncIterator[bytes]:
        yield data
        sent.set()
        await asyncio.Event().wait()

    async def post() -> None:
        async with http.post(f"{url}/{seq}", data=body()):
            pass

    sent = asyncio.Event()
    posting = asyncio.ensure_future(post())
    await sent.wait()
    async with http.get(f"{url}/{seq}") as answer:
        assert await answer.content.readany() == data
    posting.cancel()
    await asyncio.wait({posting})


def test_the_end_of_an_output_is_read_where_its_publisher_was_killed() -> None:
    muxer = Muxer(video="h264")
    whole = muxer.tables() + muxer.video(KEY, 3000, 3000, key=True)
    broken = muxer.tables() + muxer.video(KEY + bytes(500), 6000, 6000, key=True)

    async def test() -> None:
        async with channels("publish") as (http, here):
            await wrote(http, here.publish, whole)
            await left_open(http, here.publish, 1, broken[:-100])
            found = await remains.found(http, record(here))
            assert found.written is not None
            assert found.written.last == {"video": 6000}

    ran(test)


def test_segments_without_anything_are_passed_over() -> None:
    muxer = Muxer(video="h264")
    whole = muxer.tables() + muxer.video(KEY, 3000, 3000, key=True)

    async def test() -> None:
        async with channels("publish") as (http, here):
            assert (await remains.found(http, record(here))).written is None
            await wrote(http, here.publish, whole, b"", muxer.tables())
            found = await remains.found(http, record(here))
            assert found.written is not None
            assert found.written.last == {"video": 3000}

    ran(test)


@pytest.mark.parametrize(
    ("segments", "wanted", "begin"),
    [(3, 2, 2), (3, 3, 3), (9, 5, 5), (9, 4, 6), (9, None, None), (2, 7, None)],
)
def test_the_input_is_read_on_where_it_is_still_kept(
    segments: int, wanted: int | None, begin: int | None
) -> None:
    async def test() -> None:
        async with channels("subscribe") as (http, here):
            await wrote(http, here.subscribe, *[b"x"] * segments)
            assert (await remains.found(http, record(here, wanted))).next_input == begin

    ran(test)


@pytest.mark.parametrize("gone", ["control", "subscribe", "publish", "data"])
def test_where_a_channel_has_ended_there_is_nothing_to_go_on_with(gone: str) -> None:
    async def test() -> None:
        server = TrickleServer(autocreate=False)
        async with server.serving() as base, open_http() as http:
            names = ("control", "subscribe", "publish", "data")
            for name in names:
                if name != gone:
                    server.directory.create(name, "x")
            here = Channels(**{name: f"{base}/{name}" for name in names}, events=f"{base}/no")
            with pytest.raises(ChannelEnded, match=f"channel {gone} has ended"):
                await remains.found(http, record(here))

    ran(test)


def test_a_server_that_comes_back_is_waited_for_and_one_that_does_not_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with open_http() as http:
            server = TrickleServer()
            async with server.serving() as base:
                pass
            port = int(base.rsplit(":", 1)[1])
            here = Channels(control=f"{base}/c")
            looking = asyncio.ensure_future(remains.found(http, record(here)))
            await asyncio.sleep(0)
            async with server.serving(port=port):
                server.directory.create("c", "x")
                await looking
            monkeypatch.setattr(remains, "ANSWER_SECONDS", 0.1)
            with pytest.raises(ChannelLost, match="channel c does not answer"):
                await remains.found(http, record(here))

    ran(test)
