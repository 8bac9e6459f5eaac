from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from composer.pictures import pixels
from composer.testing import bars, bench, picture, run_node
from nodes.overlay_image import OverlayImage

RED = (220, 30, 40)


def grey(width: int = 64, height: int = 48, layout: str = "yuv420p") -> av.VideoFrame:
    return picture(np.full((height, width, 3), 128, np.uint8), layout)


def save(folder: Path, rgba: NDArray[np.uint8], name: str = "logo.png") -> None:
    PIL.Image.fromarray(rgba).save(folder / name)


def plain(width: int = 16, height: int = 8, alpha: int = 255) -> NDArray[np.uint8]:
    return np.full((height, width, 4), (*RED, alpha), np.uint8)


def touched(image: av.VideoFrame) -> tuple[int, int, int, int]:
    """The box around what is no longer grey."""
    there = pixels.planes(image)[0] != pixels.yuv_of((128, 128, 128), 2)[0]
    rows, columns = np.nonzero(there.any(1))[0], np.nonzero(there.any(0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("size", [(64, 48), (65, 49)], ids=["even", "odd"])
@pytest.mark.parametrize("x", [6, 7])
def test_an_opaque_still_covers_what_is_below(
    tmp_path: Path, layout: str, size: tuple[int, int], x: int
) -> None:
    save(tmp_path, plain())
    node = OverlayImage(path="logo.png", x=x, y=5)
    image = run_node(node, image=grey(*size, layout), folder=tmp_path)
    assert touched(image) == (x, 5, x + 16, 13)
    shift_x, shift_y = pixels.CHROMA_SHIFT[layout]
    shifts = ((0, 0), (shift_x, shift_y), (shift_x, shift_y))
    wanted = zip(pixels.planes(image), pixels.yuv_of(RED, 2), shifts, strict=True)
    for plane, value, (half_x, half_y) in wanted:
        inside = plane[-(-5 >> half_y) : 13 >> half_y, -(-x >> half_x) : (x + 16) >> half_x]
        assert np.abs(inside.astype(int) - value).max() <= 1
        assert np.ptp(plane[-(-13 >> half_y) :]) == 0


@pytest.mark.parametrize(("alpha", "opacity"), [(128, 1.0), (255, 0.5)], ids=["file", "field"])
def test_half_of_it_is_half_of_each(tmp_path: Path, alpha: int, opacity: float) -> None:
    save(tmp_path, plain(alpha=alpha))
    node = OverlayImage(path="logo.png", x=4, y=4, opacity=opacity)
    image = run_node(node, image=grey(), folder=tmp_path)
    seen = pixels.to_rgb(image)[8, 10].astype(int)
    assert np.abs(seen - (np.array(RED) + 128) / 2).max() <= 3


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        pytest.param({}, (24, 24, 40, 32), id="where it is when nothing is said"),
        pytest.param({"x": "right-4", "y": "bottom-5"}, (44, 35, 60, 43), id="right bottom"),
        pytest.param({"x": "center", "y": "center"}, (24, 20, 40, 28), id="center"),
        pytest.param({"x": -7, "y": -3}, (0, 0, 9, 5), id="cut on the left and above"),
        pytest.param({"x": "right+5", "y": "bottom+2"}, (53, 42, 64, 48), id="cut behind"),
        pytest.param({"x": 0, "y": 0, "scale": 2}, (0, 0, 32, 16), id="twice"),
        pytest.param({"x": 0, "y": 0, "scale": 0.5}, (0, 0, 8, 4), id="half"),
        pytest.param({"x": 0, "y": 0, "scale": 0.01}, (0, 0, 1, 1), id="a pixel at least"),
        pytest.param({"x": 0, "y": 0, "scale": 10}, (0, 0, 64, 48), id="larger than the picture"),
        pytest.param({"x": 0, "y": 0, "width": 32}, (0, 0, 32, 16), id="height follows"),
        pytest.param({"x": 0, "y": 0, "height": 4}, (0, 0, 8, 4), id="width follows"),
        pytest.param({"x": 0, "y": 0, "width": 9, "height": 20}, (0, 0, 9, 20), id="both"),
        pytest.param({"x": 0, "y": 0, "width": 20, "scale": 0.5}, (0, 0, 10, 5), id="and scale"),
    ],
)
def test_where_it_lies_and_how_large_it_is(tmp_path: Path, fields: Any, box: Any) -> None:
    save(tmp_path, plain())
    image = run_node(OverlayImage(path="logo.png", **fields), image=grey(), folder=tmp_path)
    assert touched(image) == box


def test_colours_under_clear_pixels_do_not_bleed_in(tmp_path: Path) -> None:
    rgba = plain(40, 40, 0)
    rgba[10:30, 10:30] = (128, 128, 128, 255)
    save(tmp_path, rgba)
    node = OverlayImage(path="logo.png", x=3, y=3, scale=0.37)
    image = run_node(node, image=grey(), folder=tmp_path)
    assert np.abs(pixels.to_rgb(image).astype(int) - 128).max() <= 2


@pytest.mark.parametrize("scale", [1.0, 0.6, 3.0])
def test_a_cut_still_is_a_part_of_the_whole(tmp_path: Path, scale: float) -> None:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (12, 16, 4), np.uint8)
    save(tmp_path, np.asarray(PIL.Image.fromarray(small).resize((64, 48))))
    width, height = round(64 * scale), round(48 * scale)
    large = grey(400, 400)
    whole = run_node(
        OverlayImage(path="logo.png", x=100, y=100, scale=scale), image=large, folder=tmp_path
    )
    room = grey(width // 2 // 2 * 2, height // 2 // 2 * 2)
    cut = run_node(
        OverlayImage(path="logo.png", x=-6, y=-4, scale=scale), image=room, folder=tmp_path
    )
    for seen, all_of_it, shift in zip(
        pixels.planes(cut), pixels.planes(whole), (0, 1, 1), strict=True
    ):
        top, left = 104 >> shift, 106 >> shift
        part = all_of_it[top : top + seen.shape[0], left : left + seen.shape[1]]
        assert np.abs(seen.astype(int) - part).max() <= 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("x", "right-3"), ("y", 0), ("opacity", 0.3), ("scale", 0.5), ("width", 7), ("height", 30)],
)
def test_a_live_change_gives_what_a_fresh_node_gives(
    tmp_path: Path, field: str, value: Any
) -> None:
    save(tmp_path, plain())
    with bench(OverlayImage(path="logo.png"), folder=tmp_path) as run:
        before = pixels.to_rgb(run(image=picture(bars(64, 48))))
        setattr(run.node, field, value)
        after = pixels.to_rgb(run(image=picture(bars(64, 48))))
    node = OverlayImage(path="logo.png", **{field: value})
    fresh = pixels.to_rgb(run_node(node, image=picture(bars(64, 48)), folder=tmp_path))
    assert (after != before).any()
    assert (after == fresh).all()


def test_a_still_larger_than_the_picture_changes_its_scale(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (200, 1, 4))
    ramp[..., 3] = 255
    save(tmp_path, ramp)
    with bench(OverlayImage(path="logo.png", x=0, y=0), folder=tmp_path) as run:
        seen = []
        for scale in (1.0, 2.0):
            run.node.scale = scale  # type: ignore[attr-defined]
            seen.append(int(pixels.to_rgb(run(image=grey()))[0, 60, 0]))
    assert np.abs(np.subtract(seen, (60, 30))).max() <= 3


def test_pictures_may_change_size_and_layout_between_frames(tmp_path: Path) -> None:
    save(tmp_path, plain())
    with bench(OverlayImage(path="logo.png", x="right-1", y="center"), folder=tmp_path) as run:
        for size in ((64, 48), (31, 17), (16, 16), (2, 2), (1, 1), (64, 48)):
            for layout in ("yuv420p", "yuv422p", "yuv444p"):
                made = run(image=grey(*size, layout))
                fresh = run_node(run.node.model_copy(), image=grey(*size, layout), folder=tmp_path)
                for plane, wanted in zip(pixels.planes(made), pixels.planes(fresh), strict=True):
                    assert (plane == wanted).all()


def test_a_jpeg_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # Orientation: a quarter turn clockwise
    PIL.Image.fromarray(plain()[..., :3]).save(tmp_path / "photo.jpg", exif=exif)
    node = OverlayImage(path="photo.jpg", x=0, y=0)
    assert touched(run_node(node, image=grey(), folder=tmp_path)) == (0, 0, 8, 16)


def test_the_same_picture_comes_back(tmp_path: Path) -> None:
    save(tmp_path, plain())
    image = grey()
    assert run_node(OverlayImage(path="logo.png"), image=image, folder=tmp_path) is image


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"logo\.png is not a PNG, JPEG or WebP picture"):
        run_node(OverlayImage(path="logo.png"), image=grey(), folder=tmp_path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Field required"),
        ({"path": "a.png", "scale": 0.001}, "greater than or equal to 0.01"),
        ({"path": "a.png", "scale": 11}, "less than or equal to 10"),
        ({"path": "a.png", "width": 0}, "greater than or equal to 1"),
        ({"path": "a.png", "x": "middle"}, "is not a position; write pixels"),
    ],
)
def test_bad_values_are_refused_when_the_file_is_checked(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OverlayImage(**fields)
