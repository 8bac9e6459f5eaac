import ast
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from composer.models import heads
from composer.models.heads import HEADS, Boxes, HeadInvalid, decode, guess, suppress
from composer.models.ultralytics import export

Floats: TypeAlias = NDArray[np.float32]
Outputs: TypeAlias = dict[str, NDArray[Any]]
Found: TypeAlias = list[tuple[int, float, tuple[float, ...]]]
Rows: TypeAlias = dict[int, list[float]]

WIDE: Final = (64, 32)
"""Size of most pictures here: 42 cells in grids of 8 x 4, 4 x 2 and 2 x 1."""


def found(boxes: Boxes, width: int = 64, height: int = 32) -> Found:
    """(class, score, (left, top, right, bottom) in pixels) of each box, as they come."""
    corners = boxes.corners.astype(float) * [width, height, width, height]
    return [
        (int(kind), float(score), tuple(map(float, corner)))
        for kind, score, corner in zip(boxes.classes, boxes.scores, corners, strict=True)
    ]


def run(
    head: str,
    outputs: Outputs,
    size: tuple[int, int] = WIDE,
    *,
    min_score: float = 0.25,
    iou: float = 0.5,
    most: int = 300,
) -> Found:
    boxes = decode(head, outputs, size, min_score=min_score, iou=iou, most=most)
    return found(boxes, *size)


def table(count: int, width: int, rows: Rows) -> Floats:
    """(count, width) zeros, but for some rows."""
    array = np.zeros((count, width), np.float32)
    for at, row in rows.items():
        array[at] = row
    return array


def one(score: float, *corners: float, kind: int = 0) -> tuple[int, float, tuple[float, ...]]:
    return (kind, score, corners)


# What Ultralytics says of its exports

SQUARE: Final = (64, 64)
"""84 cells in grids of 8 x 8, 4 x 4 and 2 x 2."""

MASKS: Final[Outputs] = {"output1": np.zeros((32, 16, 16), np.float32)}
NAMES: Final = "{0: 'dog', 1: 'cat', 2: 'cow'}"
CAT: Final = [one(0.9, 22, 22, 42, 42, kind=1)]


def boxes_of_all(beyond: list[float], *, middle: tuple[float, ...] = (32, 32, 20, 20)) -> Floats:
    """(84, 7 + beyond): a cat in cell 5, and what is beyond looks likelier than anything."""
    return table(84, 7 + len(beyond), {5: [*middle, 0, 0.9, 0, *beyond]}) + (
        table(84, 7 + len(beyond), {at: [0] * 7 + [3.0] * len(beyond) for at in range(84)})
    )


def told(array: NDArray[Any], more: Any = None, head: str = "yolo8", **said: str) -> list[Any]:
    """What is found in an export of 64 x 64 pixels whose metadata is this."""
    outputs = {"output0": array, **(more or {})}
    metadata = {"stride": "32", "names": NAMES, **said}
    known = len(ast.literal_eval(metadata["names"]))
    boxes = decode(
        *(head, outputs, SQUARE), min_score=0.25, iou=0.5, export=export(metadata, known)
    )
    return [
        (kind, pytest.approx(score), pytest.approx(corners))
        for kind, score, corners in found(boxes, *SQUARE)
    ]


def list_of(*rows: list[float], count: int = 50) -> Floats:
    return table(count, len(rows[0]), dict(enumerate(rows)))


LISTED: Final = [22.0, 22, 42, 42, 0.9, 1]


@pytest.mark.parametrize("head", ["yolo8", "yolo10"])
@pytest.mark.parametrize(
    ("task", "array", "more", "said"),
    [
        pytest.param("detect", boxes_of_all([]).T, {}, {}, id="detect"),
        pytest.param("detect", boxes_of_all([]), {}, {}, id="detect, turned over"),
        pytest.param("detect", list_of(LISTED), {}, {}, id="detect, listed"),
        pytest.param("detect", list_of(LISTED), {}, {"end2end": "True"}, id="detect of v26"),
        pytest.param("segment", boxes_of_all([0] * 32).T, MASKS, {}, id="segment"),
        pytest.param("segment", boxes_of_all([0] * 32), MASKS, {}, id="segment, turned over"),
        pytest.param(
            *("segment", boxes_of_all([0] * 32).T),
            *({"output1": np.zeros((16, 16, 32), np.float32)}, {}),
            id="segment, masks with their channels last",
        ),
        pytest.param("segment", boxes_of_all([0] * 32).T, {}, {}, id="segment without masks"),
        pytest.param("segment", list_of([*LISTED, *[3.0] * 32]), MASKS, {}, id="segment, listed"),
        pytest.param(
            *("segment", list_of([*LISTED, *[3.0] * 32], count=84), MASKS, {}),
            id="segment, listed, as many as there are cells",
        ),
        pytest.param("pose", boxes_of_all([0] * 51).T, {}, {}, id="pose"),
        pytest.param(
            "pose", boxes_of_all([0] * 10).T, {}, {"kpt_shape": "[5, 2]"}, id="pose of five points"
        ),
        pytest.param("pose", list_of([*LISTED, *[3.0] * 51]), {}, {}, id="pose, listed"),
    ],
)
def test_an_export_is_read_by_what_its_file_says(
    head: str, task: str, array: Floats, more: Outputs, said: dict[str, str]
) -> None:
    assert told(array, more, head, task=task, **said) == CAT


TWO_CLASSES: Final = "['dog', 'cat']"


@pytest.mark.parametrize(
    ("rows", "said", "kinds"),
    [
        pytest.param(300, {}, [5], id="no word"),
        pytest.param(84, {}, [1], id="as many as there are cells"),
        pytest.param(84, {"args": "{'nms': True}"}, [5], id="with suppression inside"),
        pytest.param(300, {"end2end": "False"}, [1], id="not from end to end"),
    ],
)
def test_six_numbers_of_a_box_of_two_classes(
    rows: int, said: dict[str, str], kinds: list[int]
) -> None:
    """A score of 0.6 and class 5, or chances of 0.6 and 5.0."""
    array = table(rows, 6, {0: [10, 10, 30, 30, 0.6, 5]})
    found = told(array, task="detect", names=TWO_CLASSES, **said)
    assert [kind for kind, *_ in found] == kinds


def test_yolo5_is_told_by_the_number_of_its_classes() -> None:
    row = [32, 32, 20, 20, 0.9, 0, 1, 0]
    assert told(table(252, 8, {5: row}), head="yolo5") == CAT
    assert told(table(252, 8, {5: row}), task="detect") == CAT
    assert told(table(252, 40, {5: [*row, *[3] * 32]}), MASKS, "yolo5") == CAT
    assert told(boxes_of_all([]).T, head="yolo5") == CAT  # an early v8 has no task


def test_boxes_of_rt_detr_are_parts_of_the_picture() -> None:
    array = table(300, 7, {5: [0.5, 0.5, 0.3125, 0.3125, 0, 0.9, 0]})
    assert told(array, task="detect", description="Ultralytics RT-DETR-l model") == CAT


@pytest.mark.parametrize("listed", [False, True])
def test_a_turned_box_becomes_the_upright_one_around_it(listed: bool) -> None:  # noqa: FBT001
    middle = (32, 32, 20, 10)
    for angle, (width, height) in (
        (0.0, (20, 10)),
        (np.pi / 2, (10, 20)),
        (np.pi / 4, (30 / 2**0.5, 30 / 2**0.5)),
        (-np.pi / 6, (10 * 3**0.5 + 5, 10 + 5 * 3**0.5)),
    ):
        table_ = boxes_of_all([0], middle=middle)
        table_[:, 7] = angle
        array = list_of([*middle, 0.9, 1, angle]) if listed else table_.T
        sides = (32 - width / 2, 32 - height / 2, 32 + width / 2, 32 + height / 2)
        assert told(array, task="obb") == [one(0.9, *sides, kind=1)], angle


def test_turned_boxes_side_by_side_do_not_cover_each_other() -> None:
    array = np.zeros((84, 8), np.float32)
    array[0] = [28, 28, 40, 6, 0, 0.9, 0, np.pi / 4]
    array[1] = [36, 28, 40, 6, 0, 0.8, 0, np.pi / 4]  # along, the upright ones are half the same
    array[2] = [28, 29, 40, 6, 0, 0.7, 0, np.pi / 4]  # hardly moved
    array[3] = [28, 28, 6, 40, 0, 0.6, 0, -np.pi / 4]  # the same box, written otherwise
    assert [score for _, score, _ in told(array.T, task="obb")] == [0.9, 0.8]


def test_an_export_that_is_not_what_it_says() -> None:
    with pytest.raises(HeadInvalid, match=r"^output 'output0' is \(5, 84\), should be \(boxes, 4 "):
        told(np.zeros((5, 84), np.float32), task="obb")
    with pytest.raises(HeadInvalid, match=r"^the first output is \(84,\), should be \(boxes, "):
        told(np.zeros(84, np.float32), task="detect")


# The lists of the YOLO family


YOLO5: Final = table(
    126,
    7,
    {
        3: [32, 16, 16, 8, 0.5, 0.25, 0.5],
        70: [10, 10, 4, 4, 0.25, 1, 0],
        80: [10, 10, 4, 4, 0.125, 1, 1],  # nothing there, whatever it would be
        90: [50, 10, 4, 4, 0.5, 0.25, 0.25],  # something, but nobody knows what
        99: [16, 8, 16, 16, 1, 1, 0],
    },
)
YOLO5_FOUND: Final = [
    one(1, 8, 0, 24, 16),
    one(0.25, 24, 12, 40, 20, kind=1),
    one(0.25, 8, 8, 12, 12),
]

YOLO8: Final = table(
    42,
    6,
    {
        0: [32, 16, 16, 8, 0.125, 0.5],
        41: [60, 16, 16, 64, 0.75, 0.5],
        7: [8, 8, 4, 4, 0.125, 0.125],
    },
)
YOLO8_FOUND: Final = [one(0.75, 52, -16, 68, 48), one(0.5, 24, 12, 40, 20, kind=1)]

YOLOX: Final = table(
    42,
    6,
    {
        9: [0, 0, 0, 0, 0.5, 0.5],  # row 1, column 1 of 8 pixels
        37: [0.5, 0.25, 0, 0, 1, 1],  # row 1, column 1 of 16 pixels
        41: [0.5, 0.5, -100, 0, 1, 1],  # row 0, column 1 of 32 pixels, and no width
    },
)
YOLOX_FOUND: Final = [one(1, 16, 12, 32, 28), one(0.25, 4, 4, 12, 12)]


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    ("head", "rows", "wanted"),
    [
        pytest.param("yolo5", YOLO5, YOLO5_FOUND, id="yolo5"),
        pytest.param("yolo8", YOLO8, YOLO8_FOUND, id="yolo8"),
        pytest.param("yolox", YOLOX, YOLOX_FOUND, id="yolox"),
    ],
)
def test_lists_are_read_whichever_way_they_lie(
    head: str, rows: Floats, wanted: Found, *, upright: bool
) -> None:
    array = rows if upright else np.ascontiguousarray(rows.T)
    assert run(head, {"output0": array}) == wanted


@pytest.mark.parametrize("upright", [False, True])
def test_a_small_picture_has_fewer_boxes_than_classes(*, upright: bool) -> None:
    rows = table(21, 84, {5: [16, 8, 16, 8, *[0] * 79, 0.5]})
    wanted = [one(0.5, 8, 4, 24, 12, kind=79)]
    assert run("yolo8", {"output0": rows if upright else rows.T}, (32, 32)) == wanted
    rows = table(63, 85, {5: [16, 8, 16, 8, 1, *[0] * 79, 0.5]})
    assert run("yolo5", {"output0": rows if upright else rows.T}, (32, 32)) == wanted


@pytest.mark.parametrize("upright", [False, True])
def test_a_picture_of_no_usual_grid_has_more_boxes_than_features(*, upright: bool) -> None:
    rows = table(11, 6, {5: [16, 8, 16, 8, 0, 0.5]})
    array = rows if upright else rows.T
    assert run("yolo8", {"output0": array}) == [one(0.5, 8, 4, 24, 12, kind=1)]


def test_other_outputs_of_a_yolo_are_left_alone() -> None:
    grids = {"grid": np.zeros((3, 4, 8, 7), np.float32)}
    assert run("yolo5", {"output": YOLO5, **grids}) == YOLO5_FOUND


def test_yolo10_gives_corners_and_nothing_is_suppressed() -> None:
    rows = table(
        300,
        6,
        {
            0: [8, 4, 24, 12, 0.5, 3],
            1: [8, 4, 24, 12, 0.75, 3],
            2: [0, 0, 8, 8, 0.125, 1],
        },
    )
    wanted = [one(0.75, 8, 4, 24, 12, kind=3), one(0.5, 8, 4, 24, 12, kind=3)]
    assert run("yolo10", {"output0": rows}) == wanted


def test_yolox_may_have_a_fourth_grid() -> None:
    rows = table(85, 6, {84: [0.5, 0.5, 0, -100, 1, 1], 83: [0.5, 0.5, 0, 0, 1, 0.5]})
    assert run("yolox", {"output": rows}, (64, 64)) == [one(0.5, 32, 32, 64, 64)]
    rows[84, 3] = 0
    wanted = [one(1, 0, 0, 64, 64), one(0.5, 32, 32, 64, 64)]
    assert run("yolox", {"output": rows}, (64, 64)) == wanted


# Outputs that say what they are


def test_tensorflow_names_its_outputs_and_counts_what_is_meant() -> None:
    outputs = {
        "raw_detection_boxes": np.ones((99, 4), np.float32),
        "num_detections:0": np.array([2], np.float32),
        "detection_scores:0": np.array([0.5, 0.75, 0.875], np.float32),
        "scope/detection_classes:0": np.array([3, 1, 2], np.float32),
        "detection_boxes:0": np.array(
            [[0, 0.25, 0.5, 0.75], [0.25, 0, 1, 1], [0, 0, 1, 1]], np.float32
        ),
    }
    wanted = [one(0.75, 0, 8, 64, 32, kind=1), one(0.5, 16, 0, 48, 16, kind=3)]
    assert run("ssd", outputs) == wanted
    assert run("ssd", dict(reversed(outputs.items()))) == wanted
    assert run("ssd", outputs | {"num_detections:0": np.array(1, np.float32)}) == wanted[1:]
    assert run("ssd", outputs | {"num_detections:0": np.array(np.nan, np.float32)}) == []
    del outputs["num_detections:0"]
    assert run("ssd", outputs) == [one(0.875, 0, 0, 64, 32, kind=2), *wanted]


@pytest.mark.parametrize("head", ["ssd", "detr"])
def test_boxes_labels_and_scores_are_in_pixels(head: str) -> None:
    outputs = {
        "labels": np.array([7, 7]),
        "scores": np.array([0.5, 0.75], np.float32),
        "boxes": np.array([[8, 4, 24, 12], [8, 4, 24, 12.5]], np.float32),
    }
    wanted = [one(0.75, 8, 4, 24, 12.5, kind=7), one(0.5, 8, 4, 24, 12, kind=7)]
    assert run(head, outputs) == wanted


def test_one_box_without_a_batch_axis_is_not_taken_for_a_batch() -> None:
    outputs = {
        "boxes": np.array([8, 4, 24, 12], np.float32),
        "labels": np.array([7]),
        "scores": np.array([0.5], np.float32),
    }
    assert run("ssd", outputs) == [one(0.5, 8, 4, 24, 12, kind=7)]


def test_detr_knows_when_a_query_found_nothing() -> None:
    logits = np.log(np.array([[1, 6, 1], [1, 1, 6], [4, 2, 2], [1, 1, 98]], np.float32))
    places = np.array([[0.25, 0.5, 0.5, 0.25]] * 4, np.float32)
    got = run("detr", {"logits": logits + 300, "pred_boxes": places})
    assert [(kind, corners) for kind, _, corners in got] == [
        (1, (0, 12, 32, 20)),
        (0, (0, 12, 32, 20)),
    ]
    assert [score for _, score, _ in got] == pytest.approx([0.75, 0.5], rel=1e-4)


# Faces


@pytest.mark.parametrize("swapped", [False, True])
def test_ultraface_tells_its_outputs_apart(*, swapped: bool) -> None:
    scores = np.array([[0.5, 0.5], [0.25, 0.75], [0.875, 0.125]], np.float32)
    places = np.array([[0.5, 0.5, 1, 1], [0, 0.25, 0.5, 0.75], [0, 0, 1, 1]], np.float32)
    pairs = [("scores", scores), ("boxes", places)]
    outputs = dict(reversed(pairs) if swapped else pairs)
    assert run("ultraface", outputs) == [one(0.75, 0, 8, 32, 24), one(0.5, 32, 16, 64, 32)]


def yunet() -> Outputs:
    """Outputs for WIDE, in the order of the model: nothing found."""
    sizes = {8: 32, 16: 8, 32: 2}
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    return {
        f"{kind}_{stride}": np.zeros((count, width), np.float32)
        for kind, width in widths.items()
        for stride, count in sizes.items()
    }


def test_yunet_scores_by_the_mean_of_face_and_thing() -> None:
    outputs = yunet()
    outputs["cls_16"][5], outputs["obj_16"][5] = 0.25, 1
    outputs["bbox_16"][5] = [0.5, 0.25, 0, np.log(2)]
    outputs["cls_8"][:3], outputs["obj_8"][:3] = [[0.25], [4], [-1]], [[4], [0.25], [-1]]
    wanted = [one(0.5, -4, -4, 4, 4), one(0.5, 4, -4, 12, 4), one(0.5, 16, 4, 32, 36)]
    assert run("yunet", outputs) == wanted
    assert run("yunet", dict(reversed(outputs.items()))) == wanted


def centerface() -> Outputs:
    """Outputs for WIDE, a cell for 4 x 4 pixels: no face, but squares of 4 pixels everywhere."""
    widths = {"537": 1, "538": 2, "539": 2, "540": 10}
    return {name: np.zeros((width, 8, 16), np.float32) for name, width in widths.items()}


def test_centerface_takes_the_peaks_of_its_map() -> None:
    outputs = centerface()
    heat, scale, offset, _ = outputs.values()
    heat[0, 2:5, 2:5] = 0.5
    heat[0, 3, 3] = 0.75
    scale[:, 3, 3] = np.log(2), np.log(4)  # high, wide
    offset[:, 3, 3] = 0.25, -0.25  # down, across
    heat[0, 0, 0] = heat[0, 7, 15] = 0.25
    wanted = [one(0.75, 5, 11, 21, 19), one(0.25, 0, 0, 4, 4), one(0.25, 60, 28, 64, 32)]
    assert run("centerface", outputs) == wanted
    assert run("centerface", outputs, min_score=0.5) == wanted[:1]


def test_what_is_no_number_hides_no_peak_beside_it() -> None:
    outputs = centerface()
    outputs["537"][0, 3, 3:5] = 0.5, np.nan
    assert run("centerface", outputs) == [one(0.5, 12, 12, 16, 16)]


# Text


def text(*boxes: tuple[int, int, int, int], chance: float = 0.75) -> Floats:
    """(1, 32, 64) map with text in these (left, top, right, bottom)."""
    chances = np.full((1, 32, 64), 0.25, np.float32)
    for left, top, right, bottom in boxes:
        chances[0, top:bottom, left:right] = chance
    return chances


@pytest.mark.parametrize("flat", [False, True])
def test_text_grows_by_what_the_model_was_trained_to_leave_out(*, flat: bool) -> None:
    chances = text((8, 8, 24, 16))
    # 16 x 8 pixels with an outline of 48: 128 * 1.5 / 48 = 4 on each side
    wanted = [one(0.75, 4, 4, 28, 20)]
    assert run("db", {"maps": chances[0] if flat else chances}) == wanted


def test_text_scores_the_mean_of_its_region() -> None:
    chances = text((8, 8, 24, 16))
    chances[0, 8:16, 8:16] = 0.5
    assert run("db", {"maps": chances}) == [one(0.625, 4, 4, 28, 20)]
    assert run("db", {"maps": chances}, min_score=0.7) == []


def test_text_smaller_than_three_pixels_is_noise() -> None:
    kept = run("db", {"maps": text((2, 2, 4, 20), (10, 2, 40, 4), (50, 10, 53, 13))})
    assert [corners for _, _, corners in kept] == [(48.875, 8.875, 54.125, 14.125)]


def test_text_comes_as_one_reads_it() -> None:
    lines = [(4, 5, 20, 9), (24, 4, 40, 8), (44, 5, 60, 9), (4, 14, 20, 18), (24, 16, 60, 20)]
    places = [corners for _, _, corners in run("db", {"maps": text(*reversed(lines))})]
    np.testing.assert_allclose(places, [grown(*each) for each in lines], atol=1e-4)


def test_small_text_below_a_headline_is_a_line_of_its_own() -> None:
    lines = [(24, 2, 50, 14), (4, 17, 20, 21)]
    places = [corners for _, _, corners in run("db", {"maps": text(*lines)})]
    np.testing.assert_allclose(places, [grown(*each) for each in lines], atol=1e-4)


def test_of_much_text_the_surest_is_kept_in_order() -> None:
    chances = text((4, 4, 20, 10), (24, 4, 40, 10), chance=0.5)
    chances[0, 20:26, 4:20], chances[0, 4:10, 44:60] = 0.875, 0.625
    assert [score for _, score, _ in run("db", {"maps": chances}, most=2)] == [0.625, 0.875]


def test_only_so_many_runs_of_text_are_looked_at() -> None:
    chances = np.zeros((heads.RUNS // 4 + 10, 16), np.float32)
    chances[:, ::2] = 1  # eight runs in a row
    chances[-8:, :] = 1
    assert run("db", {"maps": chances}, (16, len(chances))) == []
    chances[:, ::2], chances[:, ::8] = 0, 1
    chances[-8:, :] = 1
    (everything,) = run("db", {"maps": chances}, (16, len(chances)))
    assert everything[0] == 0


def regions(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
    """The bounds of what is connected, by walking from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        seen, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            seen.add((y, x))
            near = {(y + down, x + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            todo += near
        ys, xs = {y for y, _ in seen}, {x for _, x in seen}
        yield min(xs), min(ys), max(xs) + 1, max(ys) + 1


def grown(left: int, top: int, right: int, bottom: int) -> tuple[float, ...]:
    width, height = right - left, bottom - top
    by = 1.5 * width * height / (2 * (width + height))
    return (left - by, top - by, right + by, bottom + by)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0.02, 0.2, 0.35, 0.5, 0.9]),
    st.integers(0, 1000),
)
def test_regions_are_those_of_a_walk(height: int, width: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    got = run("db", {"maps": mask.astype(np.float32)}, (width, height), most=2000)
    large = [each for each in regions(mask) if each[2] - each[0] > 2 and each[3] - each[1] > 2]
    wanted = np.array(sorted(grown(*each) for each in large)).reshape(-1, 4)
    np.testing.assert_allclose(
        np.array(sorted(corners for _, _, corners in got)).reshape(-1, 4), wanted, atol=1e-3
    )


def test_a_long_winding_region_is_one() -> None:
    spiral = np.zeros((101, 101), np.float32)
    spiral[::4], spiral[1::4] = 1, 1
    for row in range(2, 99, 4):
        spiral[row : row + 2, 0 if row % 8 == 2 else -1] = 1
    ((_, score, corners),) = run("db", {"maps": spiral}, (101, 101))
    assert score == 1
    assert corners == pytest.approx(grown(0, 0, 101, 101))


# Suppression


def boxes_of(rows: list[tuple[int, ...]]) -> Boxes:
    """Boxes from (class, left, top, right, bottom), in sixteenths, each a little less sure."""
    array = np.array(rows, np.float32).reshape(-1, 5)
    scores = np.linspace(1, 0.5, len(array), dtype=np.float32)
    corners = array[:, 1:] / np.float32(16)
    return Boxes(corners.astype(np.float32), scores, array[:, 0].astype(np.int64))


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, int]:
    """(intersection, union) of two boxes."""
    across = min(one[3], other[3]) - max(one[1], other[1])
    down = min(one[4], other[4]) - max(one[2], other[2])
    common = max(across, 0) * max(down, 0)
    areas = [(each[3] - each[1]) * (each[4] - each[2]) for each in (one, other)]
    return common, sum(areas) - common


def survivors(rows: list[tuple[int, ...]], iou: float, most: int) -> list[int]:
    """The obvious way: each box in turn, against all that were kept."""
    kept: list[int] = []
    for place, row in enumerate(rows):
        same = [rows[each] for each in kept if rows[each][0] == row[0]]
        pairs = [overlap(each, row) for each in same]
        if not any(common and common >= iou * union for common, union in pairs):
            kept.append(place)
    return kept[:most]


sides = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda each: (each[0], sum(each)))
rows = st.tuples(st.integers(0, 2), sides, sides).map(
    lambda each: (each[0], each[1][0], each[2][0], each[1][1], each[2][1])
)


@given(
    st.lists(rows, max_size=100),
    st.sampled_from([0, 0.25, 0.5, 0.75, 1]),
    st.integers(0, 100),
)
@example([(0, 0, 0, 2, 4), (0, 0, 0, 2, 2)], 0.5, 9)
@example([(0, 0, 0, 2, 2), (0, 2, 0, 4, 2)], 0, 9)
@example([(0, 0, 0, 2, 2), (0, 0, 0, 2, 2)], 1, 9)
@example([(0, n % 16, n // 16, n % 16 + 1, n // 16 + 1) for n in range(90)] * 2, 0.5, 100)
def test_what_survives_is_what_the_obvious_way_keeps(
    rows: list[tuple[int, ...]], iou: float, most: int
) -> None:
    boxes = boxes_of(rows)
    kept = suppress(boxes, iou, most)
    wanted = survivors(rows, iou, most)
    np.testing.assert_array_equal(kept.corners, boxes.corners[wanted])
    np.testing.assert_array_equal(kept.scores, boxes.scores[wanted])
    np.testing.assert_array_equal(kept.classes, boxes.classes[wanted])


def test_absurdly_large_boxes_suppress_each_other_too() -> None:
    rows = table(42, 6, {0: [0, 0, 3e38, 3e38, 1, 0], 1: [0, 0, 3e38, 3e38, 0.5, 0]})
    assert [score for _, score, _ in run("yolo8", {"output0": rows}, iou=0.99)] == [1]


def test_weaker_boxes_of_a_class_go_and_others_stay() -> None:
    rows = table(
        42,
        6,
        {
            0: [16, 8, 16, 8, 0.5, 0],
            1: [16, 8, 16, 8, 0, 0.75],
            2: [16, 8, 16, 9, 0.25, 0.625],
            3: [40, 8, 16, 8, 0, 0.5],
        },
    )
    wanted = [
        one(0.75, 8, 4, 24, 12, kind=1),
        one(0.5, 8, 4, 24, 12),
        one(0.5, 32, 4, 48, 12, kind=1),
    ]
    assert run("yolo8", {"output0": rows}) == wanted
    assert run("yolo8", {"output0": rows}, most=2) == wanted[:2]
    assert len(run("yolo8", {"output0": rows}, iou=1)) == 4


def test_rtdetr_has_a_chance_for_each_class_and_none_for_nothing() -> None:
    logits = np.array([[-9, 2], [0, -9], [-9, -9]], np.float32)
    places = np.array([[0.25, 0.5, 0.5, 0.25]] * 3, np.float32)
    got = run("rtdetr", {"logits": logits, "pred_boxes": places})
    assert [(kind, corners) for kind, _, corners in got] == [
        (1, (0, 12, 32, 20)),
        (0, (0, 12, 32, 20)),
    ]
    assert [score for _, score, _ in got] == pytest.approx([1 / (1 + np.exp(-2)), 0.5], rel=1e-4)


# What models must not be trusted with


def shapes_of(head: str, boxes: int) -> dict[str, tuple[int, ...]]:
    """Outputs for WIDE; of `boxes` where a model may give any number of them."""
    listed = {"boxes": (boxes, 4), "labels": (boxes,), "scores": (boxes,)}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "yolo5": {"o": (boxes, 7)},
        "yolo8": {"o": (6, boxes)},
        "yolo10": {"o": (boxes, 6)},
        "yolox": {"o": (42 if boxes else 0, 6)},
        "ssd": listed,
        "ultraface": {"scores": (boxes, 2), "boxes": (boxes, 4)},
        "detr": {"logits": (boxes, 3), "pred_boxes": (boxes, 4)},
        "rtdetr": {"logits": (boxes, 3), "pred_boxes": (boxes, 4)},
        "yunet": {name: array.shape for name, array in yunet().items()},
        "centerface": {name: array.shape for name, array in centerface().items()},
        "db": {"o": (1, 32, 64)},
    }
    return shapes[head]


ODD: Final = np.array([np.nan, np.inf, -np.inf, 0, 1, -1, 0.5, 3e38, -3e38, 1e-45], np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("head", HEADS)
def test_any_numbers_at_all_give_sound_boxes(head: str, kind: type[np.floating[Any]]) -> None:
    random = np.random.default_rng(7)
    some = 0
    for share in (0, 0.02, 0.5, 1):
        outputs: Outputs = {}
        for name, shape in shapes_of(head, 2000).items():
            wild = random.random(shape) < share
            mild = random.random(shape, np.float32) * 2
            with np.errstate(over="ignore"):
                outputs[name] = np.where(wild, random.choice(ODD, shape), mild).astype(kind)
            outputs[name].flags.writeable = False
        boxes = decode(head, outputs, WIDE, min_score=0, iou=0.9, most=700)
        check_sound(boxes, 700)
        assert head == "db" or (np.diff(boxes.scores) <= 0).all()
        some += len(boxes.scores)
    assert some > 0


def check_sound(boxes: Boxes, most: int) -> None:
    corners, scores, classes = boxes.corners, boxes.scores, boxes.classes
    assert [each.dtype.name for each in (corners, scores, classes)] == [
        "float32",
        "float32",
        "int64",
    ]
    assert corners.shape == (len(scores), 4)
    assert len(scores) == len(classes) <= most
    assert np.isfinite(corners).all()
    assert (corners[:, :2] < corners[:, 2:]).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (classes >= 0).all()


@pytest.mark.parametrize("head", HEADS)
def test_nothing_found_is_no_boxes(head: str) -> None:
    outputs = {name: np.zeros(shape, np.float32) for name, shape in shapes_of(head, 50).items()}
    check_sound(decode(head, outputs, WIDE, min_score=0.4, iou=0.5), 0)


@pytest.mark.parametrize("head", HEADS)
def test_outputs_of_no_length_are_no_boxes(head: str) -> None:
    outputs = {name: np.zeros(shape, np.float32) for name, shape in shapes_of(head, 0).items()}
    check_sound(decode(head, outputs, WIDE, min_score=0.4, iou=0.5), 0)


def test_a_map_of_no_size_has_no_text() -> None:
    assert run("db", {"maps": np.zeros((1, 0, 0), np.float32)}) == []


@pytest.mark.parametrize("upright", [False, True])
def test_a_list_of_no_boxes_is_read_whichever_way_it_lies(*, upright: bool) -> None:
    array = np.zeros((0, 84) if upright else (84, 0), np.float32)
    assert run("yolo8", {"output0": array}) == []


def test_a_hundred_thousand_candidates_become_a_thousand() -> None:
    places = np.arange(100_000, dtype=np.float32)
    rows = np.stack((places, places, places + 1, places + 1, np.full_like(places, 0.5), places * 0))
    apart = {"output0": rows.T}
    got = decode("yolo10", apart, WIDE, min_score=0.25, iou=0.5, most=5000)
    assert len(got.scores) == heads.MOST
    middles = np.stack((places, places, np.ones_like(places), np.ones_like(places), places / 1e5))
    got = decode("yolo8", {"output0": middles}, WIDE, min_score=0, iou=0.5, most=5000)
    assert len(got.scores) == heads.MOST
    assert got.scores[0] == pytest.approx(0.99999)
    assert got.scores[-1] == pytest.approx(0.99)
    assert len(decode("yolo8", {"output0": middles}, WIDE, min_score=0, iou=0.5).scores) == 300


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([0, 0, 8, 8, np.nan, 0], id="score is no number"),
        pytest.param([0, 0, 8, 8, np.inf, 0], id="score without end"),
        pytest.param([0, 0, np.inf, 8, 1, 0], id="box without end"),
        pytest.param([np.nan, 0, 8, 8, 1, 0], id="side is no number"),
        pytest.param([8, 0, 8, 8, 1, 0], id="no width"),
        pytest.param([0, 8, 8, 0, 1, 0], id="upside down"),
        pytest.param([0, 0, 8, 8, 1, -1], id="class below zero"),
        pytest.param([0, 0, 8, 8, 1, np.nan], id="class is no number"),
        pytest.param([0, 0, 8, 8, 1, 1e10], id="class out of reach"),
        pytest.param([134217720, 0, 134217728, 8, 1, 0], id="no width in parts of the picture"),
    ],
)
def test_a_broken_box_is_left_out_and_the_next_is_not(row: list[float]) -> None:
    outputs = {"output0": table(300, 6, {0: row, 1: [1600, 4, 3200, 12, 0.5, 1]})}
    assert run("yolo10", outputs, (6400, 32)) == [one(0.5, 1600, 4, 3200, 12, kind=1)]


def test_a_score_at_the_least_stays_and_more_than_sure_is_sure() -> None:
    rows = {0: [8.0, 4, 24, 12, 0.9, 0], 1: [8.0, 4, 24, 12, 1.5, 0], 2: [8.0, 4, 24, 12, 0.89, 0]}
    got = run("yolo10", {"output0": table(300, 6, rows)}, min_score=0.9)
    assert [score for _, score, _ in got] == [1, pytest.approx(0.9)]
    assert run("yolo8", {"output0": YOLO8}, min_score=0.75) == YOLO8_FOUND[:1]


def test_a_class_that_is_nearly_whole_is_meant_to_be() -> None:
    outputs = {"output0": table(300, 6, {0: [8, 4, 24, 12, 0.5, 2.9999]})}
    assert run("yolo10", outputs) == [one(0.5, 8, 4, 24, 12, kind=3)]


EMPTY: Final = np.zeros((5, 4), np.float32)


@pytest.mark.parametrize(
    ("head", "outputs", "message"),
    [
        ("yolo8", {}, "the model has no outputs"),
        (
            "yolo8",
            {"out": np.zeros((3, 84, 9))},
            "output 'out' is (3, 84, 9), should be (4 + classes, boxes)",
        ),
        ("yolo8", {"out": EMPTY}, "output 'out' is (5, 4), should be (4 + classes, boxes)"),
        ("yolo5", {"out": EMPTY}, "output 'out' is (5, 4), should be (boxes, 5 + classes)"),
        ("yolo5", {"out": np.zeros(())}, "output 'out' is (), should be (boxes, 5 + classes)"),
        ("yolo10", {"out": EMPTY}, "output 'out' is (5, 4), should be (boxes, 6)"),
        (
            "yolo10",
            {"out": np.zeros((5, 6), "U3")},
            "output 'out' holds <U3, should hold numbers",
        ),
        (
            "yolox",
            {"out": np.zeros((41, 6))},
            "output 'out' is (41, 6), should be (42, 5 + classes) for 64 x 32 pixels",
        ),
        (
            "ssd",
            {"a": EMPTY, "b": EMPTY},
            "no output is named 'boxes'; there is 'a', 'b'",
        ),
        (
            "ssd",
            {"boxes": EMPTY, "scores": np.zeros(4), "labels": np.zeros(5)},
            "output 'scores' is (4,), should be (5,)",
        ),
        (
            "ssd",
            {
                "detection_boxes": EMPTY,
                "detection_scores": np.zeros(5),
                "detection_classes": np.zeros(5),
                "num_detections": np.zeros(2),
            },
            "output 'num_detections' is (2,), should be one number",
        ),
        ("ultraface", {"a": EMPTY}, "the model has 1 outputs, should have 2"),
        ("ultraface", {"a": EMPTY, "b": EMPTY}, "output 'a' is (5, 4), should be (boxes, 2)"),
        (
            "ultraface",
            {"a": EMPTY, "b": np.zeros((6, 2))},
            "output 'a' is (5, 4), should be (6, 4)",
        ),
        (
            "detr",
            {"pred_boxes": EMPTY, "labels": EMPTY},
            "no output is named 'logits' or 'pred_logits'; there is 'pred_boxes', 'labels'",
        ),
        (
            "detr",
            {"pred_boxes": EMPTY, "logits": np.zeros((5, 1))},
            "output 'logits' is (5, 1), should be (5, classes + 1)",
        ),
        (
            "yunet",
            yunet() | {"obj_16": np.zeros((9, 1))},
            "output 'obj_16' is (9, 1), should be (8, 1)",
        ),
        (
            "centerface",
            centerface() | {"539": np.zeros((2, 8, 8))},
            "output '539' is (2, 8, 8), should be (2, 8, 16)",
        ),
        ("centerface", {"a": EMPTY}, "the model has 1 outputs, should have 4"),
        (
            "db",
            {"maps": np.zeros((2, 8, 8))},
            "output 'maps' is (2, 8, 8), should be (1, height, width)",
        ),
    ],
)
def test_outputs_of_another_shape_are_named(head: str, outputs: Outputs, message: str) -> None:
    with pytest.raises(HeadInvalid) as caught:
        decode(head, outputs, WIDE, min_score=0.5, iou=0.5)
    assert str(caught.value) == message


def test_outputs_of_whole_numbers_are_read() -> None:
    outputs = {"output0": np.array([[8, 4, 24, 12, 1, 3]], np.uint8)}
    assert run("yolo10", outputs) == [one(1, 8, 4, 24, 12, kind=3)]


# Which head a model has


Declared: TypeAlias = list[tuple[str, tuple[int | str, ...]]]

DETECT: Final = {
    "task": "detect",
    "names": "{0: 'person'}",
    "description": "Ultralytics YOLO11n model trained on coco.yaml",
}
YUNET: Final[Declared] = [(name, (1, *array.shape)) for name, array in yunet().items()]
TENSORFLOW: Final[Declared] = [
    ("num_detections:0", (1,)),
    ("detection_boxes:0", (1, 100, 4)),
    ("detection_scores:0", (1, 100)),
    ("detection_classes:0", (1, 100)),
]


@pytest.mark.parametrize(
    ("outputs", "metadata", "head"),
    [
        pytest.param([("output0", (1, 84, 8400))], {}, "yolo8", id="yolo8"),
        pytest.param([("output0", ("b", 84, "n"))], DETECT, "yolo8", id="yolo8, any size"),
        pytest.param([("output0", (1, 6, 8400))], DETECT, "yolo8", id="yolo8 of two classes"),
        pytest.param([("output0", (1, 84, 5040))], {}, "yolo8", id="yolo8 of 640 x 384"),
        pytest.param([("output0", (1, 300, 6))], {}, "yolo10", id="yolo10"),
        pytest.param([("output0", ("b", "n", 6))], DETECT, "yolo10", id="yolo10, any number"),
        pytest.param([("output0", ("b", "n", 6))], {}, "", id="six numbers of what"),
        pytest.param([("output0", (1, 25200, 85))], {}, "yolo5", id="yolo5"),
        pytest.param([("output0", (1, 102000, 85))], {}, "yolo5", id="yolo5 of 1280 with P6"),
        pytest.param(
            [("output", (1, 25200, 85)), ("345", (1, 3, 80, 80, 85)), ("403", (1, 3, 40, 40, 85))],
            {},
            "yolo5",
            id="yolo5 of old",
        ),
        pytest.param(
            [("output0", ("b", "n", 6))], {"names": "{0: 'x'}"}, "yolo5", id="yolo5, one class"
        ),
        pytest.param(
            [("output0", (1, 252, 6))], {"names": "{0: 'x'}"}, "yolo5", id="yolo5, one class, small"
        ),
        pytest.param([("output0", (1, 25200, 6))], {}, "yolo5", id="yolo5, one class, large"),
        pytest.param([("outputs", (1, 8400, 85))], {}, "yolo5", id="yolo6"),
        pytest.param([("output", (1, 8400, 85))], {}, "yolox", id="yolox"),
        pytest.param([("output", (1, 3549, 85))], {}, "yolox", id="yolox of 416"),
        pytest.param([("what", (1, 8400, 85))], {}, "", id="yolo6 or yolox"),
        pytest.param([("what", (1, 15120, 85))], {}, "", id="yolo5 or yolox"),
        pytest.param(TENSORFLOW, {}, "ssd", id="tensorflow"),
        pytest.param(
            [("boxes", ("n", 4)), ("labels", ("n",)), ("scores", ("n",))],
            {},
            "ssd",
            id="torchvision",
        ),
        pytest.param(
            [("labels", ("N", 300)), ("boxes", ("N", 300, 4)), ("scores", ("N", 300))],
            {},
            "detr",
            id="rt-detr",
        ),
        pytest.param(
            [("logits", (1, 100, 92)), ("pred_boxes", (1, 100, 4))], {}, "detr", id="detr"
        ),
        pytest.param(
            [("scores", (1, 4420, 2)), ("boxes", (1, 4420, 4))], {}, "ultraface", id="ultraface"
        ),
        pytest.param(YUNET, {}, "yunet", id="yunet"),
        pytest.param(
            [(str(537 + at), (10, width, 8, 8)) for at, width in enumerate((1, 2, 2, 10))],
            {},
            "centerface",
            id="centerface",
        ),
        pytest.param([("fetch_name_0", ("b", "c", "h", "w"))], {}, "db", id="text, any size"),
        pytest.param([("sigmoid_0.tmp_0", (1, 1, "h", "w"))], {}, "db", id="text"),
        pytest.param([("sigmoid_0.tmp_0", (1, 2, "h", "w"))], {}, "", id="text or not"),
        pytest.param([("fetch_name_0", ("b", "t", 6906))], {}, "", id="letters"),
        pytest.param([("depth", (1, 1, 384, 640))], {}, "", id="depth"),
        pytest.param([("fetch_name_0", (1, 1000))], {}, "", id="classes"),
        pytest.param([("output0", (1, 56, 8400))], DETECT | {"task": "pose"}, "", id="pose"),
        pytest.param(
            [("output0", (1, 116, 8400)), ("output1", (1, 32, 160, 160))], {}, "", id="segments"
        ),
        pytest.param(
            [("output0", (1, 300, 84))],
            DETECT | {"description": "Ultralytics RT-DETR-l model"},
            "",
            id="rt-detr of ultralytics",
        ),
        pytest.param([("a/out", (1, 300, 6)), ("b/out", (1, 300, 6))], {}, "", id="two of a name"),
        pytest.param([("last_hidden_state", (1, 197, 768))], {}, "", id="embedding"),
        pytest.param([("out", ())], {}, "", id="unknown"),
        pytest.param([], {}, "", id="no outputs"),
    ],
)
def test_a_head_is_guessed_when_it_is_sure(
    outputs: Declared, metadata: dict[str, str], head: str
) -> None:
    assert guess(outputs, metadata) == head


def test_every_head_but_one_can_be_guessed() -> None:
    assert {head for head, _ in heads._SIGNS} == set(HEADS) - {"rtdetr"}
