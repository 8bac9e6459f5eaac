"""What is missing at the end of a file."""

from pathlib import Path

import pytest

from composer.media.reader import Reader
from tests.media.films import (
    grey,
    numbered,
    write_film,
)


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
