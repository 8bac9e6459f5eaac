"""What is written on a thread is read on the loop, bounded, on one clock."""

import asyncio
import threading
from fractions import Fraction

import pytest

from composer.media.mpegts.demuxer import Demuxer
from composer.session.egress import CUT, Cut, Egress

TS = Fraction(1, 90_000)
KEY = b"\0\0\0\1\x67\1\0\0\0\1\x68\1\0\0\1\x65"


def give(egress: Egress, dts: int, kind: str = "video", *, key: bool = True, size: int = 0) -> None:
    egress.packet(kind, KEY + b"\xaa" * size, dts, dts, TS, key=key)


async def drain(egress: Egress) -> list[bytes | Cut]:
    found: list[bytes | Cut] = []
    while (item := await egress.read()) is not None:
        found.append(item)
    return found


def opened(limit: int = 4 << 20) -> Egress:
    egress = Egress(limit=limit)
    egress.open(video="h264", audio="opus")
    return egress


def test_a_reader_is_woken_by_another_thread() -> None:
    egress = opened()

    async def read() -> None:
        for act, wanted in ((lambda: give(egress, 0), Cut), (egress.end, type(None))):
            task = asyncio.ensure_future(egress.read())
            await asyncio.sleep(0)  # it waits now
            thread = threading.Thread(target=act)
            thread.start()
            assert isinstance(await task, wanted)
            thread.join()
            if wanted is Cut:
                assert isinstance(await egress.read(), bytes)

    asyncio.run(read())


def test_while_a_reader_waits_bytes_go_where_it_says_and_cuts_to_itself() -> None:
    egress = opened()
    went: list[bytes] = []

    def take(data: bytes) -> bool:
        went.append(data)
        return True

    async def test() -> None:
        reading = asyncio.ensure_future(egress.read(take))
        await asyncio.sleep(0)  # it waits now
        give(egress, 0)
        give(egress, 3000, key=False)
        assert await reading == CUT
        read = await egress.read(take)
        assert isinstance(read, bytes)
        assert went == []
        reading = asyncio.ensure_future(egress.read(take))
        await asyncio.sleep(0)
        for dts in (6000, 9000, 12_000):
            give(egress, dts, key=False)
        await asyncio.sleep(0)
        assert not reading.done()
        egress.end()
        assert await reading is None
        demuxer = Demuxer()
        units = demuxer.feed(read + b"".join(went)) + demuxer.flush()
        assert [unit.dts for unit in units] == [0, 3000, 6000, 9000, 12_000]
        assert len(went) == 3
        assert egress.counts.bytes == len(read) + sum(map(len, went))

    asyncio.run(test())


def test_what_is_not_taken_at_once_is_read_and_so_is_all_that_comes_before_that() -> None:
    egress = opened()
    asked: list[bytes] = []

    def leave(data: bytes) -> bool:
        asked.append(data)
        return False

    async def read() -> None:
        give(egress, 0)
        assert await egress.read(leave) == CUT
        assert isinstance(await egress.read(leave), bytes)
        reading = asyncio.ensure_future(egress.read(leave))
        await asyncio.sleep(0)
        give(egress, 3000, key=False)
        give(egress, 6000, key=False)
        data = await reading
        assert isinstance(data, bytes)
        assert len(asked) == 1
        assert data.startswith(asked[0])
        assert len(data) > len(asked[0])
        reading = asyncio.ensure_future(egress.read(leave))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        give(egress, 9000, key=False)
        assert len(asked) == 1  # nobody waits any more

    asyncio.run(read())


def test_each_keyframe_cuts_but_one_that_follows_at_once() -> None:
    egress = opened()
    for dts in (0, 3000, 180_000, 360_000):
        give(egress, dts)
    egress.end()
    found = asyncio.run(drain(egress))
    assert [each == CUT for each in found] == [True, False, True, False, True, False]
    assert egress.counts.segments == 3


def test_it_is_congested_until_it_has_been_read() -> None:
    egress = opened(limit=64_000)
    give(egress, 0, size=10_000)
    assert egress.refusal == ""
    give(egress, 3000, size=10_000)
    assert egress.refusal == "congested"
    egress.end()
    asyncio.run(drain(egress))
    assert egress.refusal == ""


@pytest.mark.fault("F-38")
def test_beyond_the_limit_pictures_are_left_out_until_the_next_keyframe() -> None:
    egress = opened(limit=64_000)
    give(egress, 0, size=60_000)
    give(egress, 3000, size=10_000, key=False)
    give(egress, 6000, key=False)
    give(egress, 9000)
    assert egress.counts.dropped == {"full": 1, "keyframe": 1}
    assert egress.counts.packets.total() == 2


def test_times_only_grow_and_both_tracks_move_together() -> None:
    egress = opened()
    times = [egress._ticks("video", dts) for dts in (900_000, 903_000, 902_000, 0, 3000)]
    assert times == [900_000, 903_000, 903_001, 906_001, 909_001]
    assert egress._ticks("audio", 6000) == 912_001


def test_another_codec_than_the_track_began_with_is_left_out() -> None:
    egress = Egress()
    egress.open(video="h264")
    give(egress, 0)
    egress.open(video="hevc")
    give(egress, 3000)
    assert egress.counts.dropped == {"track": 1}
    egress.open(video="h264")
    give(egress, 6000)
    assert egress.counts.packets.total() == 2


@pytest.mark.parametrize("first", ["video", "audio"])
def test_a_track_that_comes_later_is_told_and_sent(first: str) -> None:
    second = "audio" if first == "video" else "video"
    egress = Egress()
    opens = {"video": lambda: egress.open(video="h264"), "audio": lambda: egress.open(audio="opus")}
    opens[first]()
    give(egress, 0, first, size=9)
    opens[second]()
    give(egress, 90_000, second, size=9)
    give(egress, 93_000, first, size=9)
    egress.end()
    demuxer = Demuxer()
    found = asyncio.run(drain(egress))
    units = demuxer.feed(b"".join(each for each in found if isinstance(each, bytes)))
    units += demuxer.flush()
    told = sorted((unit.pts or 0, unit.track.kind) for unit in units)
    assert told == [(0, first), (90_000, second), (93_000, first)]
    assert {track.kind for track in demuxer.tracks} == {"video", "audio"}


def test_a_stream_without_output_wants_no_pictures() -> None:
    egress = Egress(wanted=False)
    assert egress.refusal == "unwanted"
    egress.open(video="h264")
    egress.packet("video", b"x", 0, 0, Fraction(1, 90_000), key=True)
    assert (egress.counts.bytes, egress.counts.dropped) == (0, {"unwanted": 1})
