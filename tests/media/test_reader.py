"""Files of many kinds become pictures and sound with the right colours and times."""

import gc
import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from composer.errors import MediaError
from composer.media.reader import Reader
from composer.media.sound_decoder import SoundDecoder
from composer.node.formats import Carrier
from composer.pictures import pixels
from composer.testing import bars, gradient, picture
from tests.media.films import (
    Sound,
    assert_bars,
    beep,
    grey,
    number,
    numbered,
    read_film,
    write_film,
)


def images_of(path: Path | str, layout: str = "yuv420p", **options: Any) -> list[av.VideoFrame]:
    reader = Reader(str(path), layout=layout, **options)
    images = [item for item in reader.read() if isinstance(item, av.VideoFrame)]
    reader.close()
    return images


def images_of_each(path: Path) -> Iterator[av.VideoFrame]:
    """The pictures, the next one decoded when it is asked for."""
    for item in Reader(str(path), layout="yuv420p", threads=1).read():
        assert isinstance(item, av.VideoFrame)
        yield item


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_tags_that_are_not_utf_8_are_no_reason_to_fail(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as file:
        file.metadata["title"] = "caf\u00e9"
        track: Any = file.add_stream("mpeg4", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        file.mux(track.encode(grey(90)))
        file.mux(track.encode(None))
    text = (tmp_path / name).read_bytes()
    assert b"caf\xc3\xa9" in text
    (tmp_path / name).write_bytes(text.replace(b"caf\xc3\xa9", b"caf\xe9\x20"))
    assert len(images_of(tmp_path / name)) == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_with_a_colour_profile_is_read_and_let_go(tmp_path: Path, name: str) -> None:
    """PyAV 18.1 frees the side data of such a picture twice, which ended the whole process."""
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.new("RGB", (64, 48), "red").save(tmp_path / name, icc_profile=profile)
    for _ in range(10):
        assert len(images_of(tmp_path / name)) == 1
        gc.collect()


ORIENTED = PIL.Image.new("RGB", (96, 64), "blue")
ORIENTED.paste("red", (0, 0, 48, 32))
ORIENTED.paste("lime", (48, 0, 96, 32))


def write_oriented(path: Path, orientation: int) -> PIL.Image.Image:
    """A picture with EXIF data; gives how it is to be seen."""
    exif = PIL.Image.Exif()
    exif[271], exif[274] = "Maker", orientation  # Make, Orientation
    ORIENTED.save(path, exif=exif)
    return PIL.ImageOps.exif_transpose(PIL.Image.open(path)).convert("RGB")


def assert_seen(image: av.VideoFrame, wanted: PIL.Image.Image) -> None:
    """The same size, and the same colours in the middle of each quarter."""
    assert (image.width, image.height) == wanted.size
    got, want = pixels.to_rgb(image).astype(np.int16), np.asarray(wanted, np.int16)
    for y in (0.25, 0.75):
        for x in (0.25, 0.75):
            at = round(y * image.height), round(x * image.width)
            assert np.abs(got[at] - want[at]).max() < 40, (x, y)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff", "avif"])
def test_pictures_are_seen_as_their_exif_data_says(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    path = tmp_path / f"a.{kind}"
    seen = write_oriented(path, orientation)

    (image,) = images_of(path)

    assert_seen(image, seen)


def test_each_picture_of_a_row_is_turned_for_itself(tmp_path: Path) -> None:
    """1 and 4 have the same angle, as 2 and 3 have: they differ in what is mirrored."""
    order = (1, 4, 2, 3, 4, 1, 6, 5, 6)
    seen = [write_oriented(tmp_path / f"{at}.jpg", each) for at, each in enumerate(order)]

    images = images_of(tmp_path / "%d.jpg")

    assert len(images) == len(order)
    for image, wanted in zip(images, seen, strict=True):
        assert_seen(image, wanted)


def test_a_rotation_that_is_none_is_let_be(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(3), rotation=(90, False, False))
    content = bytearray(path.read_bytes())
    at = content.index((0x10000).to_bytes(4), content.index(b"tkhd") + 40)
    content[at - 4 : at + 28] = bytes(32)
    path.write_bytes(content)

    assert [(image.width, image.height) for image in images_of(path)] == [(64, 48)] * 3


def times_of(images: list[Any]) -> list[Fraction]:
    return [image.pts * image.time_base for image in images]


CODECS = [
    pytest.param("a.mp4", "libx264", {"crf": "4"}, "yuv420p", id="h264"),
    pytest.param("a.mkv", "libx264", {"crf": "4"}, "yuv444p", id="h264 4:4:4"),
    pytest.param("a.mp4", "libx265", {"crf": "4"}, "yuv420p", id="hevc"),
    pytest.param("a.mp4", "libx265", {"crf": "4"}, "yuv420p10le", id="hevc 10 bit"),
    pytest.param("a.webm", "libvpx-vp9", {"crf": "4", "cpu-used": "8"}, "yuv420p", id="vp9"),
    pytest.param("a.avi", "mpeg4", {"qmin": "1", "qmax": "1"}, "yuv420p", id="mpeg4"),
    pytest.param("a.mov", "mjpeg", {"qmin": "1", "qmax": "1"}, "yuvj420p", id="mjpeg full range"),
    pytest.param("a.mkv", "ffv1", {}, "bgr0", id="bgr"),
    pytest.param("a.mkv", "rawvideo", {}, "nv12", id="nv12"),
    pytest.param("a.mov", "png", {}, "rgba", id="rgba"),
]


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24"])
@pytest.mark.parametrize(("name", "codec", "options", "coded"), CODECS)
def test_colours_are_right_whatever_the_source_codes_them_as(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], coded: str, layout: str
) -> None:
    source = picture(bars(256, 64), "rgb24").reformat(format=coded, interpolation="POINT")
    if codec == "mjpeg":
        source.color_range = pixels.FULL
    path = write_film(tmp_path / name, [source] * 3, codec=codec, options=options)

    images = images_of(path, layout)

    assert [image.format.name for image in images] == [layout] * 3
    assert_bars(images[1])


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24", "rgba", "gray"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1"])
def test_a_single_picture_file_is_one_frame(tmp_path: Path, mode: str, layout: str) -> None:
    ramp = PIL.Image.fromarray(gradient(64, 32), "RGB")
    ramp.convert(mode).save(tmp_path / "a.png")
    wanted = np.asarray(ramp.convert(mode).convert("RGB"), np.int16)

    images = images_of(tmp_path / "a.png", layout)

    assert len(images) == 1
    assert images[0].pts == 0
    off = np.abs(pixels.to_rgb(images[0]).astype(np.int16) - wanted)
    assert off.max() <= 3


def test_a_row_of_pictures_is_read_by_its_pattern(tmp_path: Path) -> None:
    for index in range(1, 4):
        level = np.full((16, 16, 3), 50 * index, np.uint8)
        PIL.Image.fromarray(level).save(tmp_path / f"{index:03d}.png")

    images = images_of(tmp_path / "%03d.png", "gray")

    assert [int(pixels.planes(image)[0][0, 0]) for image in images] == [50, 100, 150]
    assert times_of(images) == [Fraction(n, 25) for n in range(3)]


def test_a_gap_in_a_row_is_told_and_keeps_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in (98, 99, 102):
        PIL.Image.new("L", (16, 16), index).save(tmp_path / f"f_{index:04d}.png")

    images = images_of(tmp_path / "f_%04d.png", "gray")

    assert [int(pixels.planes(image)[0][0, 0]) for image in images] == [98, 99, 102]
    assert times_of(images) == [Fraction(n, 25) for n in (0, 1, 4)]
    assert [record.message for record in caplog.records] == [
        "f_%04d.png: 2 of the numbers from 98 to 102 have no file, the first of them is 100;"
        " the picture before a gap is shown until the next"
    ]


def test_an_empty_file_in_a_row_is_left_out_alone(tmp_path: Path) -> None:
    for index in range(4):
        PIL.Image.new("L", (16, 16), index).save(tmp_path / f"{index}.png")
    (tmp_path / "1.png").write_bytes(b"")

    assert times_of(images_of(tmp_path / "%d.png")) == [Fraction(n, 25) for n in (0, 2, 3)]


def test_a_jpeg_keeps_black_and_white(tmp_path: Path) -> None:
    PIL.Image.fromarray(gradient(256, 32)).save(tmp_path / "a.jpg", quality=100)

    luma = pixels.planes(images_of(tmp_path / "a.jpg")[0])[0]

    assert abs(int(luma[8, 2]) - 17) <= 2
    assert abs(int(luma[8, 253]) - 234) <= 2


def test_pictures_that_are_right_already_are_not_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(3))
    given = []
    real = pixels.convert

    def watched(image: Any, *rest: Any, **more: Any) -> Any:
        new = real(image, *rest, **more)
        given.append(new is image)
        return new

    monkeypatch.setattr(pixels, "convert", watched)
    images_of(path)

    assert given == [True] * 3


def test_colour_tags_stay(tmp_path: Path) -> None:
    path = write_film(
        tmp_path / "a.mp4", numbered(2), colorspace=1, color_primaries=1, color_trc=1, color_range=1
    )

    image = images_of(path)[0]

    assert (image.colorspace, image.color_primaries, image.color_trc) == (1, 1, 1)


@pytest.mark.parametrize(("name", "exact"), [("a.mp4", True), ("a.ts", True), ("a.mkv", False)])
def test_variable_frame_times_stay_with_b_frames(tmp_path: Path, name: str, *, exact: bool) -> None:
    pts = [0, 3000, 3100, 9000, 45000, 46001, 60000, 60900, 99000]
    options = {"bf": "3", "x264-params": "b-adapt=0"}
    path = write_film(
        tmp_path / name, numbered(9), pts=pts, time_base=Fraction(1, 90_000), options=options
    )

    images = images_of(path)

    wanted = [Fraction(each, 90_000) for each in pts]
    assert [number(image) for image in images] == list(range(9))
    for got, want in zip(times_of(images), wanted, strict=True):
        assert got == want if exact else abs(got - want) <= Fraction(1, 2000)


def test_times_begin_near_0_and_tracks_keep_their_offset(tmp_path: Path) -> None:
    pts = [900_000 + 3600 * index for index in range(50)]
    path = write_film(
        tmp_path / "a.ts",
        numbered(50),
        pts=pts,
        time_base=Fraction(1, 90_000),
        sound=Sound(beep(1.0), "mp2", seconds=10.5),
    )
    reader = Reader(str(path), layout="yuv420p", sound=Carrier.FRAME)
    items = list(reader.read())
    images = [item for item in items if isinstance(item, av.VideoFrame)]
    blocks: list[Any] = [item for item in items if isinstance(item, av.AudioFrame)]

    assert times_of(images) == [Fraction(index, 25) for index in range(50)]
    # the MP2 encoder's delay of 481 samples is part of the stream
    assert abs(float(times_of(blocks)[0]) - 0.5) < 0.011


def test_alone_a_late_track_begins_at_0(tmp_path: Path) -> None:
    sound = Sound(beep(0.1, 1), "mp2", seconds=1)
    path = write_film(tmp_path / "a.ts", numbered(10), sound=sound)

    blocks: list[Any] = list(Reader(str(path), sound=Carrier.FRAME).read())

    assert blocks
    assert all(isinstance(block, av.AudioFrame) for block in blocks)
    assert blocks[0].pts == 0


def test_packets_are_given_as_they_were_coded(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(10), sound=Sound(beep(0.5, 1), "ac3"))
    reader = Reader(str(path), sound=Carrier.PACKET)
    packets: list[Any] = list(reader.read())
    reader.close()

    coded = read_film(path).packets["audio"]
    assert [bytes(packet) for packet in packets] == [each[2] for each in coded]
    assert [packet.pts for packet in packets] == [each[0] for each in coded]
    assert packets[0].stream.codec_context.sample_rate == 48_000
    with av.open(str(tmp_path / "b.mkv"), "w") as file:  # its parameters outlive the reader
        assert file.add_stream_from_template(packets[0].stream).codec_context.name == "ac3"


def test_blocks_of_sound_that_share_a_packet_follow_each_other(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.wav", sound=Sound(beep(0.5, 1), "adpcm_ms"))

    blocks: list[Any] = list(Reader(str(path), sound=Carrier.FRAME).read())

    ends = [block.pts + block.samples for block in blocks]
    assert [block.pts for block in blocks[1:]] == ends[:-1]


@pytest.mark.parametrize(
    ("fps", "most", "kept"),
    [
        pytest.param(30, 10, list(range(0, 60, 3)), id="every third"),
        pytest.param(30, 30, list(range(60)), id="the same rate"),
        pytest.param(25, 30, list(range(60)), id="a higher rate"),
        pytest.param(30, 15, list(range(0, 60, 2)), id="every second"),
    ],
)
def test_max_fps_leaves_out_by_time(tmp_path: Path, fps: int, most: float, kept: list[int]) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(60), time_base=Fraction(1, fps))

    images = images_of(path, max_fps=most)

    assert [round(float(time) * fps) for time in times_of(images)] == kept
    assert {image.duration for image in images} == {0}  # what it said holds no more


def test_pictures_without_times_follow_the_frame_rate(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.h264", numbered(12), options={"bf": "0"})

    times = times_of(images_of(path))

    assert times == [Fraction(index, 25) for index in range(12)]


FINE = {"bf": "2", "qmin": "1", "qmax": "1"}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        pytest.param("a.avi", "libx264", {"bf": "2"}, id="avi h264"),
        pytest.param(
            "a.avi",
            "libx264",
            {"bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"},
            id="avi h264 with a pyramid",
        ),
        pytest.param("a.avi", "mpeg4", FINE, id="avi mpeg4"),
        pytest.param("a.avi", "mpeg2video", FINE, id="avi mpeg2"),
        pytest.param("a.h264", "libx264", {"bf": "3"}, id="h264 alone"),
        pytest.param("a.m4v", "mpeg4", FINE, id="mpeg4 alone"),
        pytest.param("a.m2v", "mpeg2video", FINE, id="mpeg2 alone"),
        pytest.param("a.mpg", "mpeg2video", FINE, id="program stream"),
    ],
)
def test_pictures_in_another_order_than_coded_all_come(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], threads: int
) -> None:
    path = write_film(tmp_path / name, numbered(20), codec=codec, options=options)

    images = images_of(path, threads=threads)

    assert [number(image) for image in images] == list(range(20))
    times = times_of(images)
    assert [time - times[0] for time in times] == [Fraction(index, 25) for index in range(20)]


def test_a_file_whose_clock_starts_again_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = []
    for name in ("a.ts", "b.ts"):
        sound = Sound(beep(0.5, 15), "mp2")
        parts.append(write_film(tmp_path / name, numbered(15), time_base=Fraction(1), sound=sound))
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))

    reader = Reader(str(whole), layout="yuv420p", sound=Carrier.FRAME)
    items: list[Any] = list(reader.read())
    images = times_of([item for item in items if isinstance(item, av.VideoFrame)])
    sounds = times_of([item for item in items if isinstance(item, av.AudioFrame)])

    assert len(images) == 30
    assert all(0 < b - a <= 2 for a, b in pairwise(images))
    assert all(0 < b - a <= 2 for a, b in pairwise(sounds))
    second = images[15]
    assert abs(min(sounds, key=lambda time: abs(time - second)) - second) < Fraction(1, 10)
    assert [record.message for record in caplog.records].count(
        "whole.ts: its clock jumps; time goes on from there"
    ) == 1


@pytest.mark.parametrize(("name", "goes_on"), [("a.ts", True), ("a.mp4", False)])
def test_a_jump_ahead_is_taken_out_where_clocks_jump(
    tmp_path: Path, name: str, *, goes_on: bool
) -> None:
    pts = [*range(10), *range(1000, 1010)]
    path = write_film(tmp_path / name, numbered(20), pts=pts, options={"bf": "0"})

    times = times_of(images_of(path))

    assert times == [Fraction(each, 25) for each in (range(20) if goes_on else pts)]


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "rgb24", "gray"])
@pytest.mark.parametrize(
    ("degrees", "across", "down"),
    [
        pytest.param(90, False, False, id="90"),
        pytest.param(180, False, False, id="180"),
        pytest.param(-90, False, False, id="270"),
        pytest.param(0, True, False, id="mirrored"),
        pytest.param(0, False, True, id="upside down"),
        pytest.param(90, True, False, id="90 mirrored"),
        pytest.param(-90, True, False, id="270 mirrored"),
    ],
)
def test_pictures_are_turned_upright(
    tmp_path: Path,
    layout: str,
    degrees: int,
    across: bool,  # noqa: FBT001
    down: bool,  # noqa: FBT001
) -> None:
    levels = np.zeros((48, 64, 3), np.uint8)
    levels[:24, :32], levels[:24, 32:], levels[24:, :32] = 60, 120, 180
    levels[24:, 32:] = 240
    source = picture(levels)
    path = write_film(
        tmp_path / "a.mp4", [source], options={"crf": "4"}, rotation=(degrees, across, down)
    )
    wanted = np.rot90(levels, degrees // 90)  # counter-clockwise, then mirrored
    wanted = wanted[:, ::-1] if across else wanted
    wanted = wanted[::-1] if down else wanted

    image = images_of(path, layout)[0]

    assert image.format.name == layout
    assert (image.height, image.width) == wanted.shape[:2]
    got = pixels.to_rgb(image)
    for y in (10, -10):
        for x in (10, -10):
            assert abs(int(got[y, x, 0]) - int(wanted[y, x, 0])) <= 3


def test_the_shape_of_pixels_that_the_container_says_holds(tmp_path: Path) -> None:
    """VP9 says none, so only the track of the file does."""
    path = write_film(
        tmp_path / "a.mp4",
        numbered(3, 90, 72),
        codec="libvpx-vp9",
        sample_aspect_ratio=Fraction(64, 45),
    )
    assert [pixels.aspect(image) for image in read_film(path).images] == [1] * 3
    assert [pixels.aspect(image) for image in images_of(path)] == [Fraction(64, 45)] * 3


def test_a_turned_picture_has_turned_pixels(tmp_path: Path) -> None:
    path = write_film(
        tmp_path / "a.mp4",
        numbered(2, 90, 72),
        sample_aspect_ratio=Fraction(64, 45),
        rotation=(90, False, False),
    )
    for image in images_of(path):
        assert (image.width, image.height, image.rotation) == (72, 90, 0)
        assert pixels.aspect(image) == Fraction(45, 64)
        assert image.duration


@pytest.mark.parametrize(
    ("name", "time_base", "max_fps", "rate"),
    [
        ("a.mp4", Fraction(1001, 30_000), 0, Fraction(30_000, 1001)),
        ("a.mkv", Fraction(1, 24), 0, Fraction(24)),
        ("a.ts", Fraction(1, 25), 0, Fraction(25)),
        ("a.mp4", Fraction(1, 50), 20, Fraction(20)),
        ("a.mp4", Fraction(1, 10), 20, Fraction(10)),
    ],
)
def test_the_rate_is_that_of_the_container(
    tmp_path: Path, name: str, time_base: Fraction, max_fps: float, rate: Fraction
) -> None:
    path = write_film(tmp_path / name, numbered(10), time_base=time_base)
    assert Reader(str(path), layout="yuv420p", max_fps=max_fps).rate == rate
    assert Reader(str(path), layout="yuv420p").rate == 1 / time_base


def test_odd_sizes_come_whole(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(2, 639, 359), codec="ffv1")

    assert [(image.width, image.height) for image in images_of(path)] == [(639, 359)] * 2


def test_damaged_parts_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(1)
    blocks = noise.integers(0, 256, (60, 30, 40, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    source = [picture(rgb) for rgb in blocks]
    path = write_film(tmp_path / "a.ts", source, options={"bf": "0", "g": "10"})
    content = bytearray(path.read_bytes())
    for place in noise.integers(8, len(content) // 188, 12):
        content[place * 188 + 40 : place * 188 + 188] = noise.bytes(148)
    path.write_bytes(content)

    reader = Reader(str(path), layout="yuv420p")
    images: list[Any] = list(reader.read())

    assert len(images) >= 50
    assert reader.damaged > 0
    assert all(b > a for a, b in pairwise(times_of(images)))
    assert len([record for record in caplog.records if "damaged" in record.message]) == 1


def test_a_file_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(60, 320, 240))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    assert 5 < len(images_of(path)) < 60


def test_the_cover_of_an_album_is_not_a_picture_track(tmp_path: Path) -> None:
    plain = write_film(tmp_path / "a.m4a", sound=Sound(beep(0.2, 1)))
    path = tmp_path / "b.m4a"
    with av.open(str(plain)) as source, av.open(str(path), "w", "mp4") as file:
        track = file.add_stream_from_template(source.streams.audio[0])
        cover: Any = file.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        still = grey(100, 16, 16, "yuvj420p")
        still.pts, still.time_base = 0, Fraction(1, 25)
        file.mux([*cover.encode(still), *cover.encode(None)])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = track
                file.mux(packet)

    with pytest.raises(MediaError, match=r"b\.m4a has no picture track; it has sound \(aac, mono"):
        Reader(str(path), layout="yuv420p")


def test_what_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film at all\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    sounds = write_film(tmp_path / "sound.mkv", sound=Sound(beep(0.2, 1)))
    silent = write_film(tmp_path / "silent.mp4", numbered(2))
    said = {}
    for path in (tmp_path / "no.mp4", tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path):
        with pytest.raises(MediaError) as caught:
            Reader(str(path), layout="yuv420p")
        said[path.name] = str(caught.value)
    with pytest.raises(MediaError) as caught:
        Reader(str(sounds), layout="yuv420p", sound=Carrier.FRAME)
    said["sound.mkv"] = str(caught.value)
    with pytest.raises(MediaError) as caught:
        Reader(str(silent), sound=Carrier.FRAME)
    said["silent.mp4"] = str(caught.value)

    unreadable = "is not a media file that can be read, or it is damaged, or its pictures are"
    assert said == {
        "no.mp4": "no.mp4: there is no such file",
        "text.mp4": f"text.mp4 {unreadable} too large",
        "empty.mp4": f"empty.mp4 {unreadable} too large",
        tmp_path.name: f"{tmp_path.name} is a folder, not a media file",
        "sound.mkv": "sound.mkv has no picture track; it has sound (aac, mono, 48000 Hz)",
        "silent.mp4": "silent.mp4 has no sound track; it has pictures (h264, 64x48)",
    }


def test_a_file_without_sound_gives_its_pictures(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(5))

    assert len(images_of(path, sound=Carrier.PACKET)) == 5


TOO_LARGE = "its pictures of 640x480 are too large; 4096 pixels are the most"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.mp4", f"^a.mp4: {TOO_LARGE}$"),
        ("a.ts", f"^a.ts: {TOO_LARGE}$"),
        ("a.png", "^a.png holds nothing that can be decoded$"),
    ],
)
def test_pictures_beyond_the_limit_are_refused(tmp_path: Path, name: str, said: str) -> None:
    image = picture(bars(640, 480), "rgb24" if name == "a.png" else "yuv420p")
    path = tmp_path / name
    if name == "a.png":
        PIL.Image.fromarray(bars(640, 480)).save(path)
    else:
        write_film(path, [image] * 3)

    with pytest.raises(MediaError, match=said):
        images_of(path, max_pixels=64 * 64)


def test_pictures_that_grow_beyond_the_limit_are_left_out(tmp_path: Path) -> None:
    parts = [
        write_film(tmp_path / "a.ts", numbered(10)),
        write_film(tmp_path / "b.ts", numbered(10, 640, 480), pts=range(10, 20)),
    ]
    whole = tmp_path / "whole.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))

    images = images_of(whole, max_pixels=64 * 64)

    assert {(image.width, image.height) for image in images} == {(64, 48)}


def test_a_file_of_nothing_is_told(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(3))
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(
        content[:start] + bytes(len(content[start:2000]))[:900] + content[start + 900 :]
    )

    with pytest.raises(MediaError, match=r"^a\.mp4 "):
        images_of(path)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.avi", "adpcm_ima_wav"),
        ("a.avi", "adpcm_ms"),
        ("a.wav", "adpcm_yamaha"),
        ("a.wav", "g726"),
        ("a.wma", "wmav2"),
        ("a.mkv", "tta"),
        ("a.mov", "adpcm_ima_qt"),
    ],
)
def test_sound_comes_whole_whatever_codes_it(tmp_path: Path, name: str, codec: str) -> None:
    rate = 8000 if codec == "g726" else 48_000
    sound = Sound(beep(0.5, 1, rate=rate, channels=1 if rate == 8000 else 2), codec, rate)
    path = write_film(tmp_path / name, sound=sound)

    reader = Reader(str(path), sound=Carrier.PACKET)
    items: list[Any] = list(reader.read())

    assert reader.lost == {}
    decoder = SoundDecoder(items[0].stream) if isinstance(items[0], av.Packet) else None
    blocks = [each for item in items for each in (decoder.decode(item) if decoder else [item])]
    assert abs(sum(block.samples for block in blocks) / rate - 1) < 0.1
    tone = np.concatenate([np.abs(block.to_ndarray()).reshape(-1) for block in blocks])
    assert tone.max() > 0.5 * (np.iinfo(tone.dtype).max if tone.dtype.kind == "i" else 1)


def test_the_best_track_is_read_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mkv"
    write_tracks(path, write_film(tmp_path / "b.mkv", sound=Sound(beep(0.5, 1))), 2)

    reader = Reader(str(path), sound=Carrier.PACKET)

    assert len(list(reader.read())) > 40
    assert [record.message for record in caplog.records] == [
        "a.mkv has 2 tracks of sound: number 0 of the file is read, sound (aac, mono, 48000 Hz)"
    ]


@pytest.mark.parametrize("sound", [Carrier.PACKET, Carrier.FRAME])
def test_a_track_without_a_decoder_gives_way_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sound: Carrier
) -> None:
    path = tmp_path / "a.mkv"
    write_tracks(path, write_film(tmp_path / "b.mkv", sound=Sound(beep(0.5, 1))), 2)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ", 1))

    reader = Reader(str(path), sound=sound)

    assert len(list(reader.read())) > 40
    assert reader.lost_tracks == []
    assert "a.mkv: its sound (unknown codec) cannot be decoded" in caplog.text


def write_tracks(path: Path, source: Path, count: int) -> None:
    """The first track of a film several times."""
    with av.open(str(source)) as given, av.open(str(path), "w") as file:
        tracks = [file.add_stream_from_template(given.streams[0]) for _ in range(count)]
        for packet in given.demux():
            for track in tracks if packet.size else ():
                copied = av.Packet(bytes(packet))
                copied.pts, copied.dts, copied.time_base = packet.pts, packet.dts, packet.time_base
                copied.stream = track
                file.mux(copied)


def test_a_track_that_comes_to_nothing_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_film(tmp_path / "a.mkv", numbered(5), sound=Sound(beep(0.2, 1), "mp2"))
    path.write_bytes(path.read_bytes().replace(b"A_MPEG/L2", b"A_XYZW/L2"))

    reader = Reader(str(path), layout="yuv420p", sound=Carrier.PACKET)

    assert len(list(reader.read())) == 5
    assert reader.lost_tracks == ["sound (unknown codec)"]
    with pytest.raises(MediaError, match=r"^a.mkv has no sound track; it has pictures .*, sound "):
        Reader(str(path), sound=Carrier.PACKET)


def test_what_does_not_come_is_counted_by_reason(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.ts", numbered(40), options={"g": "12", "bf": "0"})
    whole = read_film(path)
    content = path.read_bytes()
    path.write_bytes(content[at_packet(path, 5) :])  # the first key picture is gone
    assert len(whole.keyframes) > 2

    reader = Reader(str(path), layout="yuv420p")
    images = list(reader.read())

    assert len(images) == 28
    assert set(reader.lost) == {"before_key"}
    assert reader.lost["before_key"] in (6, 7)


def at_packet(path: Path, number: int) -> int:
    """Byte at which a picture of a transport stream begins."""
    with av.open(str(path)) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    return places[number] or 0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_that_is_cut_short_says_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    options = {"movflags": "+faststart"} if name == "a.mp4" else {}
    film = numbered(60, 320, 240)
    path = write_film(tmp_path / name, film, container_options=options, options={"bf": "0"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    reader = Reader(str(path), layout="yuv420p")
    images = list(reader.read())

    assert 5 < len(images) < 60
    assert len(images) + sum(reader.lost.values()) == 60
    assert f"{name} is cut short" in caplog.text


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", ["a.flv", "a.mp4"])
def test_a_bad_last_picture_takes_no_other_with_it(tmp_path: Path, name: str, threads: int) -> None:
    options = {"movflags": "+faststart"} if name == "a.mp4" else {}
    noise = np.random.default_rng(1).integers(0, 256, (8, 48, 64, 3), np.uint8)
    film = [picture(rgb) for rgb in noise]
    path = write_film(tmp_path / name, film, container_options=options, options={"bf": "0"})
    with av.open(str(path)) as file:
        last = max(packet.pos or 0 for packet in file.demux(video=0) if packet.size)
    content = bytearray(path.read_bytes())
    content[last + 20 : last + 40] = b"\xff" * 20  # the length of its slice is anything
    path.write_bytes(content)

    reader = Reader(str(path), layout="yuv420p", threads=threads)
    images = list(reader.read())

    assert len(images) in (7, 8)
    assert len(images) + sum(reader.lost.values()) == 8


def test_no_loss_is_told_where_there_is_none(tmp_path: Path) -> None:
    """VP8 has pictures that are never shown, and an edit list leaves some out."""
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "50k"}
    path = write_film(tmp_path / "a.webm", numbered(60), codec="libvpx", options=options)
    reader = Reader(str(path), layout="yuv420p")
    assert (len(list(reader.read())), reader.lost) == (60, {})
    film = [grey(100 + index % 3) for index in range(60)]
    late = range(-10, 50)
    reader = Reader(
        str(write_film(tmp_path / "a.mp4", film, pts=late, options={"g": "60"})), layout="yuv420p"
    )
    assert (len(list(reader.read())), reader.lost) == (50, {})


def test_reading_logs_nothing_for_a_good_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(30), sound=Sound(beep(0.2, 1)))
    with caplog.at_level(logging.DEBUG):
        reader = Reader(str(path), layout="yuv420p", sound=Carrier.FRAME)
        assert len(list(reader.read())) > 60
    assert reader.damaged == 0
    assert [record for record in caplog.records if record.name.startswith("composer")] == []
