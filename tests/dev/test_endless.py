"""Pictures that do not end, and the feed that codes them at the pace of the clock."""

import asyncio
import itertools
import threading
from pathlib import Path

import av
import pytest

from composer.compiler.compile import compile_file, plan_of
from composer.dev.feed import LiveFeed, bars
from composer.engine.run import Media, Run
from composer.errors import MediaError
from composer.media.endless import CLOCK, Camera, Clip
from composer.media.mpegts.demuxer import Demuxer, Unit
from composer.node.registry import Registry
from composer.pictures import barcode, pixels
from composer.session.egress import Cut
from tests.dev.developing import ran
from tests.server import streams

LAVFI = "testsrc2=size=160x96:rate=25"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten numbered pictures, 0.4 s."""
    made = tmp_path / "clip.mp4"
    made.write_bytes(streams.clip_bytes(10))
    return made


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Half a second of pictures and sound."""
    file, made = tmp_path / "tone.yaml", tmp_path / "tone.mp4"
    file.write_text(
        "version: 1\nnodes:\n"
        "  source: {type: test_source, width: 64, height: 48, fps: 30, duration: 0.5, tone: 440}\n"
        "  out: {type: encode, preset: ultrafast}\n"
    )
    run = Run(plan_of(compile_file(file, Registry.installed())), Media(sinks={"": str(made)}))
    run.start()
    run.wait()
    return made


def number(image: av.VideoFrame) -> int | None:
    luma = pixels.planes(image)[0]
    return barcode.read(luma[: luma.shape[0] // 2])


def test_the_times_of_a_clip_go_on_where_it_begins_again(clip: Path) -> None:
    source = Clip(str(clip))
    images = list(itertools.islice(source.read(), 35))
    source.close()
    assert all(isinstance(each, av.VideoFrame) for each in images)
    assert [each.pts for each in images] == [place * CLOCK // 25 for place in range(35)]
    assert [number(each) for each in images] == [place % 10 for place in range(35)]  # type: ignore[arg-type]
    assert not source.has_sound


def test_sound_goes_on_too_and_stays_with_the_pictures(tone: Path) -> None:
    source = Clip(str(tone))
    assert source.has_sound
    seen: dict[str, list[float]] = {"VideoFrame": [], "AudioFrame": []}
    for item in itertools.islice(source.read(), 200):
        assert item.pts is not None
        seen[type(item).__name__].append(item.pts / CLOCK)
    source.close()
    for times in seen.values():
        assert times == sorted(set(times))
        assert times[-1] > 1.5, "it has begun again several times"
    assert abs(seen["VideoFrame"][-1] - seen["AudioFrame"][-1]) < 0.6


def test_a_clip_that_cannot_be_read_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no")
    with pytest.raises(MediaError, match=r"^no\.mp4 is not a media file"):
        Clip(str(tmp_path / "no.mp4"))


def test_a_camera_gives_pictures_with_times_from_nought_on() -> None:
    source = Camera(LAVFI, "lavfi")
    images = list(itertools.islice(source.read(), 5))
    source.close()
    assert [each.pts for each in images] == [place * CLOCK // 25 for place in range(5)]
    assert {each.format.name for each in images} == {"yuv420p"}


def test_a_camera_that_is_not_there_is_a_media_error() -> None:
    with pytest.raises(MediaError, match=r"^/dev/video99 cannot be opened as a camera"):
        Camera("/dev/video99")


def test_the_bars_end_where_they_begin(tmp_path: Path) -> None:
    made = bars(Registry.installed(), tmp_path)
    with av.open(str(made)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 120


def test_a_feed_codes_a_clip_in_its_own_time_over_and_over(clip: Path) -> None:
    async def test() -> None:
        feed, units = LiveFeed(lambda: Clip(str(clip)), lambda why: None), list[Unit]()
        feed.start()
        await taken(feed, 30, units, Demuxer())
        feed.stop()
        units = units[:30]
        times = [each.pts for each in units]
        assert times == [round(place * CLOCK / 25) + (times[0] or 0) for place in range(30)]
        assert all(each.pts == each.dts for each in units), "no B-frames"
        keys = [place for place, each in enumerate(units) if each.key]
        assert keys == [0, 25]

    ran(test)


def test_the_times_of_a_feed_go_on_over_a_pause(clip: Path) -> None:
    async def test() -> None:
        feed, units = LiveFeed(lambda: Clip(str(clip)), lambda why: None), list[Unit]()
        demuxer = Demuxer()
        feed.start()
        await taken(feed, 5, units, demuxer)
        feed.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await taken(feed, 15, units, demuxer)
        paused = len(units)
        feed.resume()
        await taken(feed, paused + 5, units, demuxer)
        feed.stop()
        times = [each.pts or 0 for each in units]
        assert {b - a for a, b in itertools.pairwise(times)} == {CLOCK // 25}

    ran(test)


def test_a_feed_that_cannot_be_opened_says_why_and_ends(tmp_path: Path) -> None:
    async def test() -> None:
        said, told = list[str](), threading.Event()

        def failed(why: str) -> None:
            said.append(why)
            told.set()

        feed = LiveFeed(lambda: Clip(str(tmp_path / "no.mp4")), failed)
        feed.start()
        assert await feed.egress.read() is None
        assert told.wait(5)
        assert said == ["no.mp4: there is no such file"]

    ran(test)


async def taken(feed: LiveFeed, count: int, units: list[Unit], demuxer: Demuxer) -> None:
    """Read until there are so many units of a feed."""
    while len(units) < count:
        item = await feed.egress.read()
        assert item is not None
        if not isinstance(item, Cut):
            units += demuxer.feed(item)
