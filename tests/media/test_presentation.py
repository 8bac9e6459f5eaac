"""Pictures as they are shown: turned, shaped, paced, each at its time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import pytest

from composer.pictures import pixels
from composer.testing import picture
from tests.media.films import (
    number,
    numbered,
    read_film,
    write_film,
)
from tests.media.read import images_of, times_of


def quartered() -> PIL.Image.Image:
    image = PIL.Image.new("RGB", (96, 64), "blue")
    image.paste("red", (0, 0, 48, 32))
    image.paste("lime", (48, 0, 96, 32))
    return image


ORIENTED = quartered()


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
