from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from composer import Detection, Detections, rgba
from composer.pictures import pixels
from composer.testing import bench, picture, run_node
from nodes.overlay_boxes import PALETTE, OverlayBoxes, color_of, readable_on

PERSON = Detection(0.25, 0.25, 0.5, 0.5, "person", 0.87)
BARE: dict[str, Any] = {"labels": False, "scores": False}


def black(width: int = 160, height: int = 120, layout: str = "yuv420p") -> av.VideoFrame:
    return picture(np.zeros((height, width, 3), np.uint8), layout)


def drawn(*found: Detection, image: av.VideoFrame | None = None, **fields: Any) -> Any:
    """(height, width, 3) RGB of what the node makes of these detections on black."""
    shown = image if image is not None else black()
    made = run_node(OverlayBoxes(**fields), image=shown, boxes=Detections(found))
    return pixels.to_rgb(made).astype(int)


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("thickness", [2, 5])
def test_a_box_has_four_sides_of_its_colour(layout: str, thickness: int) -> None:
    image = run_node(
        OverlayBoxes(color="#e02040", thickness=thickness, **BARE),
        image=black(layout=layout),
        boxes=[PERSON],
    )
    luma = pixels.planes(image)[0]
    wanted = np.full((120, 160), 16)
    wanted[30:90, 40:120] = pixels.yuv_of((0xE0, 0x20, 0x40), 2)[0]
    wanted[30 + thickness : 90 - thickness, 40 + thickness : 120 - thickness] = 16
    assert (luma == wanted).all()
    seen = pixels.to_rgb(image).astype(int)
    assert np.abs(seen[30:32, 44:116] - (0xE0, 0x20, 0x40)).max() <= 4


def test_thick_lines_fill_a_small_box_once() -> None:
    tiny = Detection(0.5, 0.5, 0.05, 0.05)
    image = run_node(
        OverlayBoxes(color="white", thickness=100, opacity=0.5, **BARE),
        image=black(),
        boxes=[tiny],
    )
    assert np.unique(pixels.planes(image)[0]).tolist() == [16, 126]


@pytest.mark.parametrize(
    ("found", "box"),
    [
        pytest.param(Detection(-0.5, -0.5, 1, 1), (0, 0, 80, 60), id="over the left top"),
        pytest.param(Detection(0.5, 0.5, 2, 2), (80, 60, 160, 120), id="over the right bottom"),
    ],
)
def test_boxes_are_cut_at_the_borders(found: Detection, box: tuple[int, ...]) -> None:
    seen = drawn(found, color="white", **BARE).sum(2) > 300
    rows, columns = np.nonzero(seen.any(1))[0], np.nonzero(seen.any(0))[0]
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == box


@pytest.mark.parametrize(
    "found",
    [Detection(2, 2, 1, 1), Detection(0.5, 0.5, 0, 0), Detection(-1, 0, 0.5, 1)],
    ids=["outside", "empty", "outside on the left"],
)
def test_what_is_not_in_the_picture_draws_nothing(found: Detection) -> None:
    assert drawn(found).max() == 0


def test_no_detections_change_nothing() -> None:
    assert drawn().max() == 0


def test_low_scores_are_left_out() -> None:
    weak = Detection(0.25, 0.25, 0.5, 0.5, "person", 0.4)
    assert drawn(weak, min_score=0.41).max() == 0
    assert drawn(weak, min_score=0.4).max() > 0


def test_a_label_has_one_colour_from_the_palette() -> None:
    first = color_of("person", "auto")
    assert first == color_of("person", "auto")
    assert first in {rgba(paint) for paint in PALETTE}
    assert len({color_of(f"label {number}", "auto") for number in range(200)}) == len(PALETTE)
    assert color_of("person", "red") == (255, 0, 0, 255)


def test_auto_paints_the_box_in_the_colour_of_its_label() -> None:
    seen = drawn(PERSON, thickness=4, **BARE)[31, 60]
    assert np.abs(seen - color_of("person", "auto")[:3]).max() <= 4


@pytest.mark.parametrize("paint", PALETTE)
def test_words_can_be_read_on_every_colour(paint: str) -> None:
    def luminance(color: tuple[int, ...]) -> float:
        linear = [(part / 255) ** 2.2 for part in color[:3]]
        return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])

    pair = sorted((luminance(rgba(paint)), luminance(readable_on(rgba(paint)))))
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3  # WCAG 2.2, 1.4.3, for large text


def test_label_and_score_stand_in_a_field_above_the_box() -> None:
    style: dict[str, Any] = {"color": "#0000ff", "text_size": 12, "thickness": 1}
    nothing = drawn(PERSON, **style, **BARE)[:30]
    label = drawn(PERSON, **style, scores=False)[:30]
    both = drawn(PERSON, **style)[:30]
    assert nothing.max() == 0
    assert label.min(2).max() > 200  # white letters
    widths = [np.nonzero(seen.any((0, 2)))[0][-1] + 1 for seen in (label, both)]
    assert 40 < widths[0] < widths[1]
    rows = np.nonzero(both.any((1, 2)))[0]
    assert rows[-1] == 29


def test_a_field_without_room_above_goes_inside() -> None:
    seen = drawn(Detection(0.25, 0, 0.5, 0.9, "person", 0.5), color="blue", text_size=12)
    assert seen[:20, 40:80].min(2).max() > 200


def test_a_field_at_the_right_border_stays_in_the_picture() -> None:
    node = OverlayBoxes(color="blue", text_size=12)
    far = Detection(0.95, 0.5, 0.05, 0.4, "a long label", 0.5)
    image = run_node(node, image=black(), boxes=[far])
    field = np.flatnonzero(pixels.to_rgb(image)[40:60].max((0, 2)))
    assert field[-1] == 159
    assert field.size > 60


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thickness", 9),
        ("color", "white"),
        ("labels", False),
        ("scores", False),
        ("text_size", 30),
        ("min_score", 0.9),
        ("opacity", 0.5),
    ],
)
def test_a_live_change_gives_what_a_fresh_node_gives(field: str, value: Any) -> None:
    with bench(OverlayBoxes()) as run:
        before = pixels.to_rgb(run(image=black(), boxes=Detections((PERSON,))))
        setattr(run.node, field, value)
        after = pixels.to_rgb(run(image=black(), boxes=Detections((PERSON,))))
    assert (after != before).any()
    assert (after == drawn(PERSON, **{field: value})).all()


@pytest.mark.parametrize("size", [(161, 121), (16, 16), (3, 5), (2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p"])
def test_pictures_of_any_size(size: tuple[int, int], layout: str) -> None:
    image = black(*size, layout)
    whole = Detection(0, 0, 1, 1)
    made = run_node(OverlayBoxes(color="white", thickness=100, **BARE), image=image, boxes=[whole])
    assert made is image
    assert (pixels.planes(made)[0] == 235).all()
    for plane in pixels.planes(made)[1:]:
        assert np.abs(plane.astype(int) - 128).max() <= 1
    run_node(OverlayBoxes(), image=black(*size, layout), boxes=[PERSON])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"color": "rad"}, "is not a colour; write '#rrggbb'"),
        ({"color": None}, "is not 'auto' or a colour; put '#rrggbb' in quotes"),
        ({"thickness": 0}, "greater than or equal to 1"),
        ({"text_size": 201}, "less than or equal to 200"),
        ({"min_score": 1.1}, "less than or equal to 1"),
    ],
)
def test_bad_values_are_refused_when_the_file_is_checked(fields: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OverlayBoxes(**fields)
