"""Which files a pattern names."""

from pathlib import Path

import pytest

from composer.errors import MediaError
from composer.media.rows import find


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("names", "pattern", "numbers", "missing"),
    [
        pytest.param(["1.png", "2.png"], "%d.png", (1, 2), 0, id="plain"),
        pytest.param(["9.png", "10.png", "11.png"], "%d.png", (9, 10, 11), 0, id="not by letters"),
        pytest.param(["0998.png", "1000.png"], "%04d.png", (998, 1000), 1, id="from any number"),
        pytest.param(["998.png", "1000.png"], "%03d.png", (998, 1000), 1, id="more digits"),
        pytest.param(["1.png", "002.png", "2.jpg"], "%d.png", (1,), 0, id="other names"),
        pytest.param(["a(1)+.png", "a(3)+.png"], "a(%d)+.png", (1, 3), 1, id="signs"),
    ],
)
def test_a_row_is_the_files_that_fit(
    tmp_path: Path, names: list[str], pattern: str, numbers: tuple[int, ...], missing: int
) -> None:
    files(tmp_path, *names)

    row = find(str(tmp_path / pattern))

    assert row is not None
    assert (row.numbers, row.missing) == (numbers, missing)
    assert all(row.path(number).exists() for number in numbers)
    if missing:
        assert not row.path(row.gap).exists()


def test_other_paths_are_no_rows(tmp_path: Path) -> None:
    files(tmp_path, "50%d.png")
    for path in (tmp_path / "a.png", tmp_path / "50%d.png", "rtsp://host/%d.png", "%d%d.png"):
        assert find(str(path)) is None


def test_a_row_of_nothing_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no"):
        with pytest.raises(MediaError, match=r"^f_%d\.png: there is no such file, with any number"):
            find(str(folder / "f_%d.png"))
