"""What is written holds the right colours, times and sound, and can always be played."""

import logging
from fractions import Fraction
from pathlib import Path

import pytest

from composer.errors import MediaError
from composer.media.coders import PictureSettings
from composer.media.sound_encoder import SoundSettings
from composer.media.writer import Writer
from composer.pictures import pixels
from tests.media.films import (
    beep,
    number,
    numbered,
    read_film,
)
from tests.media.written import FAST, blocks_of, moment, timed, write


def test_a_shape_of_pixels_that_a_file_cannot_say_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wide = [pixels.shaped(image, Fraction(64, 45)) for image in numbered(3, 90, 72)]
    images = timed(wide, range(3), Fraction(1, 25))
    for name, said in (("a.mp4", 0), ("a.mkv", 1), ("a.webm", 1)):
        caplog.clear()
        write(tmp_path / name, images, pictures=PictureSettings("vp9"))
        assert caplog.text.count("that pixels are 64:45, and they are shown as squares") == said


@pytest.mark.parametrize("order", ["pictures first", "sound first"])
def test_pictures_are_the_first_track(tmp_path: Path, order: str) -> None:
    images = timed(numbered(10), range(0, 10 * 3600, 3600))
    blocks = blocks_of(beep(0.1, 0.4))
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings())
    steps = [(writer.picture, images), (writer.sound, blocks)]
    for step, items in steps if order == "pictures first" else steps[::-1]:
        for item in items:
            step(item, moment(item))
    writer.finish()

    film = read_film(tmp_path / "a.mp4")
    assert list(film.tracks) == ["video", "audio"]
    assert len(film.images) == 10
    assert abs(film.beep_at() - 0.1) < 0.005


def test_a_track_that_never_comes_does_not_hold_the_file_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mp4"
    writer = Writer(str(path), FAST, SoundSettings())
    for image in timed(numbered(200), range(0, 200 * 9000, 9000)):
        writer.picture(image, moment(image))
        if image.pts < 9 * 90_000:
            assert not path.exists()
    assert path.exists()
    for block in blocks_of(beep(0.1, 1), at=20):
        writer.sound(block, moment(block))
    writer.finish()

    film = read_film(path)
    assert list(film.tracks) == ["video"]
    assert len(film.images) == 200
    assert len(caplog.records) == 1


@pytest.mark.parametrize("track", ["image", "audio"])
def test_a_short_file_with_one_track_missing_is_written_whole(tmp_path: Path, track: str) -> None:
    images = timed(numbered(10), range(0, 10 * 3600, 3600)) if track == "image" else ()
    blocks = blocks_of(beep(0.1, 0.4)) if track == "audio" else ()

    film = write(tmp_path / "a.mp4", images, blocks, image=True, audio=True)

    assert list(film.tracks) == ["video" if track == "image" else "audio"]
    assert len(film.images) == len(images)


def test_one_picture_alone_is_written(tmp_path: Path) -> None:
    film = write(tmp_path / "a.mp4", timed(numbered(1), [0]))

    assert [number(image) for image in film.images] == [0]


def test_sound_is_left_out_when_asked(tmp_path: Path) -> None:
    images = timed(numbered(10), range(0, 10 * 3600, 3600))
    film = write(tmp_path / "a.mp4", images, blocks_of(beep(0.1, 0.4)), coded=SoundSettings("none"))

    assert list(film.tracks) == ["video"]


def test_what_was_given_is_playable_after_a_failure_elsewhere(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings())
    for image in timed(numbered(10), range(0, 10 * 3600, 3600)):
        writer.picture(image, moment(image))
    writer.close()
    writer.close()

    assert len(read_film(tmp_path / "a.mp4").images) == 10


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm", "p%d.png"])
def test_nothing_given_leaves_no_file(tmp_path: Path, name: str) -> None:
    writer = Writer(str(tmp_path / name), FAST, SoundSettings())

    with pytest.raises(MediaError, match=r"no picture or sound reached .*; nothing was written"):
        writer.finish()
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "pictures", "coded", "said"),
    [
        pytest.param(
            "a.webm",
            PictureSettings("h264"),
            SoundSettings(),
            ".webm files cannot hold h264 pictures; use codec: vp9, or a name that ends in .mp4",
            id="codec",
        ),
        pytest.param(
            "a.webm",
            FAST,
            SoundSettings("aac"),
            ".webm files cannot hold aac sound; use audio: opus",
            id="sound",
        ),
        pytest.param(
            "a.xyz",
            FAST,
            SoundSettings(),
            "{folder}/a.xyz: no kind of file is known by this ending;"
            " use mp4, m4v, m4a, mov, mkv, ts, webm, png, jpg, jpeg",
            id="ending",
        ),
        pytest.param(
            "no/a.mp4",
            FAST,
            SoundSettings(),
            "{folder}/no/a.mp4 cannot be written: there is no folder '{folder}/no'",
            id="folder",
        ),
        pytest.param(
            "a.webm",
            PictureSettings(tune="film"),
            SoundSettings(),
            "`tune` is for h264 and hevc, not for vp9",
            id="tune",
        ),
        pytest.param(
            "p%d.png",
            PictureSettings(preset="fast"),
            SoundSettings(),
            "png has no presets; leave `preset` away",
            id="preset",
        ),
    ],
)
def test_what_a_file_cannot_hold_is_told_at_once(
    tmp_path: Path, name: str, pictures: PictureSettings, coded: SoundSettings, said: str
) -> None:
    with pytest.raises(MediaError) as caught:
        Writer(str(tmp_path / name), pictures, coded)
    assert str(caught.value) == said.format(folder=tmp_path)


def test_a_good_file_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = timed(numbered(10), range(0, 10 * 3600, 3600))
    with caplog.at_level(logging.DEBUG):
        write(tmp_path / "a.mp4", images, blocks_of(beep(0.1, 0.4)))
    assert [record for record in caplog.records if record.name.startswith("composer")] == []
