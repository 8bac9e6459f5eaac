"""What is written on a thread is read on the loop, bounded, on one clock."""

import asyncio
import threading
from fractions import Fraction

import pytest

from composer.media.mpegts.demuxer import Demuxer
from composer.media.mpegts.written import Written
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


# after another process


WROTE = Written(
    "h264", "opus", 2, 3, {"video": 900_000, "audio": 899_000}, {0: 4, 256: 7, 257: 9, 4096: 4}
)


def going_on(after: Written = WROTE, shift: int = 0, *, repeats: bool = True) -> Egress:
    egress = Egress()
    egress.go_on_after(after, shift, repeats=repeats)
    return egress


def ticks_of(egress: Egress) -> list[tuple[str, int | None]]:
    egress.end()
    found = asyncio.run(drain(egress))
    demuxer = Demuxer()
    units = demuxer.feed(b"".join(each for each in found if isinstance(each, bytes)))
    units += demuxer.flush()
    return sorted((unit.track.kind, unit.dts) for unit in units)


def test_what_another_process_has_written_is_not_written_twice() -> None:
    egress = going_on()
    seen = [egress.repeats(dts, TS) for dts in (890_000, 900_000, 903_000, 906_000)]
    assert seen == [True, True, False, False]
    egress.open(video="h264", audio="opus")
    give(egress, 903_000)
    for dts in (897_000, 899_000, 901_000, 903_000):
        give(egress, dts, "audio")
    assert ticks_of(egress) == [("audio", 901_000), ("audio", 903_000), ("video", 903_000)]
    assert egress.counts.dropped == {"repeated": 2}


def test_counters_tables_and_times_go_on() -> None:
    egress = going_on()
    egress.open(video="h264", audio="opus")
    give(egress, 903_000)
    (_, data) = (asyncio.run(egress.read()), asyncio.run(egress.read()))
    assert isinstance(data, bytes)
    turns = {(data[at + 1] & 31) << 8 | data[at + 2]: data[at + 3] & 15 for at in (0, 188, 376)}
    assert turns == {0: 4, 4096: 4, 256: 7}
    assert data[188 + 5 + 5] >> 1 & 31 == 3  # the version of the map
    after = egress.written()
    assert after is not None
    assert (after.last["video"], after.turns[256]) == (903_000, 8)


@pytest.mark.parametrize("wraps", [-1, 0, 2])
def test_a_clock_of_33_bits_has_no_beginning(wraps: int) -> None:
    egress = going_on()
    begin = 903_000 + wraps * (1 << 33)
    assert egress.repeats(begin - 3000, TS)
    assert not egress.repeats(begin, TS)


def test_another_clock_begins_behind_what_is_written() -> None:
    for egress in (going_on(repeats=False), going_on(Written("h264", last={"video": 1 << 32}))):
        last = max((egress._after or WROTE).last.values())
        assert not egress.repeats(9000, TS)
        egress.open(video="h264")
        give(egress, 9000)
        give(egress, 12_000)
        times = [ticks for _, ticks in ticks_of(egress)]
        assert times == [last + 3000, last + 6000]


def test_times_that_were_shifted_stay_so() -> None:
    first = opened()
    give(first, 900_000)
    give(first, 0)
    after = first.written()
    assert after is not None
    second = going_on(after, first.shift)
    assert [second.repeats(dts, TS) for dts in (0, 3000)] == [True, False]


def test_another_pipeline_may_have_other_tracks() -> None:
    egress = going_on()
    egress.open(video="hevc")
    give(egress, 903_000)
    assert egress.counts.packets == {"video": 1}
    after = egress.written()
    assert after is not None
    assert (after.video, after.audio, after.version) == ("hevc", "opus", 4)


def test_of_nothing_there_is_nothing_to_go_on_with() -> None:
    assert opened().written() is None
