"""Pictures into packets, and back."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from composer.media.coders import PictureSettings
from composer.media.picture_encoder import PictureEncoder
from composer.media.reader import Reader
from composer.media.sound_encoder import SoundSettings
from composer.media.writer import Writer
from composer.node.frames import ColorTags, Moment
from composer.pictures import pixels
from composer.pictures.chain import Chain
from composer.testing import bars, gradient, picture
from tests.media.films import (
    assert_bars,
    number,
    numbered,
    read_film,
    write_film,
)
from tests.media.written import FAST, TS, moment, timed, write

SOME_CODECS = [
    pytest.param("a.mp4", PictureSettings(crf=4), "h264", id="h264"),
    pytest.param("a.mkv", PictureSettings("hevc", crf=4), "hevc", id="hevc"),
    pytest.param("a.webm", PictureSettings(crf=4), "vp9", id="vp9"),
    pytest.param("a.mp4", PictureSettings("av1", "ultrafast", crf=4), "av1", id="av1"),
    pytest.param("a.mkv", PictureSettings("mjpeg", crf=2), "mjpeg", id="mjpeg"),
    pytest.param("a.mov", PictureSettings("png"), "png", id="png"),
    pytest.param("a.ts", PictureSettings(crf=4, bitrate=0), "h264", id="ts"),
]


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24", "rgba"])
@pytest.mark.parametrize(("name", "settings", "codec"), SOME_CODECS)
@pytest.mark.fault("F-25")
def test_colours_survive_every_codec(
    tmp_path: Path, name: str, settings: PictureSettings, codec: str, layout: str
) -> None:
    images = [picture(bars(256, 64), layout, seconds=index / 25) for index in range(12)]

    film = write(tmp_path / name, images, pictures=settings)

    assert film.tracks["video"].codec.canonical_name == codec
    assert len(film.images) == 12
    assert_bars(film.images[1])


@pytest.mark.parametrize("layout", ["yuv420p", "gray"])
@pytest.mark.parametrize(("name", "settings", "codec"), SOME_CODECS)
def test_a_ramp_keeps_its_ends(
    tmp_path: Path, name: str, settings: PictureSettings, codec: str, layout: str
) -> None:
    ramp = gradient(256, 64)
    images = [picture(ramp, layout, seconds=index / 25) for index in range(12)]
    film = write(tmp_path / name, images, pictures=settings)

    got = pixels.to_rgb(film.images[0]).astype(np.int16)
    assert np.abs(got - ramp).max() <= 6
    assert np.abs(got - ramp).mean() <= 1.5


@pytest.mark.parametrize(
    ("name", "step"),
    [("a.mp4", 0), ("a.mov", 0), ("a.ts", 0), ("a.mkv", 1e-3), ("a.webm", 1e-3)],
)
def test_variable_times_travel_untouched(tmp_path: Path, name: str, step: float) -> None:
    pts = [0, 3000, 3100, 9000, 45000, 46001, 60000, 60900, 99000, 99100]
    film = write(tmp_path / name, timed(numbered(10), pts))

    first = film.times[0] if name == "a.ts" else 0  # its B-frames need a later start
    for got, want in zip(film.times, pts, strict=True):
        assert abs(float(got - first) - want / 90_000) <= step / 2 + 1e-9
    assert [number(image) for image in film.images] == list(range(10))
    dts = [each[1] for each in film.packets["video"] if each[1] is not None]
    assert all(b > a for a, b in pairwise(dts))


def test_a_time_base_that_changes_is_followed(tmp_path: Path) -> None:
    images = numbered(4)
    timed(images[:2], [0, 3600])
    timed(images[2:], [80, 120], Fraction(1, 1000))

    assert write(tmp_path / "a.mp4", images).times == [Fraction(n, 25) for n in range(4)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_last_picture_is_shown_as_long_as_the_one_before(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, timed(numbered(25), range(0, 25 * 3600, 3600)))

    with av.open(str(tmp_path / name)) as file:
        assert file.duration == 1_000_000


def test_the_file_tells_the_rate_of_the_times(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", timed(numbered(30), range(0, 30 * 1500, 1500)))

    with av.open(str(tmp_path / "a.mkv")) as file:
        assert file.streams.video[0].average_rate == 60


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_keyframes_come_by_time(tmp_path: Path, codec: str) -> None:
    pts = [0, 9000, 40_000, 89_999, 90_001, 120_000, 178_000, 269_000, 275_000, 280_000, 359_990]
    settings = PictureSettings(codec, "ultrafast", keyframe_s=1)

    film = write(tmp_path / "a.mp4", timed(numbered(11), pts), pictures=settings)

    # the first at or after 0, 1, 2 and 3 s; 4 s has not come
    assert [round(time / TS) for time in film.keyframes] == [0, 90_001, 269_000, 275_000]


def test_the_types_of_the_source_do_not_leak(tmp_path: Path) -> None:
    images = timed(numbered(20), range(0, 20 * 3600, 3600))
    for image in images:
        image.pict_type = av.video.frame.PictureType.I

    film = write(tmp_path / "a.mp4", images)

    assert len(film.keyframes) == 1
    kinds = [av.video.frame.PictureType(image.pict_type).name for image in film.images]
    assert kinds.count("I") == 1


def test_given_pictures_are_never_written_to(tmp_path: Path) -> None:
    images = timed(numbered(8, 65, 47), range(0, 80, 10), Fraction(1, 10))
    before = [[plane.copy() for plane in pixels.planes(image)] for image in images]
    marks = [(image.pts, image.time_base, image.pict_type) for image in images]
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings(), audio=False)
    for index, image in enumerate(images):
        writer.picture(image, Moment(index * 90_000, TS))
    writer.finish()

    assert [(image.pts, image.time_base, image.pict_type) for image in images] == marks
    for image, planes in zip(images, before, strict=True):
        for now, then in zip(pixels.planes(image), planes, strict=True):
            np.testing.assert_array_equal(now, then)
    assert read_film(tmp_path / "a.mp4").times == list(range(8))


def test_repeated_times_are_left_out_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings(), audio=False)
    for image, pts in zip(numbered(6), [0, 10, 10, 5, 20, 20], strict=True):
        writer.picture(image, Moment(pts, Fraction(1, 100)))
    writer.finish()

    film = read_film(tmp_path / "a.mp4")
    assert [number(image) for image in film.images] == [0, 1, 4]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24"])
@pytest.mark.parametrize(
    ("name", "codec", "size"),
    [
        pytest.param("a.mp4", "h264", (638, 358), id="h264"),
        pytest.param("a.mp4", "hevc", (638, 358), id="hevc"),
        pytest.param("a.webm", "vp9", (639, 359), id="vp9"),
        pytest.param("a.mkv", "mjpeg", (639, 359), id="mjpeg"),
        pytest.param("a.mov", "png", (639, 359), id="png"),
    ],
)
@pytest.mark.fault("F-34")
def test_odd_sizes(
    tmp_path: Path, name: str, codec: str, size: tuple[int, int], layout: str
) -> None:
    images = [picture(bars(639, 359), layout, seconds=index / 25) for index in range(3)]

    film = write(tmp_path / name, images, pictures=PictureSettings(codec, crf=4))

    assert {(image.width, image.height) for image in film.images} == {size}
    assert_bars(film.images[1])


def test_a_picture_of_another_size_is_fitted_on_black(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = [picture(bars(256, 128), seconds=index / 25) for index in range(3)]
    other = [picture(bars(256, 256), seconds=index / 25) for index in range(3, 6)]
    wide = [picture(bars(511, 101), seconds=index / 25) for index in range(6, 9)]

    film = write(tmp_path / "a.mp4", [*first, *other, *wide])

    assert {(image.width, image.height) for image in film.images} == {(256, 128)}
    assert len(film.images) == 9
    assert len(caplog.records) == 1
    boxed = pixels.to_rgb(film.images[4]).astype(np.int16)
    assert boxed[:, :60].max() <= 3
    assert boxed[:, 196:].max() <= 3
    for index, color in enumerate(((255, 255, 255), (255, 255, 0), (0, 255, 255))):
        assert np.abs(boxed[64, 64 + 16 * index + 8] - color).max() <= 3
    assert np.abs(pixels.to_rgb(film.images[7])[64, 16].astype(np.int16) - 255).max() <= 3
    assert pixels.to_rgb(film.images[7])[:30].max() <= 3


@pytest.mark.parametrize(
    ("name", "codec", "decoder"),
    [("a.mov", "prores", ""), ("a.mov", "qtrle", ""), ("a.webm", "vp9", "libvpx-vp9")],
)
@pytest.mark.parametrize("layout", ["rgba", "yuva444p"])
def test_a_clear_picture_of_another_size_is_fitted_on_black(
    tmp_path: Path, name: str, codec: str, decoder: str, layout: str
) -> None:
    images = []
    for index, size in enumerate(((64, 64), (64, 32))):
        rgba = np.full((size[1], size[0], 4), (220, 30, 40, 100), np.uint8)
        images.append(picture(rgba, layout, seconds=index / 25))
    write(tmp_path / name, images, pictures=PictureSettings(codec))

    with av.open(str(tmp_path / name)) as file:
        context: Any = file.streams.video[0].codec_context
        context = av.CodecContext.create(decoder, "r") if decoder else context
        boxed = [image for packet in file.demux(video=0) for image in context.decode(packet)][1]
    given = pixels.planes(boxed.reformat(format="rgba"))[0].astype(int)
    assert np.abs(given[32, 32] - (220, 30, 40, 100)).max() <= 6
    assert np.abs(given[4, 32] - (0, 0, 0, 255)).max() <= 6


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24"])
def test_colour_tags_are_written(tmp_path: Path, layout: str) -> None:
    image = picture(bars(256, 64), "rgb24")
    tags = ColorTags(1, 1, 1)
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings(), audio=False)
    for index in range(2):
        shown = pixels.convert(image, layout, color=tags)
        shown.pts, shown.time_base = index, Fraction(1, 25)
        writer.picture(shown, moment(shown, tags))
    writer.finish()

    film = read_film(tmp_path / "a.mp4")
    assert pixels.tags(film.images[0]) == tags
    assert film.images[0].color_range == pixels.LIMITED
    assert_bars(film.images[0])


def test_the_shape_of_pixels_is_written(tmp_path: Path) -> None:
    source = write_film(
        tmp_path / "a.mkv", numbered(3, 720, 576), sample_aspect_ratio=Fraction(64, 45)
    )
    images: list[Any] = list(Reader(str(source), layout="yuv420p").read())

    film = write(tmp_path / "b.mp4", images)

    assert film.tracks["video"].sample_aspect_ratio == Fraction(64, 45)


@pytest.mark.parametrize(("mode", "order"), [("tff", 4), ("bff", 5), ("prog", 1)])
def test_the_order_of_fields_is_written(tmp_path: Path, mode: str, order: int) -> None:
    images = [Chain().run(image, ("setfield", {"mode": mode})) for image in numbered(3)]
    film = write(tmp_path / "a.mkv", timed(images, range(3), Fraction(1, 25)))
    assert film.tracks["video"].field_order == order


def test_an_encoder_needs_no_container() -> None:
    settings = PictureSettings("h264", crf=20)
    context = av.CodecContext.create(settings.coder.name, "w")
    encoder = PictureEncoder(context, settings, live=True)
    decoder = av.CodecContext.create("h264", "r")

    got = []
    for image in timed(numbered(6), range(0, 6 * 3000, 3000)):
        image.duration = 3000
        packets = encoder.encode(image, moment(image))
        assert len(packets) == 1  # live: nothing is held
        got += [frame for packet in packets for frame in decoder.decode(packet)]
    got += [frame for packet in encoder.finish() for frame in decoder.decode(packet)]
    got += decoder.decode(None)

    assert [number(image) for image in got] == list(range(6))


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_live_holds_no_picture(tmp_path: Path, codec: str) -> None:
    images = timed(numbered(12), range(0, 12 * 3600, 3600))
    film = write(tmp_path / "a.mp4", images, pictures=PictureSettings(codec), live=True)

    assert len(film.images) == 12
    assert all(pts == dts for pts, dts, _ in film.packets["video"])


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_a_bitrate_is_kept_at_the_rate_of_the_times(tmp_path: Path, codec: str) -> None:
    noise = np.random.default_rng(1)
    images = []
    for index in range(120):
        rgb = noise.integers(0, 256, (30, 40, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        images.append(picture(rgb, seconds=index / 60))
    film = write(tmp_path / "a.mp4", images, pictures=PictureSettings(codec, bitrate=2_000_000))

    bits = 8 * sum(len(each[2]) for each in film.packets["video"]) / 2
    assert 1_400_000 < bits < 3_000_000


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_last_picture_lasts_as_long_as_it_says(tmp_path: Path, name: str) -> None:
    settings = PictureSettings(preset="ultrafast", options={"bf": "0"})
    writer = Writer(str(tmp_path / name), settings, SoundSettings("none"), audio=False)
    for pts, duration in enumerate((1, 1, 5)):
        (image,) = numbered(1)
        image.pts, image.time_base, image.duration = pts, Fraction(1, 10), duration
        writer.picture(image, Moment(pts, Fraction(1, 10)))
    writer.finish()
    opened: Any
    with av.open(str(tmp_path / name)) as opened:
        packets = [packet for packet in opened.demux(video=0) if packet.size]
        lengths = [float(packet.duration * packet.time_base) for packet in packets]
    assert lengths == pytest.approx([0.1, 0.1, 0.5], abs=0.002)
