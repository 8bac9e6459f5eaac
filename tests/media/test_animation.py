"""Animated WebP becomes pictures with the times that it says."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import PIL.Image
import pytest

from composer.errors import MediaError
from composer.media import animation
from composer.media.reader import Reader
from composer.pictures import pixels

COLORS = ("red", "lime", "blue")


def write_animated(path: Path, *durations: int) -> Path:
    images = [PIL.Image.new("RGB", (32, 24), color) for color in COLORS]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=list(durations), lossless=True
    )
    return path


def images_of(path: Path) -> list[Any]:
    items = list(Reader(str(path), layout="rgb24").read())
    assert all(isinstance(item, av.VideoFrame) for item in items)
    return items


def test_an_animation_is_read_with_its_times(tmp_path: Path) -> None:
    path = write_animated(tmp_path / "a.webp", 500, 40, 2500)

    images = images_of(path)

    assert [image.pts * image.time_base for image in images] == [
        Fraction(0),
        Fraction(1, 2),
        Fraction(27, 50),
    ]
    assert [image.duration for image in images] == [500, 40, 2500]
    seen = [tuple(pixels.to_rgb(image)[12, 16]) for image in images]
    assert seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_a_still_picture_is_no_animation(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    PIL.Image.new("RGB", (32, 24), "red").save(path, exif=PIL.Image.Exif())

    assert not animation.is_animated(path.read_bytes())
    assert len(images_of(path)) == 1


def test_what_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    """FFmpeg reads it by itself from PyAV 19 on, and does not say why it does not."""
    path = write_animated(tmp_path / "a.webp", 40, 40, 40)
    with pytest.raises(
        MediaError, match=r"^a\.webp:? (its pictures of 32x24 are too large|holds nothing)"
    ):
        list(Reader(str(path), layout="rgb24", max_pixels=100).read())
    content = bytearray(path.read_bytes())
    content[60:] = bytes(len(content) - 60)
    path.write_bytes(content)
    with pytest.raises(
        MediaError, match=r"^a\.webp:? (it is damaged|holds nothing|is not a media file)"
    ):
        images_of(path)


@pytest.mark.parametrize(("name", "form"), [("a.gif", "GIF"), ("a.png", "PNG")])
def test_other_animations_keep_coming(tmp_path: Path, name: str, form: str) -> None:
    images = [PIL.Image.new("RGB", (32, 24), color) for color in COLORS]
    made = io.BytesIO()
    images[0].save(made, form, save_all=True, append_images=images[1:], duration=200)
    (tmp_path / name).write_bytes(made.getvalue())

    given = images_of(tmp_path / name)

    assert [image.pts * image.time_base for image in given] == [
        Fraction(0),
        Fraction(1, 5),
        Fraction(2, 5),
    ]
