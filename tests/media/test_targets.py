"""Files of one picture each, and files that cannot be written."""

from pathlib import Path

import numpy as np
import pytest

from composer.errors import MediaError
from composer.pictures import pixels
from composer.testing import bars, picture
from tests.media.films import (
    beep,
    number,
    numbered,
    read_film,
)
from tests.media.written import blocks_of, timed, write


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


def test_mp4_begins_with_its_index(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", timed(numbered(10), range(0, 10 * 3600, 3600)))

    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.fault("F-64")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").symlink_to("/dev/full")
    images = timed(numbered(400, 320, 240), range(0, 400 * 3600, 3600))
    with pytest.raises(MediaError, match="cannot be written: No space left on device"):
        write(tmp_path / "a.mkv", images)
