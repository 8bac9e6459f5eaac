"""Tiles become one picture, as they are meant to be seen."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from composer.errors import MediaError
from composer.media import heif
from composer.media.reader import Reader
from composer.pictures import pixels
from composer.testing import gradient
from tests.media.films import numbered, write_film
from tests.media.tiled import box, write_tiled

RGB = gradient(150, 100)


def images_of(path: Path, layout: str, **options: Any) -> list[av.VideoFrame]:
    items = list(Reader(str(path), layout=layout, **options).read())
    return [item for item in items if isinstance(item, av.VideoFrame)]


@pytest.mark.parametrize("layout", ["yuv420p", "rgb24"])
@pytest.mark.parametrize(
    ("turns", "seen"),
    [
        pytest.param([], RGB, id="as it is"),
        pytest.param([(b"irot", 1)], np.rot90(RGB), id="a quarter"),
        pytest.param([(b"irot", 3)], np.rot90(RGB, 3), id="three quarters"),
        pytest.param([(b"imir", 0)], RGB[::-1], id="upside down"),
        pytest.param([(b"imir", 1)], RGB[:, ::-1], id="mirrored"),
        pytest.param(
            [(b"irot", 1), (b"imir", 1)], np.rot90(RGB)[:, ::-1], id="a quarter, then mirrored"
        ),
    ],
)
def test_tiles_are_joined_and_turned(
    tmp_path: Path, turns: list[tuple[bytes, int]], seen: NDArray[np.uint8], layout: str
) -> None:
    boxes = [box(kind, bytes([value])) for kind, value in turns]
    path = write_tiled(tmp_path / "a.heic", RGB, *boxes)

    (image,) = images_of(path, layout)

    got = pixels.to_rgb(image).astype(np.int16)
    assert got.shape == seen.shape
    assert np.abs(got - seen).mean() < 3


def test_other_files_are_not_in_tiles(tmp_path: Path) -> None:
    assert heif.grid(write_film(tmp_path / "a.mp4", numbered(2))) is None
    (tmp_path / "a.txt").write_bytes(b"no boxes at all")
    assert heif.grid(tmp_path / "a.txt") is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(b"\0\0\1\2\0\x96", b"\0\0\1\1\0\x96", "is not a media file", id="too many"),
        pytest.param(
            b"\0\x96\0\x64", b"\0\xff\0\x64", "tiles of 64x64 do not cover it", id="too small"
        ),
        pytest.param(b"dimg", b"dimh", "its tiles cannot be found", id="lost"),
    ],
)
def test_a_file_that_contradicts_itself_is_told(
    tmp_path: Path, before: bytes, after: bytes, said: str
) -> None:
    path = write_tiled(tmp_path / "a.heic", RGB)
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))

    with pytest.raises(MediaError, match=said):
        images_of(path, "yuv420p")


def test_pictures_of_tiles_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "a.heic", RGB)

    with pytest.raises(MediaError, match="its pictures of 150x100 are too large"):
        images_of(path, "yuv420p", max_pixels=5000)
