from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from composer.pictures import pixels
from composer.testing import bars, bench, picture, run_node
from nodes.overlay_text import OverlayText, clock


def black(width: int = 320, height: int = 180, layout: str = "yuv420p") -> av.VideoFrame:
    return picture(np.zeros((height, width, 3), np.uint8), layout)


def luma(image: av.VideoFrame) -> NDArray[np.uint8]:
    return pixels.planes(image)[0].copy()


def written(image: av.VideoFrame) -> tuple[int, int, int, int]:
    """The box around what is no longer black."""
    there = luma(image) > 30
    rows, columns = np.nonzero(there.any(1))[0], np.nonzero(there.any(0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("size", [(320, 180), (321, 181)], ids=["even", "odd"])
def test_white_text_is_white_and_leaves_the_rest_alone(layout: str, size: tuple[int, int]) -> None:
    image = run_node(OverlayText(text="LIVE", size=60, x=21, y=33), image=black(*size, layout))
    left, top, right, bottom = written(image)
    assert abs(left - 21) <= 1
    assert abs(top - 33) <= 1
    assert luma(image).max() == 235
    rest = luma(image)
    rest[top - 1 : bottom + 1, left - 1 : right + 1] = 16
    assert (rest == 16).all()
    for plane in pixels.planes(image)[1:]:
        assert np.abs(plane.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 128, 255), (250, 240, 10)], ids=str)
@pytest.mark.parametrize("x", [10, 11])
def test_text_has_its_colour(color: tuple[int, int, int], x: int) -> None:
    paint = "#" + bytes(color).hex()
    image = run_node(OverlayText(text="I", size=150, color=paint, x=x, y=9), image=black())
    left, top, right, bottom = written(image)
    seen = pixels.to_rgb(image)[(top + bottom) // 2, (left + right) // 2].astype(int)
    assert np.abs(seen - color).max() <= 3


@pytest.mark.parametrize(
    ("x", "y", "side", "place"),
    [
        pytest.param("right-24", 5, 2, 296, id="right-24"),
        pytest.param(5, "bottom-24", 3, 156, id="bottom-24"),
        pytest.param("left+30", 5, 0, 30, id="left+30"),
        pytest.param(5, "top+7", 1, 7, id="top+7"),
        pytest.param("24", 5, 0, 24, id="a number as text"),
    ],
)
@pytest.mark.parametrize("text", ["LIVE", "goodbye", "x\nlong line"])
def test_the_edge_of_the_text_is_what_is_placed(
    x: int | str, y: int | str, side: int, place: int, text: str
) -> None:
    image = run_node(OverlayText(text=text, size=24, x=x, y=y), image=black())
    assert abs(written(image)[side] - place) <= 1


def test_center_is_the_middle() -> None:
    image = run_node(OverlayText(text="HIH", size=40, x="center", y="center+10"), image=black())
    left, top, right, bottom = written(image)
    assert abs((left + right) / 2 - 160) <= 1
    assert abs((top + bottom) / 2 - 100) <= 1


def test_outline_and_box_do_not_move_the_text() -> None:
    style: dict[str, Any] = {"text": "HIH", "size": 40, "x": "right-24", "y": "bottom-24"}
    plain = run_node(OverlayText(**style), image=black())
    styled = OverlayText(**style, outline=3, box=True, padding=9, box_color="black")
    assert written(run_node(styled, image=black())) == written(plain)


def test_a_box_lies_behind_the_text() -> None:
    style: dict[str, Any] = {"text": "HIH", "size": 40, "x": 30, "y": 40}
    left, top, right, bottom = written(run_node(OverlayText(**style), image=black()))
    boxed = OverlayText(**style, box=True, padding=10, box_color="#ff0000", outline=2)
    image = run_node(boxed, image=black())
    assert written(image) == (left - 12, top - 12, right + 12, bottom + 12)
    assert luma(image).max() == 235
    red = pixels.yuv_of((255, 0, 0), 2)
    assert abs(int(luma(image)[top - 8, left - 8]) - red[0]) <= 1


def test_an_outline_surrounds_the_letters() -> None:
    image = picture(np.full((180, 320, 3), 128, np.uint8))
    seen = luma(run_node(OverlayText(text="I", size=120, outline=4), image=image))
    middle = seen[24 + 40]
    assert middle.max() == 235
    assert middle.min() == 16
    first, last = np.nonzero(middle == 235)[0][[0, -1]]
    assert (middle[[first - 3, last + 3]] == 16).all()


@pytest.mark.parametrize(
    ("opacity", "level"), [(0.0, 16), (0.25, 71), (0.5, 126), (1.0, 235)], ids=str
)
def test_opacity_thins_all_of_it(opacity: float, level: int) -> None:
    image = run_node(OverlayText(text="I", size=150, opacity=opacity), image=black())
    assert abs(int(luma(image).max()) - level) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("{time}", "1:01:01.500", id="time"),
        pytest.param("at {pts}", "at 329535000", id="pts"),
        pytest.param("{frame}/{frame}", "0/0", id="frame"),
        pytest.param("{nobody} {} {time", "{nobody} {} {time", id="unknown"),
        pytest.param("{{time} {{", "{time} {", id="doubled brace"),
        pytest.param("}} {fps}", "}} 0.0", id="fps of one frame"),
    ],
)
def test_placeholders_are_filled_in(text: str, shown: str) -> None:
    filled = run_node(OverlayText(text=text), image=black(), at=3661.5)
    plain = run_node(OverlayText(text=shown.replace("{", "{{")), image=black())
    assert (luma(filled) == luma(plain)).all()


def test_frames_are_counted_and_their_rate_is_that_of_the_last_second() -> None:
    with bench(OverlayText(text="{frame} {fps}")) as run:
        for number in range(30):
            run(image=black(), at=number / 10)
        for number in range(1, 26):
            run(image=black(), at=3 + number / 25 - 1 / 25)
        made = run(image=black(), at=4)
    shown = run_node(OverlayText(text="55 25.0"), image=black())
    assert (luma(made) == luma(shown)).all()


def test_a_source_that_begins_again_is_measured_anew() -> None:
    with bench(OverlayText(text="{fps}")) as run:
        for second in (100.0, 100.1, 0.0):
            run(image=black(), at=second)
        made = run(image=black(), at=0.04)
    assert (luma(made) == luma(run_node(OverlayText(text="25.0"), image=black()))).all()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0:00:00.000"),
        (59.9996, "0:01:00.000"),
        (36_000.001, "10:00:00.001"),
        (-1.5, "-0:00:01.500"),
        (-0.0001, "0:00:00.000"),
    ],
)
def test_the_clock_has_hours_minutes_seconds_and_thousandths(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", "bye"),
        ("size", 55),
        ("color", "#ff0000"),
        ("x", "right-5"),
        ("y", "bottom-5"),
        ("opacity", 0.5),
        ("outline", 2),
        ("box", True),
        ("align", "right"),
        ("spacing", 20),
        ("edges", "font"),
    ],
)
def test_a_live_change_gives_what_a_fresh_node_gives(field: str, value: Any) -> None:
    style: dict[str, Any] = {"text": "on air\nit", "box_color": "blue", "outline_color": "green"}
    with bench(OverlayText(**style)) as run:
        before = luma(run(image=picture(bars(320, 180))))
        setattr(run.node, field, value)
        after = luma(run(image=picture(bars(320, 180))))
    name = OverlayText.model_fields[field].alias or field
    fresh = run_node(OverlayText(**style | {name: value}), image=picture(bars(320, 180)))
    assert (after != before).any()
    assert (after == luma(fresh)).all()


def test_pictures_may_change_size_and_layout_between_frames() -> None:
    with bench(OverlayText(text="on air", x="right-3", y="bottom-3", outline=2)) as run:
        for size in ((320, 180), (61, 35), (16, 16), (2, 2), (1, 1), (320, 180)):
            for layout in ("yuv420p", "yuv422p", "yuv444p"):
                made = run(image=black(*size, layout))
                fresh = run_node(run.node.model_copy(), image=black(*size, layout))
                for plane, wanted in zip(pixels.planes(made), pixels.planes(fresh), strict=True):
                    assert (plane == wanted).all()


def test_the_same_picture_comes_back() -> None:
    image = black()
    image.pts = 77
    image.colorspace = 1
    made = run_node(OverlayText(text="on air"), image=image)
    assert made is image
    assert (made.pts, int(made.colorspace)) == (77, 1)


def test_text_outside_and_empty_text_change_nothing() -> None:
    for node in (
        OverlayText(text="on air", x=-5000),
        OverlayText(text="on air", y="bottom+999"),
        OverlayText(text="", box=True),
        OverlayText(text=" \n ", box=True),
    ):
        assert (luma(run_node(node, image=black())) == 16).all()


def test_the_largest_text_is_drawn_where_the_picture_is() -> None:
    image = run_node(OverlayText(text="W" * 1000, size=1000, x="center", y="center"), image=black())
    assert luma(image).max() == 235


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"color": "#12"}, "is not a colour; write '#rrggbb'", id="colour"),
        pytest.param({"box_color": "rad"}, "is not a colour; write '#rrggbb'", id="box colour"),
        pytest.param({"x": "middle"}, "is not a position; write pixels", id="position"),
        pytest.param({"size": 1001}, "less than or equal to 1000", id="size"),
        pytest.param({"text": "a" * 1001}, "at most 1000 characters", id="text"),
        pytest.param({"outline": 101}, "less than or equal to 100", id="outline"),
    ],
)
def test_bad_values_are_refused_when_the_file_is_checked(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OverlayText(**fields)


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ttf").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.ttf is not a TTF or OTF font"):
        run_node(OverlayText(text="a", font="a.ttf"), image=black(), folder=tmp_path)
