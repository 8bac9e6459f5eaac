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
from tests.media.read import at_packet, images_of, times_of


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
        gc.collect(0)  # what the reading left is young


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
@pytest.mark.fault("F-25")
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
@pytest.mark.fault("F-32")
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


def test_reading_logs_nothing_for_a_good_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_film(tmp_path / "a.mp4", numbered(30), sound=Sound(beep(0.2, 1)))
    with caplog.at_level(logging.DEBUG):
        reader = Reader(str(path), layout="yuv420p", sound=Carrier.FRAME)
        assert len(list(reader.read())) > 60
    assert reader.damaged == 0
    assert [record for record in caplog.records if record.name.startswith("composer")] == []
