"""Streams of several kinds through a whole worker, and through a whole run: in at one end, out at
the other.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from composer.compiler.compile import plan_of
from composer.compiler.plan import Mode
from composer.engine.run import Media, Run
from composer.media.clip import Piece
from tests.media.streams import expected, files, matrix, seen
from tests.media.streams.files import File
from tests.media.streams.matrix import Choice
from tests.media.streams.seen import Seen
from tests.server.streams import PASS, compiled_of, ran, serving

LOSSY: Final = 0.05
"""Seconds of sound that an encoder adds at both ends."""

STREAMS: Final = (
    Choice(pictures="h264-b", pes="two", length="zero", sound="mp2", blocks="cut"),
    Choice(pictures="hevc-open", pes="units", sound="opus-51"),
    Choice(pictures="h264-fields-bare", sound="ac3", scene="two-sounds"),
    Choice(pictures="mpeg2-b", sound="latm", packets="mixed", timing="wrap"),
    Choice(pictures="h264-refresh", sound="none", tables="start"),
    Choice(scene="sound-moves"),
    Choice(pictures="none"),
)


def paced(data: bytes, seconds: float = 2.0, count: int = 25) -> Iterator[Piece]:
    """The bytes in one segment, as evenly as they come from a network."""
    size = -(-len(data) // count)
    for place in range(count):
        part = data[place * size : (place + 1) * size]
        yield Piece(place * seconds / count, part, begins=place == 0)


def heard(segments: list[bytes]) -> Seen:
    """What came back."""
    data = b"".join(segments)
    return seen.by_library(data, form="mpegts") if data else Seen()


@pytest.mark.parametrize("choice", [pytest.param(each, id=str(each)) for each in STREAMS])
def test_a_worker_gives_back_what_a_stream_holds(choice: Choice) -> None:
    stream = matrix.build(choice)
    given: list[Seen] = []

    async def test() -> None:
        async with serving(PASS) as stage:
            there = await stage.start()
            assert there.status == 200, there.answer
            session = stage.sessions[there.name]
            await there.publish(paced(stream.data), speed=4)
            await there.delete("")
            await session.over.wait()
            await there.close()
            given.append(heard(there.output))
            parsed = session.status()["input_status"]["reader"] == "parser"
            assert parsed == (choice.pes == "units")

    ran(test)
    assert_same(given[0], expected.wanted(stream))


FILES: Final = (
    File("avi", "avi", "h264-b", "mp3"),
    File("mov", "mov", "hevc-b", "aac", begin=0.5),
    File("mkv", "matroska", "av1", "opus-51"),
    File("mpg", "mpeg", "mpeg2-b", "mp2"),
    File("mp4", "mp4", "h264-10bit", "aac-44"),
)


@pytest.mark.parametrize("file", [pytest.param(each, id=str(each)) for each in FILES])
def test_a_run_gives_what_a_file_holds(file: File, tmp_path: Path) -> None:
    path, out = files.write(file, tmp_path), tmp_path / "out.mp4"
    plan = plan_of(compiled_of(PASS), Mode.FILE)
    run = Run(plan, Media({"": str(path)}, {"": str(out)}))
    run.start()
    run.wait()
    right = expected.in_time(seen.by_library(path).from_first())
    assert_same(seen.by_library(out), right)


def assert_same(given: Seen, right: Seen) -> None:
    """The same pictures in steps as long, the same tone for as long."""
    given = given.from_first()
    assert given.numbers == right.numbers
    times = [at for _, at in given.pictures if at is not None]
    assert all(abs(there - here - 0.04) < 0.0015 for here, there in pairwise(times))
    assert given.seconds == pytest.approx(right.seconds, abs=2 * LOSSY)
    for span in right.spans:
        heard = next(each for each in given.spans if each.end > span.begin)
        tone = heard.between(span.begin, span.end).tone
        assert tone == pytest.approx(span.tone, abs=3)
