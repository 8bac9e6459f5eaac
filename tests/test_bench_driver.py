"""The driver of many sessions: what it notes while they last, and what it makes of it."""

import asyncio
import time
from pathlib import Path

import pytest

from bench import clips, driver, process, sessions, works
from bench.driver import Came, Driven, Output
from bench.results import Spread
from composer.media.mpegts.muxer import Muxer
from composer.trickle.server import TrickleServer

pytestmark = pytest.mark.usefixtures("bench_clip")

PICTURE = b"\0\0\0\1\x09\xf0\0\0\0\1\x65\x88" + bytes(range(1, 250))
"""As far as a transport stream shows it: a delimiter, and the first slice of a key picture."""


def test_pictures_are_known_by_their_time_without_being_decoded() -> None:
    muxer = Muxer(video="h264", audio="opus")
    first, second, third = (
        muxer.video(PICTURE, ticks, ticks, key=True) for ticks in (6_000, 9_000, 12_000)
    )
    rest = muxer.audio(b"sound", 12_100) + third
    chunks = [(1.0, muxer.tables() + first + second), (2.0, rest[:-188]), (3.0, rest[-188:])]
    times = {6_000: 1.0, 9_000: 1.0, 12_000: 3.0}
    assert driver.times([chunks]) == times
    assert driver.times([chunks[:1], chunks[1:]]) == times


def test_what_came_back_is_counted_against_what_was_sent() -> None:
    sent = {10: 1.0, 20: 2.0, 30: 3.0, 40: 4.0}
    assert driver.came(sent, {10: 1.5, 30: 3.25, 99: 9.0}) == Came(4, (0.5, 0.25), ordered=True)
    assert driver.came(sent, {30: 3.5, 10: 4.0}).ordered is False


def test_an_output_is_followed_from_segment_to_segment() -> None:
    server = TrickleServer()
    channel = server.directory.create("out", "")
    output = Output(channel)
    for seq, pieces in enumerate([(b"ab", b"c"), (b"def",), (b"g", b"h")]):
        segment = channel.to_write(seq)
        assert segment is not None
        channel.began(seq, time.monotonic())
        for piece in pieces:
            segment.append(piece)
        segment.close()
    whole = [[data for _, data in segment if data] for segment in output.segments()]
    assert whole == [[b"ab", b"c"], [b"def"], [b"g", b"h"], []]
    noted = [at for segment in output.segments() for at, _ in segment]
    assert noted == sorted(noted)


def test_segments_of_an_output_outlive_the_window() -> None:
    server = TrickleServer()
    channel = server.directory.create("out", "")
    output = Output(channel)
    for seq in range(12):
        segment = channel.to_write(seq)
        assert segment is not None
        channel.began(seq, time.monotonic())
        segment.append(b"%d" % seq)
        segment.close()
    got = [b"".join(data for _, data in segment) for segment in output.segments()]
    assert got[:12] == [b"%d" % seq for seq in range(12)]


@pytest.mark.slow
def test_two_sessions_are_driven_by_a_process_of_its_own(tmp_path: Path) -> None:
    pipeline = tmp_path / "pass.yaml"
    pipeline.write_text(works.PASS)
    found = sessions.measured(pipeline, 2, clips.make("360p", 2.2), tmp_path)
    assert 0 <= found["lost"] < 2 * 66
    assert found["out of order"] == 0
    assert 0 < found["p50 ms"] <= found["p95 ms"] <= found["worst p95 ms"]
    assert 0 < found["driver cpu ms"] < found["cpu ms"]
    assert 0 < found["driver %"] < 50
    assert 0 < found["cores"] <= process.cores() + 0.1
    assert found["memory MB"] > 1


def test_a_driver_that_fails_is_told(tmp_path: Path) -> None:
    order = driver.Order("http://127.0.0.1:1", 1, str(tmp_path / "missing.ts"), (), 1)
    with pytest.raises(RuntimeError, match="the driver ended with 1"):
        asyncio.run(sessions._driven(order))


def test_the_numbers_are_those_of_all_sessions() -> None:
    came = (Came(3, (0.01, 0.03), ordered=True), Came(2, (0.02, 0.05), ordered=False))
    found = sessions.numbers(
        Driven(came, cpu=0.03, driver=0.01, machine=0.06, wall=0.02, pictures=5)
    )
    assert found == pytest.approx(
        {
            "cpu ms": 6,
            "driver cpu ms": 2,
            "driver %": 25,
            "cores": 2,
            "others' cores": 1,
            "p50 ms": 30,
            "p95 ms": 50,
            "worst p95 ms": 50,
            "lost": 1,
            "out of order": 1,
        }
    )


def test_the_table_has_a_row_for_each_number_of_sessions() -> None:
    named = {f"byoc {name}": Spread(2, 1, 3) for name in sessions.COLUMNS}
    head, rule, *rows = sessions.table({"8 sessions, 360p": named, "10 sessions, 360p": named})
    assert head.count("|") == rule.count("|") == len(sessions.COLUMNS) + 2
    assert [row.split(" | ")[0] for row in rows] == ["| 8 sessions, 360p", "| 10 sessions, 360p"]
    assert rows[0].count("2 (1-3)") == len(sessions.COLUMNS)
