"""Channels one after another as one stream, and viewers of different patience."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from composer.dev.relay import STEP, Relay
from composer.media.mpegts.demuxer import CLOCK, Demuxer, Unit
from composer.trickle.http import Http, open_http
from composer.trickle.publisher import Publisher
from composer.trickle.server import TrickleServer
from tests.dev.developing import ran
from tests.server import streams


async def published(http: Http, url: str) -> None:
    """Ten pictures in a channel of their own, which ends then."""
    channel = Publisher(http, url, content_type="video/MP2T")
    await channel.send(b"".join(each.data for each in streams.pieces(10)))


@contextlib.asynccontextmanager
async def relaying() -> AsyncIterator[tuple[Relay, TrickleServer, Http, str]]:
    relay, server = Relay(), TrickleServer()
    async with server.serving() as address, open_http() as http:
        gathering = asyncio.ensure_future(relay.run())
        try:
            yield relay, server, http, address
        finally:
            gathering.cancel()


async def followed(relay: Relay, server: TrickleServer, http: Http, url: str) -> None:
    name = url.rsplit("/", 1)[-1]
    server.directory.create(name, "video/MP2T")
    following = asyncio.ensure_future(relay.follow(http, url))
    await published(http, url)
    server.directory.delete(name)
    await following


def test_times_and_counters_go_on_from_one_channel_to_the_next() -> None:
    async def test() -> None:
        async with relaying() as (relay, server, http, address):
            demuxer, units = Demuxer(), list[Unit]()
            async with contextlib.aclosing(relay.view()) as pieces:
                for number, name in enumerate(("one", "two"), 1):
                    await followed(relay, server, http, f"{address}/{name}")
                    await seen(pieces, demuxer, units, 10 * number)
            times = [each.pts or 0 for each in units]
            assert [b - a for a, b in itertools.pairwise(times)] == (
                [CLOCK // 25] * 9 + [CLOCK // 30] + [CLOCK // 25] * 9
            )
            assert demuxer.damaged == 0

    ran(test)


def test_who_is_slow_leaves_out_what_is_older_than_the_newest_keyframe() -> None:
    """Two channels are one group: segments are not shorter than half a second."""

    async def test() -> None:
        async with relaying() as (relay, server, http, address):
            demuxer, units = Demuxer(), list[Unit]()
            async with contextlib.aclosing(relay.view()) as pieces:
                await followed(relay, server, http, f"{address}/one")
                await seen(pieces, demuxer, units, 10)
                for name in ("two", "three", "four", "five"):
                    await followed(relay, server, http, f"{address}/{name}")
                await seen(pieces, demuxer, units, 30)
            each = 9 * CLOCK // 25 + STEP
            assert [unit.pts for unit in units[::10]] == [0, each, 4 * each]

    ran(test)


def test_who_comes_late_begins_at_the_newest_keyframe() -> None:
    async def test() -> None:
        async with relaying() as (relay, server, http, address):
            for name in ("one", "two"):
                await followed(relay, server, http, f"{address}/{name}")
            units = list[Unit]()
            async with contextlib.aclosing(relay.view()) as pieces:
                await seen(pieces, Demuxer(), units, 10)
            assert units[0].key
            assert len(relay.picture()) == 10

    ran(test)


async def seen(
    pieces: AsyncIterator[bytes], demuxer: Demuxer, units: list[Unit], count: int
) -> None:
    """Read until there are so many units."""
    while len(units) < count:
        units += demuxer.feed(await anext(pieces))
