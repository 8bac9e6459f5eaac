import re
from pathlib import Path

import av
import numpy as np
import pytest

from composer.node.formats import YUV_LAYOUTS
from composer.pictures import pixels
from composer.testing import bars, bench, gradient, picture, run_node
from nodes.lut3d import Lut3d, plain_cube

SWAPPED = "LUT_3D_SIZE 2\n" + "".join(
    f"{blue} {green} {red}\n" for blue in (0, 1) for green in (0, 1) for red in (0, 1)
)
"""A table that makes red blue and blue red."""

SAME = "".join(f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def table(folder: Path, text: str = SWAPPED, name: str = "look.cube") -> str:
    (folder / name).write_text(text)
    return name


def middles(image: av.VideoFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The colours of eight bars of a picture 160 wide."""
    return pixels.to_rgb(image)[image.height // 2, 10::20].astype(np.int64)


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("interp", ["tetrahedral", "trilinear", "nearest"])
def test_colours_are_those_of_the_table(interp: str, layout: str, tmp_path: Path) -> None:
    image = picture(bars(160, 16), layout, seconds=2)
    node = Lut3d.model_validate({"path": table(tmp_path), "interp": interp})
    given = run_node(node, image=image, folder=tmp_path)
    assert given.format.name == layout
    assert (given.pts, given.time_base) == (image.pts, image.time_base)
    assert np.abs(middles(given) - middles(image)[:, ::-1]).max() <= 3


@pytest.mark.parametrize("layout", YUV_LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (15, 9), (33, 17), (129, 31)])
def test_any_size_is_graded_to_its_last_column(
    size: tuple[int, int], layout: str, tmp_path: Path
) -> None:
    red = np.zeros((size[1], size[0], 3), np.uint8)
    red[..., 0] = 200
    node = Lut3d(path=table(tmp_path))
    given = run_node(node, image=picture(red, layout), folder=tmp_path)
    assert (given.width, given.height) == size
    assert np.abs(pixels.to_rgb(given).astype(int) - (0, 0, 200)).max() <= 3


def test_a_table_that_changes_nothing_changes_nothing(tmp_path: Path) -> None:
    image = picture(gradient(256, 16))
    given = run_node(
        Lut3d(path=table(tmp_path, "LUT_3D_SIZE 2\n" + SAME)), image=image, folder=tmp_path
    )
    assert np.abs(pixels.to_rgb(given).astype(int) - pixels.to_rgb(image)).max() <= 2


def test_strength_mixes_and_changes_between_two_frames(tmp_path: Path) -> None:
    image = picture(bars(160, 16), "yuv444p")
    node = Lut3d(path=table(tmp_path), strength=0.5)
    with bench(node, layout="yuv444p", folder=tmp_path) as run:
        half = middles(run(image=image))
        node.strength = 0
        assert run(image=image) is image
        node.strength = 1
        whole = middles(run(image=image))
    assert np.abs(half - (middles(image) + whole) / 2).max() <= 3


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a:b.cube", id="colon"),
        pytest.param("it's.cube", id="quote"),
        pytest.param("a\\b.cube", id="backslash"),
        pytest.param("a,b;[c]=d.CUBE", id="comma and brackets"),
        pytest.param("%d é.cube", id="percent and accent"),
    ],
)
def test_any_file_name_works(name: str, tmp_path: Path) -> None:
    image = picture(bars(160, 16), "yuv444p")
    given = run_node(Lut3d(path=table(tmp_path, name=name)), image=image, folder=tmp_path)
    assert np.abs(middles(given) - middles(image)[:, ::-1]).max() <= 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "look.cube has no LUT_3D_SIZE line", id="empty"),
        pytest.param(
            "TITLE x\n0 0 0\n",
            "look.cube has no LUT_3D_SIZE line",
            id="no size",
        ),
        pytest.param(
            "LUT_1D_SIZE 2\n0 0 0\n1 1 1\n",
            "look.cube:1: this is a 1D table; a 3D one is needed",
            id="1D",
        ),
        pytest.param(
            "LUT_3D_SIZE 1\n",
            "look.cube:1: LUT_3D_SIZE should be 2 to 256, got '1'",
            id="too small",
        ),
        pytest.param(
            "LUT_3D_SIZE 9999\n",
            "look.cube:1: LUT_3D_SIZE should be 2 to 256, got '9999'",
            id="too large",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\n0 0 0\n",
            "look.cube has 1 entries; LUT_3D_SIZE 2 needs 8",
            id="cut short",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\n0 0\n",
            "look.cube:2: an entry should be 3 numbers up to 1000, got '0 0'",
            id="two numbers",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\n0 0 nan\n",
            "look.cube:2: an entry should be 3 numbers up to 1000, got '0 0 nan'",
            id="not a number",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\n0 0 1e30\n",
            "look.cube:2: an entry should be 3 numbers up to 1000, got '0 0 1e30'",
            id="out of range",
        ),
        pytest.param(
            "DOMAIN_MAX 1 1\nLUT_3D_SIZE 2\n" + SAME,
            "look.cube:1: DOMAIN_MAX should be 3 numbers up to 1000, got '1 1'",
            id="domain",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\nDOMAIN_MIN -1 0 0\n" + SAME,
            "look.cube is for colours from (-1 0 0) to (1 1 1);"
            " it should begin at 0 and reach at least 1",
            id="domain below black",
        ),
        pytest.param(
            "LUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0 0.5\n" + SAME,
            "look.cube is for colours from (0 0 0) to (0.5 0.5 0.5);"
            " it should begin at 0 and reach at least 1",
            id="domain below white",
        ),
    ],
)
def test_a_broken_table_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    table(tmp_path, text)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        plain_cube(tmp_path / "look.cube")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "look.cube").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"look\.cube is not text"):
        run_node(Lut3d(path="look.cube"), image=bars(16, 16), folder=tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"look\.png is not a \.cube file"):
        run_node(Lut3d(path=table(tmp_path, name="look.png")), image=bars(8, 8), folder=tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            '# a look\nTITLE "x"\nDOMAIN_MAX 2 2 2\n\nLUT_3D_SIZE 2\n' + SAME, id="before"
        ),
        pytest.param("LUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0.0 2.0\n" + SAME, id="input range"),
        pytest.param("\ufeff  LUT_3D_SIZE 2\r\nDOMAIN_MAX 2 2 2\r\n\t" + SAME, id="mark, indent"),
        pytest.param("LUT_3D_SIZE 2\nDOMAIN_MAX 2 2 2\n# here\n\n" + SAME, id="in the middle"),
    ],
)
def test_what_programs_write_around_the_entries_is_understood(text: str, tmp_path: Path) -> None:
    grey = np.full((16, 16, 3), 200, np.uint8)
    given = run_node(Lut3d(path=table(tmp_path, text)), image=grey, folder=tmp_path)
    assert np.abs(pixels.to_rgb(given).astype(int) - 100).max() <= 2
