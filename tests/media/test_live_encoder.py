"""A session's pictures and sound become packets at once, on the times of the source."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from composer.errors import MediaError
from composer.media.coders import PictureSettings
from composer.media.live_encoder import LiveWriter
from composer.media.sound_encoder import SoundSettings
from composer.node.frames import Moment
from composer.testing import bars, picture, sound
from tests.media.outlets import Sink
from tests.stubs import WAIT


def writer(
    sink: Sink,
    pictures: PictureSettings = PictureSettings(preset="ultrafast"),  # noqa: B008 - a frozen value
    coded: SoundSettings = SoundSettings(),  # noqa: B008 - a frozen value
    *,
    heard: bool = False,
) -> LiveWriter:
    return LiveWriter(sink, pictures, coded, expected=lambda kind: kind == "video" or heard)


@pytest.mark.parametrize(("asked", "sessions", "expected"), [(0, 1, 2), (0, 9, 1), (3, 9, 3)])
def test_a_large_picture_gets_threads_while_cores_are_free(
    monkeypatch: pytest.MonkeyPatch, asked: int, sessions: int, expected: int
) -> None:
    monkeypatch.setattr("composer.media.cores.count", lambda: 16)
    settings = PictureSettings(preset="ultrafast", threads=asked)
    here = LiveWriter(
        Sink(), settings, SoundSettings(), expected=lambda kind: kind == "video", sessions=sessions
    )
    show(here, 0.0, 1920, 1080)
    assert here.threads == expected


def test_a_picture_is_encoded_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, sink = threading.Semaphore(0), Sink()
    monkeypatch.setattr("composer.media.live_encoder.ENCODING", turns)
    here = writer(sink)
    thread = threading.Thread(target=show, args=(here, 0.0))
    thread.start()
    assert not sink.given
    turns.release()
    thread.join(WAIT)
    assert len(sink.given) == 1
    assert turns.acquire(blocking=False)


def show(cast: LiveWriter, seconds: float, width: int = 64, height: int = 48) -> None:
    image = picture(bars(width, height), seconds=seconds)
    cast.picture(image, Moment(image.pts or 0, Fraction(1, 90_000)))


def hear(cast: LiveWriter, seconds: float, channels: int = 1) -> None:
    block = sound(np.zeros((channels, 960), np.float32), seconds=seconds)
    cast.sound(block, Moment(block.pts or 0, Fraction(1, 48_000)))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_each_picture_comes_out_before_the_next_goes_in(codec: str) -> None:
    sink = Sink()
    cast = writer(sink, PictureSettings(codec, "ultrafast"))
    for number in range(10):
        show(cast, 5 + number / 25)
        assert len(sink.pictures()) == number + 1
    assert [each.seconds for each in sink.pictures()] == [5 + number / 25 for number in range(10)]
    assert not any(each.late for each in sink.pictures())
    assert [each.key for each in sink.pictures()] == [True] + [False] * 9
    assert sink.tracks == [(codec, "", 2)]


def test_keyframes_come_by_media_time_only() -> None:
    sink = Sink()
    cast = writer(sink, PictureSettings(preset="medium", keyframe_s=1))
    for number in range(60):
        image = picture(bars(64, 48) if number % 7 else 255 - bars(64, 48), seconds=number / 20)
        cast.picture(image, Moment(image.pts or 0, Fraction(1, 90_000)))
    keys = [place for place, each in enumerate(sink.pictures()) if each.key]
    assert keys == [0, 20, 40]


@pytest.mark.fault("F-38")
def test_congestion_drops_pictures_and_ends_with_a_keyframe() -> None:
    sink = Sink()
    cast = writer(sink)
    for number in range(9):
        sink.refusal = "congested" if 3 <= number < 6 else ""
        show(cast, number / 25)
    assert sink.lost == {"congested": 3}
    assert [each.key for each in sink.pictures()] == [True, False, False, True, False, False]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.fault("F-29")
def test_sound_before_the_first_picture_is_held(channels: int) -> None:
    sink = Sink()
    cast = writer(sink, heard=True)
    for number in range(150):  # 3 s
        hear(cast, number * 0.02, channels)
    assert sink.given == []
    show(cast, 3)
    assert sink.given[0].kind == "video"
    assert sink.tracks == [("h264", "opus", channels)]
    heard = [each.seconds for each in sink.given[1:]]
    assert heard[0] == pytest.approx(0.98, abs=0.03)
    assert sink.lost == {"early": 49}


@pytest.mark.fault("F-29")
def test_sound_nobody_expected_is_told_when_it_comes() -> None:
    sink = Sink()
    cast = writer(sink)
    show(cast, 0)
    for number in range(5):
        hear(cast, number * 0.02)
    assert sink.tracks == [("h264", "", 2), ("", "opus", 1)]
    assert {each.kind for each in sink.given} == {"video", "audio"}
    assert [each.key for each in sink.pictures()] == [True]


@pytest.mark.fault("F-30")
def test_sound_alone_goes_out_with_its_first_block() -> None:
    sink = Sink()
    cast = LiveWriter(
        sink, PictureSettings(), SoundSettings(), expected=lambda kind: kind == "audio"
    )
    for number in range(3):
        hear(cast, number * 0.02)
    assert sink.tracks == [("", "opus", 1)]
    assert sink.given
    show(cast, 0.06)
    assert sink.tracks[1:] == [("h264", "opus", 1)]


def test_sound_that_has_waited_too_long_for_a_picture_goes_out() -> None:
    sink = Sink()
    cast = writer(sink, heard=True)
    for number in range(550):  # 11 s
        hear(cast, number * 0.02)
    assert sink.tracks == [("", "opus", 1)]
    assert sink.given[0].seconds == pytest.approx(8, abs=0.05)
    assert sink.given[-1].seconds == pytest.approx(11, abs=0.05)


@pytest.mark.parametrize("codec", ["opus", "aac"])
def test_sound_whose_layout_and_rate_change_goes_on(codec: str) -> None:
    sink = Sink()
    cast = writer(sink, coded=SoundSettings(codec), heard=True)
    show(cast, 0)
    for number in range(100):
        layout, rate = ("5.1", 48_000) if number < 50 else ("mono", 44_100)
        channels = 6 if layout == "5.1" else 1
        block = av.AudioFrame.from_ndarray(
            np.full((channels, rate // 50), 0.1, np.float32), "fltp", layout
        )
        block.sample_rate, block.pts = rate, number * rate // 50
        block.time_base = Fraction(1, rate)
        cast.sound(block, Moment(block.pts, block.time_base))
    cast.finish()
    heard = [each.seconds for each in sink.given if each.kind == "audio"]
    assert heard[-1] - heard[0] == pytest.approx(2, abs=0.08)
    assert sink.tracks == [("h264", codec, 2)]


@pytest.mark.fault("F-24")
def test_other_sizes_are_fitted_into_the_first() -> None:
    sink = Sink()
    cast = writer(sink)
    show(cast, 0)
    show(cast, 0.04, 128, 72)
    show(cast, 0.08)
    assert [each.key for each in sink.pictures()] == [True, False, False]


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(MediaError, match="cannot send vp9; write `codec: h264`"):
        writer(Sink(), PictureSettings("vp9"))


def test_what_is_in_the_output_already_is_not_encoded_again() -> None:
    sink = Sink(until=0.08)
    here = writer(sink)
    for number in range(5):
        show(here, number / 25)
    assert [each.seconds for each in sink.pictures()] == [0.12, 0.16]
    assert sink.pictures()[0].key
    assert sink.lost == {"repeated": 3}
