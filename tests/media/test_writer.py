"""What is written holds the right colours, times and sound, and can always be played."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from composer.errors import MediaError
from composer.media.reader import Reader
from composer.media.writer import (
    PictureEncoder,
    PictureSettings,
    SoundEncoder,
    SoundSettings,
    Writer,
)
from composer.node.formats import Carrier
from composer.node.frames import Color, Moment
from composer.pictures import pixels
from composer.pictures.chain import Chain
from composer.testing import bars, gradient, picture, sound
from tests.media.films import (
    Film,
    Sound,
    assert_bars,
    beep,
    number,
    numbered,
    read_film,
    write_film,
)

TS = Fraction(1, 90_000)
FAST = PictureSettings(crf=4)


def moment(item: Any, color: Color = Color()) -> Moment:  # noqa: B008 - a frozen value
    return Moment(item.pts, item.time_base, color)


def timed(images: Sequence[av.VideoFrame], pts: Sequence[int], time_base: Fraction = TS) -> Any:
    for image, time in zip(images, pts, strict=True):
        image.pts, image.time_base = time, time_base
    return images


def write(
    path: Path,
    images: Sequence[av.VideoFrame] = (),
    blocks: Sequence[Any] = (),
    pictures: PictureSettings = FAST,
    coded: SoundSettings = SoundSettings(),  # noqa: B008 - a frozen value
    **options: Any,
) -> Film:
    """Write pictures and sound in the order of their times, and read the file by PyAV alone."""
    options = {"image": bool(images), "audio": bool(blocks)} | options
    writer = Writer(str(path), pictures, coded, **options)
    items = [*images, *blocks]
    for item in sorted(items, key=lambda item: item.pts * item.time_base):
        if isinstance(item, av.VideoFrame):
            writer.picture(item, moment(item))
        else:
            writer.sound(item, moment(item))
    writer.finish()
    writer.close()
    return read_film(path) if "%" not in path.name else Film()


def blocks_of(samples: Any, rate: int = 48_000, *, at: float = 0, size: int = 1000) -> list[Any]:
    return [
        sound(samples[:, start : start + size], rate, seconds=at + start / rate)
        for start in range(0, samples.shape[1], size)
    ]


def packets_of(path: Path) -> list[Any]:
    return list(Reader(str(path), sound=Carrier.PACKET).read())


# Pictures

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
    tags = Color(1, 1, 1)
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


def test_a_shape_of_pixels_that_a_file_cannot_say_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wide = [pixels.shaped(image, Fraction(64, 45)) for image in numbered(3, 90, 72)]
    images = timed(wide, range(3), Fraction(1, 25))
    for name, said in (("a.mp4", 0), ("a.mkv", 1), ("a.webm", 1)):
        caplog.clear()
        write(tmp_path / name, images, pictures=PictureSettings("vp9"))
        assert caplog.text.count("that pixels are 64:45, and they are shown as squares") == said


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


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_presets_have_one_set_of_names(tmp_path: Path, codec: str, preset: str) -> None:
    images = timed(numbered(5), range(0, 5 * 3600, 3600))

    film = write(tmp_path / "a.mp4", images, pictures=PictureSettings(codec, preset))

    assert [number(image) for image in film.images] == list(range(5))


def test_pictures_become_numbered_files(tmp_path: Path) -> None:
    images = [picture(bars(64, 48), layout) for layout in ("rgb24", "yuv420p", "rgb24")]
    write(tmp_path / "p%03d.png", timed(images, [0, 1, 2]))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["p001.png", "p002.png", "p003.png"]
    np.testing.assert_array_equal(
        pixels.to_rgb(read_film(tmp_path / "p001.png").images[0]), bars(64, 48)
    )


@pytest.mark.parametrize("name", ["one.png", "one.jpg"])
def test_a_name_without_number_takes_the_first_picture(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    film = write(tmp_path / name, timed(numbered(4), [0, 1, 2, 3]), blocks_of(beep(0.1, 1)))

    assert [number(image) for image in film.images] == [0]
    assert len(caplog.records) == 1


# Sound


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
@pytest.mark.parametrize("codec", ["ac3", "aac"])
def test_coded_sound_is_copied_bit_by_bit(tmp_path: Path, name: str, codec: str) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1, channels=2), codec))
    coded = read_film(source).packets["audio"]

    film = write(
        tmp_path / name, timed(numbered(25), range(0, 25 * 3600, 3600)), packets_of(source)
    )

    assert film.tracks["audio"].name == codec
    copied = [each[2] for each in film.packets["audio"]]
    if (name, codec) == ("a.ts", "aac"):  # MPEG-TS wants a header of 7 bytes on each
        copied = [each[7:] for each in copied]
    assert copied == [each[2] for each in coded]
    start = float(film.times[0]) if name == "a.ts" else 0
    assert abs(film.beep_at() - start - 0.5) < 0.005


def test_packets_of_mpeg_ts_fit_into_mp4(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.ts", numbered(50), sound=Sound(beep(1.0), "aac"))
    reader = Reader(str(source), layout="yuv420p", sound=Carrier.PACKET)
    writer = Writer(str(tmp_path / "a.mp4"), FAST, SoundSettings())
    for item in reader.read():
        if isinstance(item, av.VideoFrame):
            writer.picture(item, moment(item))
        else:
            writer.sound(item, moment(item))
    reader.close()
    writer.finish()

    film = read_film(tmp_path / "a.mp4")
    assert len(film.images) == 50
    assert abs(film.beep_at() - float(film.times[0]) - 1.0) < 0.005


def test_copied_packets_are_not_written_to(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1), "ac3"))
    packets = packets_of(source)
    before = [(packet.pts, packet.dts, packet.time_base, packet.stream) for packet in packets]

    write(tmp_path / "a.mp4", blocks=packets)

    after = [(packet.pts, packet.dts, packet.time_base, packet.stream) for packet in packets]
    assert after == before


@pytest.mark.parametrize(
    ("name", "source", "asked", "codec"),
    [
        pytest.param("a.webm", "aac", "auto", "opus", id="webm takes no aac"),
        pytest.param("a.mp4", "mp2", "auto", "aac", id="mp4 takes no mp2"),
        pytest.param("a.mp4", "ac3", "opus", "opus", id="asked for opus"),
        pytest.param("a.mkv", "libopus", "aac", "aac", id="asked for aac"),
        pytest.param("a.mkv", "libopus", "auto", "opus", id="copied opus"),
        pytest.param("a.ts", "pcm_s16le", "auto", "aac", id="pcm"),
        pytest.param("a.ts", "adpcm_ms", "auto", "aac", id="several blocks in a packet"),
        pytest.param("a.mp4", "wmav2", "auto", "aac", id="wma"),
    ],
)
def test_a_tone_stays_at_its_time(
    tmp_path: Path, name: str, source: str, asked: str, codec: str
) -> None:
    ending = {"adpcm_ms": "wav", "wmav2": "wma"}.get(source, "mkv")
    path = write_film(tmp_path / f"in.{ending}", sound=Sound(beep(1.25), source))
    heard_at = read_film(path).beep_at()
    images = timed(numbered(75), range(0, 75 * 3600, 3600))

    film = write(tmp_path / name, images, packets_of(path), coded=SoundSettings(asked))

    assert film.tracks["audio"].codec.canonical_name == codec
    start = float(film.times[0]) if name == "a.ts" else 0
    assert abs(film.beep_at() - start - heard_at) < 0.005
    assert abs(heard_at - 1.25) < 0.05  # MP2 and WMA have a delay that no header tells


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_samples_of_any_rate_are_encoded(tmp_path: Path, name: str, rate: int) -> None:
    film = write(tmp_path / name, blocks=blocks_of(beep(1.5, rate=rate), rate, at=2))

    assert abs(film.beep_at() - 3.5) < 0.005


def test_sound_that_begins_late_keeps_its_offset(tmp_path: Path) -> None:
    images = timed(numbered(50), range(0, 50 * 3600, 3600))

    film = write(tmp_path / "a.mp4", images, blocks_of(beep(0.5, 1), at=0.75))

    assert film.times[0] == 0
    assert abs(film.beep_at() - 1.25) < 0.005


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    tone = beep(0, 0.2)
    parts = [*blocks_of(tone), *blocks_of(tone, at=0.7)]

    film = write(tmp_path / "a.mkv", blocks=parts)

    loud = np.abs(film.samples[0]) > 0.2
    place = int(0.45 * 48_000)
    assert not loud[int(0.25 * 48_000) : int(0.65 * 48_000)].any()
    second = film.sound_start + (place + int(np.argmax(loud[place:]))) / 48_000
    assert abs(second - 0.7) < 0.005


def test_an_overlap_is_cut(tmp_path: Path) -> None:
    parts = [*blocks_of(beep(5, 1)), *blocks_of(beep(1.0, 2), at=0.5)]

    film = write(tmp_path / "a.mkv", blocks=parts)

    assert abs(film.beep_at() - 1.5) < 0.005


def test_rounded_times_do_not_add_up(tmp_path: Path) -> None:
    """Two minutes of sound whose times are rounded to 1 ms, as in Matroska."""
    blocks = blocks_of(beep(119.5, 120, rate=44_100), 44_100, size=1024)
    for index, block in enumerate(blocks):
        block.pts, block.time_base = round(1000 * index * 1024 / 44_100), Fraction(1, 1000)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 119.5) < 0.001
    assert abs(film.samples.shape[1] / film.rate - 120) < 0.05


def test_unsteady_times_leave_the_samples_alone(tmp_path: Path) -> None:
    time = np.arange(96_000) / 48_000
    blocks = blocks_of(0.5 * np.sin(2 * np.pi * 1000 * time)[None].astype(np.float32))
    for index, block in enumerate(blocks):
        block.pts += (0, 400, -300, 200)[index % 4]

    film = write(tmp_path / "a.mkv", blocks=blocks)

    spectrum = np.abs(np.fft.rfft(film.samples[0][24_000:72_000])) ** 2
    assert spectrum[1000] / spectrum.sum() > 0.98


def test_the_end_of_copied_sound_is_cut_as_in_the_source(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1.003), "libopus"))

    film = write(tmp_path / "a.mkv", blocks=packets_of(source))

    assert film.samples.shape == read_film(source).samples.shape


@pytest.mark.parametrize(
    ("name", "layout", "wanted"),
    [
        pytest.param("a.mp4", "5.1(side)", "5.1", id="aac keeps 5.1"),
        pytest.param("a.webm", "5.1(side)", "5.1", id="opus keeps 5.1"),
        pytest.param("a.mp4", "7.1", "5.1", id="7.1 becomes 5.1"),
        pytest.param("a.webm", "4.0", "stereo", id="opus makes stereo of 4.0"),
        pytest.param("a.mp4", "mono", "mono", id="mono"),
    ],
)
def test_channels(tmp_path: Path, name: str, layout: str, wanted: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    packed = beep(0.1, 0.5, channels=channels).T.reshape(1, -1)
    block = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "flt", layout)
    block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), 0

    film = write(tmp_path / name, blocks=[block])

    assert film.tracks["audio"].layout.name == wanted
    assert abs(film.beep_at() - 0.1) < 0.005


def test_the_kind_of_samples_may_change(tmp_path: Path) -> None:
    first = blocks_of(beep(5, 1))
    second = blocks_of(beep(0.5, 1, rate=44_100, channels=2), 44_100, at=1)

    film = write(tmp_path / "a.mp4", blocks=[*first, *second])

    assert abs(film.beep_at() - 1.5) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 2) < 0.05


def test_integer_samples_with_a_gap_and_an_overlap(tmp_path: Path) -> None:
    blocks = []
    for start in (0, 0.5, 0.9):
        array = (beep(0.45, 0.5, channels=2) * 30_000).astype(np.int16).T.reshape(1, -1)
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(array), "s16", "stereo")
        block.sample_rate, block.time_base = 48_000, Fraction(1, 48_000)
        block.pts = round(start * 48_000)
        blocks.append(block)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 0.45) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 1.4) < 0.05


def test_gaps_and_overlaps_of_eight_planes(tmp_path: Path) -> None:
    resampler = av.AudioResampler("fltp", "7.1", 48_000)
    blocks = []
    for start in (0, 0.7, 1.1):
        tone = beep(0.45, 0.5, channels=8).T.reshape(1, -1)
        packed = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone), "flt", "7.1")
        packed.sample_rate, packed.time_base = 48_000, Fraction(1, 48_000)
        (block,) = resampler.resample(packed)
        block.pts, block.time_base = round(start * 48_000), Fraction(1, 48_000)
        blocks.append(block)

    film = write(tmp_path / "a.mp4", blocks=blocks)

    assert abs(film.beep_at() - 0.45) < 0.005
    assert abs(film.samples.shape[1] / film.rate - 1.6) < 0.05


def test_a_sound_encoder_needs_no_container() -> None:
    encoder = SoundEncoder(av.CodecContext.create("aac", "w"))
    packets = [packet for block in blocks_of(beep(0.2, 1)) for packet in encoder.encode(block)]
    packets += encoder.finish()

    assert len(packets) in (47, 48, 49)
    assert [packet.pts for packet in packets[:3]] == [-1024, 0, 1024]


# The file


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


def test_mp4_begins_with_its_index(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", timed(numbered(10), range(0, 10 * 3600, 3600)))

    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            PictureSettings(options={"nonsense": "1"}), "h264 has no option 'nonsense'", id="option"
        ),
        pytest.param(
            PictureSettings(tune="nonsense"),
            "h264 cannot be encoded with these settings",
            id="tune",
        ),
    ],
)
def test_settings_that_the_codec_refuses_are_told(
    tmp_path: Path, settings: PictureSettings, said: str
) -> None:
    writer = Writer(str(tmp_path / "a.mp4"), settings, SoundSettings(), audio=False)
    first, second = timed(numbered(2), [0, 3600])
    writer.picture(first, moment(first))  # the second picture tells the rate
    with pytest.raises(MediaError, match=said):
        writer.picture(second, moment(second))
    writer.close()


def test_copy_that_cannot_be_is_told(tmp_path: Path) -> None:
    source = write_film(tmp_path / "in.mkv", sound=Sound(beep(0.5, 1), "mp2"))
    with pytest.raises(MediaError, match=r"^\.mp4 files cannot hold mp2 sound; use audio: aac$"):
        write(tmp_path / "a.mp4", blocks=packets_of(source), coded=SoundSettings("copy"))
    with pytest.raises(MediaError, match="a node works on it, or no kind of file takes it as"):
        write(tmp_path / "b.mp4", blocks=blocks_of(beep(0.1, 1)), coded=SoundSettings("copy"))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").symlink_to("/dev/full")
    images = timed(numbered(400, 320, 240), range(0, 400 * 3600, 3600))
    with pytest.raises(MediaError, match="cannot be written: No space left on device"):
        write(tmp_path / "a.mkv", images)


def test_a_good_file_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = timed(numbered(10), range(0, 10 * 3600, 3600))
    with caplog.at_level(logging.DEBUG):
        write(tmp_path / "a.mp4", images, blocks_of(beep(0.1, 0.4)))
    assert [record for record in caplog.records if record.name.startswith("composer")] == []


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
