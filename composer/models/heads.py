"""Heads of detection models: what their outputs mean, decoded into boxes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from composer import lazy
from composer.models.ultralytics import Export

with lazy.deferred():  # guess() is asked when a file is checked, and needs no NumPy
    import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Outputs: TypeAlias = Mapping[str, "NDArray[Any]"]
"""What a model gave for one picture: name -> array without the batch axis, in its own order."""

Size: TypeAlias = tuple[int, int]
"""(width, height) of the picture that the model was given, in pixels."""

Shape: TypeAlias = tuple[int | str, ...]
"""Of an output as the model's file declares it, with the batch axis; a word where it may vary."""

Floats: TypeAlias = "NDArray[np.float32]"
Indices: TypeAlias = "NDArray[np.int64]"

MOST: Final = 1000
"""Candidates looked at after the score; a model that finds more is broken or under attack."""

RUNS: Final = 10_000
"""Runs of text pixels looked at in a map. A full page of print at 960 x 960 has about 9 500."""

TEXT: Final = 0.3
"""Chance above which a pixel belongs to text (PP-OCR: DBPostProcess, `thresh`)."""

UNCLIP: Final = 1.5
"""How far a text region grows; the model is trained on shrunken ones (`unclip_ratio`)."""

LEAST: Final = 3
"""Pixels of a text region in either direction, smaller ones are noise (`min_size`)."""

PERSON: Final = 51
"""Numbers of a person's pose: 17 points as COCO has them, each with its chance."""

_AT_ONCE: Final = 32
"""Boxes that are compared with all others in one go: fewer are more calls, more are vain work."""

_STRIDES: Final = (8, 16, 32)
_MORE_STRIDES: Final = ((4, 8, 16, 32), (8, 16, 32, 64))


class HeadInvalid(ValueError):
    """Outputs that this head cannot read: the message names the output and what it should be."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """What was found in one picture, best first; text as one reads it.

    corners: (n, 4) float32, left, top, right and bottom in parts of the picture that the model was
    given; inside it they are 0..1, but a box may reach out of it. scores: (n,) float32 in 0..1.
    classes: (n,) int64, 0 or more, as the model counts them.
    """

    corners: Floats
    scores: Floats
    classes: Indices
    turned: Floats | None = None
    """(n, 5), where boxes may be turned: middle, width and height in pixels, and radians."""


Head: TypeAlias = Callable[[Outputs, Size, float], Boxes]
"""(outputs of one picture, size of the model's input, min_score) -> what scores as much or more.

Gives at most MOST boxes, all of them finite and with an inside. Raises HeadInvalid.
"""


def decode(
    head: str,
    outputs: Outputs,
    size: Size,
    *,
    min_score: float,
    iou: float,
    most: int = 300,
    export: Export | None = None,
) -> Boxes:
    """What a model found: at most `most` boxes that score `min_score` or more.

    head: a name in HEADS. iou: overlap (0..1) from which the weaker of two boxes of a class goes;
    unused by heads whose models see to that themselves. export: what the file says of a YOLO, which
    goes before what its head would take for granted. Raises HeadInvalid.
    """
    final = head in _FINAL
    with np.errstate(all="ignore"):  # models give what they like; what is not finite is left out
        if export is not None and head in EXPORTED:
            found, final = _exported(head, outputs, size, min_score, export)
        else:
            found = HEADS[head](outputs, size, min_score)
    return _cut(found, most) if final else suppress(found, iou, most)


def suppress(boxes: Boxes, iou: float, most: int) -> Boxes:
    """The boxes, best first, that overlap no better one of their class; at most `most`.

    iou: intersection over union (0..1) from which the weaker box goes. Boxes that only touch stay.
    """
    kept: list[int] = []
    rest = np.arange(len(boxes.scores))
    while len(rest) and len(kept) < most:
        free = ~_covered(boxes, rest[:_AT_ONCE], rest, iou)
        left = np.ones(len(rest), np.bool_)
        for row, box in enumerate(rest[:_AT_ONCE].tolist()):
            if left[row]:
                kept.append(box)
                left &= free[row]
        rest = rest[_AT_ONCE:][left[_AT_ONCE:]]
    return _picked(boxes, np.array(kept[:most], np.int64))


def _covered(boxes: Boxes, strong: Indices, weak: Indices, iou: float) -> NDArray[np.bool_]:
    """(strong, weak): whether the one overlaps the other too much, and is of its class."""
    covered: NDArray[np.bool_]
    if boxes.turned is not None:
        covered = _alike(boxes.turned[strong, None], boxes.turned[None, weak]) >= iou
        covered &= boxes.classes[strong, None] == boxes.classes[weak]
        return covered
    sides = boxes.corners.astype(np.float64).T  # areas of absurd boxes are too large for float32
    areas = (sides[2] - sides[0]) * (sides[3] - sides[1])
    one, other = sides[:, strong, None], sides[:, None, weak]
    across = np.minimum(one[2], other[2]) - np.maximum(one[0], other[0])
    down = np.minimum(one[3], other[3]) - np.maximum(one[1], other[1])
    common = np.maximum(across, 0) * np.maximum(down, 0)
    covered = common > 0
    covered &= common >= iou * (areas[strong, None] + areas[weak] - common)
    covered &= boxes.classes[strong, None] == boxes.classes[weak]
    return covered


def _alike(one: Floats, other: Floats) -> NDArray[np.float64]:
    """How much turned boxes overlap (0..1), as models of them are trained and judged: a box stands
    for a normal distribution, and two for their Hellinger distance (ProbIoU, arXiv:2106.06072).
    """
    (x, y, a, b, c), (x2, y2, a2, b2, c2) = _spread(one), _spread(other)
    across, down, skew = a + a2, b + b2, c + c2
    room = np.maximum(across * down - skew**2, 1e-12)
    away = (across * (y - y2) ** 2 + down * (x - x2) ** 2) / 4 + skew * (x2 - x) * (y - y2) / 2
    both = np.maximum(a * b - c**2, 0) * np.maximum(a2 * b2 - c2**2, 0)
    apart = away / room + np.log(room / (4 * np.sqrt(both) + 1e-12)) / 2
    near: NDArray[np.float64] = 1 - np.sqrt(1 - np.exp(-np.clip(apart, 0, 100)))
    return near


def _spread(turned: Floats) -> tuple[NDArray[np.float64], ...]:
    """Middle and covariance (x, y, xx, yy, xy) of what fills each box evenly."""
    x, y, width, height, angle = np.moveaxis(turned.astype(np.float64), -1, 0)
    along, athwart = width**2 / 12, height**2 / 12
    cos, sin = np.cos(angle), np.sin(angle)
    return (
        *(x, y, along * cos**2 + athwart * sin**2, along * sin**2 + athwart * cos**2),
        (along - athwart) * cos * sin,
    )


def _cut(boxes: Boxes, most: int) -> Boxes:
    """The best ones in the order in which they are."""
    if len(boxes.scores) <= most:
        return boxes
    return _picked(boxes, np.sort(_best_first(boxes.scores)[:most]))


def _picked(boxes: Boxes, which: Indices) -> Boxes:
    turned = boxes.turned[which] if boxes.turned is not None else None
    return Boxes(boxes.corners[which], boxes.scores[which], boxes.classes[which], turned)


def _best_first(scores: Floats) -> Indices:
    """Indices; of equal scores the earlier one comes first."""
    return np.argsort(-scores, kind="stable")


def _sound(
    sides: Floats,
    scores: Floats,
    classes: NDArray[Any] | None,
    size: Size,
    min_score: float,
    turned: Floats | None = None,
) -> Boxes:
    """What can be used of the candidates, best first, at most MOST of them.

    sides: (4, n) left, top, right, bottom, in pixels of a picture of this size; (1, 1) for parts.
    classes: (n,) of any kind of number, None if there is one only.
    """
    kinds = np.zeros(scores.shape, np.int64) if classes is None else classes
    parts = sides / np.array(size * 2, np.float32)[:, None]
    good = np.isfinite(parts).all(axis=0) & (parts[0] < parts[2]) & (parts[1] < parts[3])
    good &= np.isfinite(scores) & (scores >= min_score)
    good &= (kinds >= 0) & (kinds < 2**31)  # a label is looked up by it; nan compares false
    which = np.flatnonzero(good)
    which = which[_best_first(scores[which])[:MOST]]
    return Boxes(
        np.ascontiguousarray(parts[:, which].T),
        np.clip(scores[which], 0, 1),
        np.rint(kinds[which]).astype(np.int64),
        turned[which] if turned is not None else None,
    )


def _numbers(name: str, array: NDArray[Any]) -> Floats:
    if array.dtype.kind not in "fiub":
        raise HeadInvalid(f"output {name!r} holds {array.dtype}, should hold numbers")
    return array.astype(np.float32, copy=False)


def _shaped(name: str, array: NDArray[Any], *wanted: int | str) -> Floats:
    """The array as float32 when it has this shape; a word stands for any number."""
    fits = array.ndim == len(wanted) and all(
        isinstance(side, str) or side == real
        for side, real in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        raise _odd(name, array, _written(wanted))
    return _numbers(name, array)


def _odd(name: str, array: NDArray[Any], wanted: str) -> HeadInvalid:
    return HeadInvalid(f"output {name!r} is {array.shape}, should be {wanted}")


def _written(shape: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _first(outputs: Outputs) -> tuple[str, NDArray[Any]]:
    for name, array in outputs.items():
        return name, array
    raise HeadInvalid("the model has no outputs")


def _exactly(outputs: Outputs, count: int) -> list[tuple[str, NDArray[Any]]]:
    if len(outputs) != count:
        raise HeadInvalid(f"the model has {len(outputs)} outputs, should have {count}")
    return list(outputs.items())


def _bare(name: str) -> str:
    """A name without the scope and the number that TensorFlow writes around it."""
    return name.rpartition("/")[2].partition(":")[0]


def _named(outputs: Outputs, *names: str) -> tuple[str, NDArray[Any]]:
    """The first output that is called by one of these names."""
    for name, array in outputs.items():
        if _bare(name) in names:
            return name, array
    there = ", ".join(map(repr, outputs)) or "none"
    raise HeadInvalid(f"no output is named {' or '.join(map(repr, names))}; there is {there}")


def _has(outputs: Outputs, name: str) -> bool:
    return any(_bare(each) == name for each in outputs)


def _cells(size: Size, strides: Sequence[int]) -> int:
    """Cells of all the grids that are laid over a picture."""
    return sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in strides)


def _grid(outputs: Outputs, size: Size, before: int, wanted: str) -> Floats:
    """(features, boxes) view of the first output, whichever way it lies.

    before: features in front of those of the classes, of which there is at least one.
    """
    name, array = _first(outputs)
    if array.ndim != 2:
        raise _odd(name, array, wanted)
    grid = _numbers(name, array.T if _upright(array.shape, size) else array)
    if len(grid) <= before:
        raise _odd(name, array, wanted)
    return grid


def _upright(shape: tuple[int, ...], size: Size) -> bool:
    """Whether the boxes are the rows of a table, and not its columns."""
    rows, columns = shape
    cells = (_cells(size, strides) for strides in (_STRIDES, *_MORE_STRIDES))
    usual = (anchors * count for count in cells for anchors in (1, 3))
    for count in (0, *usual):
        if (rows == count) != (columns == count):
            return rows == count
    return rows > columns


def _places(which: Indices, size: Size, strides: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """(column, row, stride) of cells that are counted through all grids, row by row."""
    steps = np.array(strides)
    across, down = -(-size[0] // steps), -(-size[1] // steps)
    ends = np.cumsum(across * down)
    level = np.searchsorted(ends, which, side="right")
    rows, columns = np.divmod(which - (ends - across * down)[level], across[level])
    return columns.astype(np.float32), rows.astype(np.float32), steps[level].astype(np.float32)


def _around(x: Floats, y: Floats, width: Floats, height: Floats) -> Floats:
    """(4, n) sides of boxes given by their middle."""
    return np.stack((x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def _sure(scores: Floats) -> tuple[Indices, Floats]:
    """(class, score) of the best class in each column of (classes, n)."""
    return scores.argmax(axis=0), scores.max(axis=0)


def _exported(
    head: str, outputs: Outputs, size: Size, min_score: float, export: Export
) -> tuple[Boxes, bool]:
    """What a YOLO found whose file says how it is laid out, and whether it has one box for each.

    A table of all boxes: middle and size in pixels, whether there is anything (YOLOv5), how likely
    each class is, and what comes beyond: weights of masks, points of a pose, an angle. Or a list of
    what is left: corners (middle and size, where there is an angle), score, class, what is beyond.
    """
    name, array = _flat(outputs)
    beyond = _beyond(outputs, export)
    across, listed = _laid_out(array.shape, size, export, beyond)
    rows = _numbers(name, array.T if across else array)
    width = len(rows)
    if beyond is None:
        beyond = width - (6 if listed else 4 + export.classes)
    last = width - beyond
    if listed:
        there = rows[:, rows[4] >= min_score]
        classes, scores = there[5], there[4]
    else:
        first = _before(last, head, export)
        if last <= first:
            raise _odd(name, array, f"(boxes, {first} + classes + {beyond})")
        chances = rows[first:last]
        there = rows[:, (chances >= min_score).any(axis=0)]
        classes, scores = _sure(there[first:last])
        scores = scores * there[4] if first == 5 else scores
    unit = (1, 1) if export.parts else size
    final = listed or export.parts
    if export.task != "obb":
        sides = there[:4] if listed else _around(*there[:4])
        return _sound(sides, scores, classes, unit, min_score), final
    turned = np.concatenate((there[:4], there[-1:]))
    return _sound(_upright_around(*turned), scores, classes, unit, min_score, turned.T), final


def _before(last: int, head: str, export: Export) -> int:
    """Numbers of a box in front of those of its classes: the file's count of them says it."""
    if export.classes and last - export.classes in (4, 5):
        return last - export.classes
    return 5 if head == "yolo5" else 4


def _flat(outputs: Outputs) -> tuple[str, NDArray[Any]]:
    """The first output that is a table; masks are made of another."""
    tables = [each for each in outputs.items() if each[1].ndim == 2]
    return tables[0] if tables else _first(outputs)


def _beyond(outputs: Outputs, export: Export) -> int | None:
    """Numbers of a box beyond those of its classes; None where only the names of those tell."""
    if export.beyond is not None:
        return export.beyond
    if export.task == "pose":
        sides = {*_flat(outputs)[1].shape}
        return PERSON if {PERSON + 6, PERSON + 4 + export.classes} & sides else None
    masks = [each.shape for each in outputs.values() if each.ndim == 3]
    if not masks:
        return None if export.task == "segment" and export.classes else 0
    first, last = int(masks[0][0]), int(masks[0][2])
    _, table = _flat(outputs)
    return last if {last + 6, last + 4 + export.classes} & {*table.shape} else first


def _laid_out(
    shape: tuple[int, ...], size: Size, export: Export, beyond: int | None
) -> tuple[bool, bool]:
    """(whether boxes are the rows, whether they are a list of what is left)."""
    if len(shape) != 2:
        raise HeadInvalid(f"the first output is {shape}, should be (boxes, numbers) or turned over")
    rows, columns = shape
    tables = (
        {beyond + 4 + export.classes, beyond + 5 + export.classes} if beyond is not None else set()
    )
    lists = {beyond + 6} if beyond is not None else set()
    flat, tall = rows in tables, columns in tables | lists
    across = tall if flat != tall else _upright(shape, size)
    if not across or (beyond is not None and columns not in lists):
        return across, False
    if columns in tables and export.listed is not None:
        return across, export.listed
    few = rows <= MOST
    return across, few and (bool(lists - tables and export.classes) or not _is_grid(rows, size))


def _is_grid(boxes: int, size: Size) -> bool:
    """Whether so many boxes are those of all cells of a picture, one or three in each."""
    cells = [_cells(size, strides) for strides in (_STRIDES, *_MORE_STRIDES)]
    return boxes in cells or boxes in [3 * count for count in cells]


def _upright_around(x: Floats, y: Floats, width: Floats, height: Floats, angle: Floats) -> Floats:
    """(4, n) sides of the upright boxes around turned ones."""
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    return _around(x, y, width * cos + height * sin, width * sin + height * cos)


def _yolo5(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """YOLOv5, v6, v7: middle and size in pixels, whether there is anything, what it is."""
    grid = _grid(outputs, size, 5, "(boxes, 5 + classes)")
    hits = np.flatnonzero(grid[4] >= min_score)
    there = grid[:, hits]
    classes, scores = _sure(there[5:])
    return _sound(_around(*there[:4]), scores * there[4], classes, size, min_score)


def _yolo8(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """YOLOv8, v9, v11, v12: middle and size in pixels, how likely each class is."""
    grid = _grid(outputs, size, 4, "(4 + classes, boxes)")
    hits = np.flatnonzero((grid[4:] >= min_score).any(axis=0))
    there = grid[:, hits]
    classes, scores = _sure(there[4:])
    return _sound(_around(*there[:4]), scores, classes, size, min_score)


def _yolo10(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """YOLOv10, v26 and exports with suppression inside: corners in pixels, score, class."""
    grid = _shaped(*_first(outputs), "boxes", 6).T
    hits = np.flatnonzero(grid[4] >= min_score)
    there = grid[:, hits]
    return _sound(there[:4], there[4], there[5], size, min_score)


def _yolox(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """YOLOX as exported: places within cells, sizes as logarithms, both in strides."""
    grid = _grid(outputs, size, 5, "(boxes, 5 + classes)")
    strides = _yolox_strides(*_first(outputs), grid.shape[1], size)
    hits = np.flatnonzero(grid[4] >= min_score)
    there = grid[:, hits]
    classes, scores = _sure(there[5:])
    sides = _unfolded(there[:4], hits, size, strides)
    return _sound(sides, scores * there[4], classes, size, min_score)


def _yolox_strides(name: str, array: NDArray[Any], count: int, size: Size) -> tuple[int, ...]:
    for strides in (_STRIDES, *_MORE_STRIDES):
        if count in (0, _cells(size, strides)):
            return strides
    wanted = f"({_cells(size, _STRIDES)}, 5 + classes) for {size[0]} x {size[1]} pixels"
    raise _odd(name, array, wanted)


def _unfolded(boxes: Floats, which: Indices, size: Size, strides: Sequence[int]) -> Floats:
    """(4, n) sides in pixels of boxes (x, y, width, height) that are relative to their cells."""
    columns, rows, steps = _places(which, size, strides)
    width, height = np.exp(boxes[2:]) * steps
    return _around((columns + boxes[0]) * steps, (rows + boxes[1]) * steps, width, height)


def _ssd(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """Detectors whose outputs say what they are: TensorFlow's, or else torchvision's."""
    if _has(outputs, "detection_boxes"):
        return _tensorflow(outputs, min_score)
    return _listed(outputs, size, min_score)


def _tensorflow(outputs: Outputs, min_score: float) -> Boxes:
    """Top, left, bottom, right in parts of the picture; what is behind `num_detections` is empty.

    Its classes mostly count from 1, and are given as they are.
    """
    top, left, bottom, right = _shaped(*_named(outputs, "detection_boxes"), "boxes", 4).T
    scores = _shaped(*_named(outputs, "detection_scores"), len(top))
    classes = _shaped(*_named(outputs, "detection_classes"), len(top))
    if _has(outputs, "num_detections"):
        name, array = _named(outputs, "num_detections")
        if array.size != 1:
            raise _odd(name, array, "one number")
        scores = np.where(np.arange(len(top)) < _numbers(name, array).ravel(), scores, np.nan)
    return _sound(np.stack((left, top, right, bottom)), scores, classes, (1, 1), min_score)


def _listed(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """`boxes`, `labels`, `scores`: corners in pixels (torchvision, RT-DETR with its last step)."""
    name, array = _named(outputs, "boxes")
    if array.shape == (4,):
        array = array[None]  # torchvision has no batch axis: one box looks like a batch of one
    sides = _shaped(name, array, "boxes", 4).T
    scores = _shaped(*_named(outputs, "scores"), sides.shape[1])
    classes = _shaped(*_named(outputs, "labels"), sides.shape[1])
    return _sound(sides, scores, classes, size, min_score)


def _ultraface(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """Two outputs told apart by width: (background, face), and corners in parts of the picture."""
    pair = sorted(_exactly(outputs, 2), key=lambda each: each[1].shape[-1:])
    scores = _shaped(*pair[0], "boxes", 2)[:, 1]
    sides = _shaped(*pair[1], len(scores), 4).T
    hits = np.flatnonzero(scores >= min_score)
    return _sound(sides[:, hits], scores[hits], None, (1, 1), min_score)


def _detr(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """DETR: `logits`, whose last class is "no object", and `pred_boxes` in parts of the picture.

    RT-DETR and its kin with the last step inside give `boxes`, `labels` and `scores` instead.
    """
    if not _has(outputs, "pred_boxes"):
        return _listed(outputs, size, min_score)
    corners, logits = _queried(outputs, "classes + 1")
    if len(logits) < 2:
        name, array = _named(outputs, "logits", "pred_logits")
        raise _odd(name, array, _written((logits.shape[1], "classes + 1")))
    chances = np.exp(logits - logits.max(axis=0))
    chances /= chances.sum(axis=0)
    classes, scores = _sure(chances[:-1])
    return _sound(corners, scores, classes, (1, 1), min_score)


def _rtdetr(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """RT-DETR, D-FINE, DEIM: as DETR, but each class has a chance of its own, and none is nothing.

    Names and shapes are DETR's, so that it cannot be told from the file.
    """
    corners, logits = _queried(outputs, "classes")
    classes, scores = _sure(0.5 * (1 + np.tanh(0.5 * logits)))
    return _sound(corners, scores, classes, (1, 1), min_score)


def _queried(outputs: Outputs, classes: str) -> tuple[Floats, Floats]:
    """Corners (4 rows) and logits (a row a class) of each query."""
    x, y, width, height = _shaped(*_named(outputs, "pred_boxes"), "queries", 4).T
    logits = _shaped(*_named(outputs, "logits", "pred_logits"), len(x), classes).T
    return _around(x, y, width, height), logits


def _yunet(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """YuNet of 2023: `cls_8`, `obj_8`, `bbox_8` and so on (OpenCV: FaceDetectorYN)."""
    chance = np.clip(_levels(outputs, "cls", size, 1)[:, 0], 0, 1)
    chance *= np.clip(_levels(outputs, "obj", size, 1)[:, 0], 0, 1)
    scores = np.sqrt(chance)
    hits = np.flatnonzero(scores >= min_score)
    boxes = _levels(outputs, "bbox", size, 4)[hits].T
    return _sound(_unfolded(boxes, hits, size, _STRIDES), scores[hits], None, size, min_score)


def _levels(outputs: Outputs, kind: str, size: Size, width: int) -> Floats:
    """(cells of all grids, width) of the outputs of one kind."""
    return np.concatenate(
        [
            _shaped(*_named(outputs, f"{kind}_{stride}"), _cells(size, (stride,)), width)
            for stride in _STRIDES
        ]
    )


def _centerface(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """CenterFace: a map of middles, then height and width as logarithms, then y and x in a cell."""
    heat, scale, offset, _ = _exactly(outputs, 4)
    chances = _shaped(*heat, 1, "rows", "columns")[0]
    extents, shifts = (_shaped(*each, 2, *chances.shape) for each in (scale, offset))
    rows, columns = _peaks(chances, min_score)
    height, width = np.exp(extents[:, rows, columns])
    down, across = shifts[:, rows, columns] + np.float32(0.5)
    sides = _around(columns + across, rows + down, width, height).astype(np.float32)
    cells = (chances.shape[1], chances.shape[0])
    return _sound(sides, chances[rows, columns], None, cells, min_score)


def _peaks(chances: Floats, least: float) -> tuple[Indices, Indices]:
    """(rows, columns) of what is at least `least` and not less than any of its eight neighbours."""
    rows, columns = np.nonzero(chances >= least)
    framed = np.pad(chances, 1, constant_values=-np.inf)
    near = [framed[rows + down, columns + across] for down in range(3) for across in range(3)]
    top = chances[rows, columns] >= np.fmax.reduce(near)
    return rows[top], columns[top]


def _db(outputs: Outputs, size: Size, min_score: float) -> Boxes:
    """Text detectors of PP-OCR: a map of how likely each pixel is text, made into upright boxes.

    A box scores the mean of its region. Boxes come line by line, from left to right.
    """
    name, array = _first(outputs)
    if array.ndim == 2:
        array = array[None]
    chances = _shaped(name, array, 1, "height", "width")[0]
    mask = chances > TEXT
    runs = _runs(mask)
    regions, count = _regions(runs)
    sides = _bounds(runs, regions, count)
    values = chances[mask][: int(runs.lengths.sum())].astype(np.float64)
    sums = np.add.reduceat(values, np.cumsum(runs.lengths) - runs.lengths) if count else values
    areas = np.bincount(regions, runs.lengths, count)
    scores = (np.bincount(regions, sums, count) / areas).astype(np.float32)
    found = _sound(_grown(sides), scores, None, (chances.shape[1], chances.shape[0]), min_score)
    return _picked(found, _reading(found.corners))


class _Runs(NamedTuple):
    """Pixels side by side that are set, row by row. All are (n,) int64."""

    rows: Indices
    starts: Indices
    ends: Indices
    """The first column behind the run."""

    @property
    def lengths(self) -> Indices:
        return self.ends - self.starts


def _runs(mask: NDArray[np.bool_]) -> _Runs:
    """The first RUNS runs of a (height, width) mask."""
    height, width = mask.shape
    # An empty column behind every row, and a pixel before all, so that each run has two edges.
    flat = np.zeros(height * (width + 1) + 1, np.bool_)
    flat[1:].reshape(height, width + 1)[:, :width] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])[: 2 * RUNS]
    rows, columns = np.divmod(edges, width + 1)
    return _Runs(rows[::2], columns[::2], columns[1::2])


def _regions(runs: _Runs) -> tuple[Indices, int]:
    """(region of each run, how many there are). Pixels that meet at a corner are connected."""
    above, below = _meetings(runs)
    roots = np.arange(len(runs.rows))
    while True:
        one, other = roots[above], roots[below]
        apart = one != other
        if not apart.any():
            break
        # Every root with a lower neighbour joins it, so that half of them are gone in two rounds.
        np.minimum.at(roots, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while (roots != roots[roots]).any():
            roots = roots[roots]
    first = roots == np.arange(len(roots))
    return (np.cumsum(first) - 1)[roots], int(first.sum())


def _meetings(runs: _Runs) -> tuple[Indices, Indices]:
    """(run, run in the next row) for all that touch, also at corners."""
    stride = int(runs.ends.max(initial=0)) + 1  # the end of a row meets no start of the next one
    starts, ends = runs.rows * stride + runs.starts, runs.rows * stride + runs.ends
    lowest = np.searchsorted(ends, starts + stride)
    highest = np.searchsorted(starts, ends + stride, side="right")
    counts = np.maximum(highest - lowest, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    inside = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts)
    return above, lowest[above] + inside


def _bounds(runs: _Runs, regions: Indices, count: int) -> Floats:
    """(4, count) sides of the regions in pixels."""
    sides = np.zeros((4, count), np.int64)
    sides[:2] = np.iinfo(np.int64).max
    np.minimum.at(sides[0], regions, runs.starts)
    np.minimum.at(sides[1], regions, runs.rows)
    np.maximum.at(sides[2], regions, runs.ends)
    np.maximum.at(sides[3], regions, runs.rows + 1)
    return sides.astype(np.float32)


def _grown(sides: Floats) -> Floats:
    """Text regions at the size of the text; nan for those that are too small to be any."""
    extents = sides[2:] - sides[:2]
    width, height = extents
    by = UNCLIP * width * height / (2 * (width + height))
    by[(extents < LEAST).any(axis=0)] = np.nan
    return np.concatenate((sides[:2] - by, sides[2:] + by))


def _reading(corners: Floats) -> Indices:
    """Order of reading for (n, 4) boxes: lines from the top, and in a line from the left.

    A line goes on while the next middle, from the top, is less than half a box's height lower.
    """
    middles, heights = (corners[:, 1] + corners[:, 3]) / 2, corners[:, 3] - corners[:, 1]
    order = np.argsort(middles, kind="stable")
    room = np.minimum(heights[order][1:], heights[order][:-1]) / 2
    line = np.cumsum(np.diff(middles[order], prepend=middles[order][:1]) > np.append([0], room))
    return order[np.lexsort((corners[order, 0], line))]


HEADS: Final[Mapping[str, Head]] = {
    "yolo5": _yolo5,
    "yolo8": _yolo8,
    "yolo10": _yolo10,
    "yolox": _yolox,
    "ssd": _ssd,
    "ultraface": _ultraface,
    "detr": _detr,
    "rtdetr": _rtdetr,
    "yunet": _yunet,
    "centerface": _centerface,
    "db": _db,
}

_FINAL: Final = frozenset({"yolo10", "ssd", "detr", "rtdetr", "db"})
"""Heads of models that give one box for each thing, so that nothing is left to suppress."""


EXPORTED: Final = frozenset({"yolo5", "yolo8", "yolo10"})
"""Heads that Ultralytics exports."""


def holds(outputs: Sequence[tuple[str, Shape]], export: Export) -> bool:
    """Whether boxes as the file describes them may be in its outputs."""
    known = [shape for _, shape in outputs if shape]
    tables = [shape for shape in known if len(shape) == 3]
    least = 5 + (export.beyond or 0)
    if not tables:
        return not known
    return any(isinstance(side, str) or side >= least for side in tables[0][1:])


def guess(
    outputs: Sequence[tuple[str, Shape]],
    metadata: Mapping[str, str],
    export: Export | None = None,
) -> str:
    """The head that a model has, "" if not sure.

    outputs: (name, shape with the batch axis) in the model's order. metadata: what the file says
    of itself; export: what of that Ultralytics wrote.
    """
    if export is not None and export.task != "classify" and holds(outputs, export):
        first, *others = [len(shape) for _, shape in outputs] or [0]
        if first == 3 and {*others} <= {4, 5}:  # masks, or the grids of an old YOLOv5
            return "yolo8" if export.task else "yolo5"
    if metadata.get("task", "detect") != "detect":
        return ""
    if "detr" in metadata.get("description", "").lower():
        return ""  # theirs is a list like that of YOLOv8, but in parts of the picture
    shapes = {_bare(name): shape for name, shape in outputs}
    if len(shapes) < len(outputs):
        return ""
    return next((head for head, fits in _SIGNS if fits(shapes, metadata)), "")


Sign: TypeAlias = Callable[[Mapping[str, Shape], Mapping[str, str]], bool]
"""Whether outputs (bare name -> shape with the batch axis) and metadata are those of a head."""

_PADDLE: Final = re.compile(r"fetch_name_\d+|(sigmoid|scale)_\d+\.tmp_\d+")
"""What an output is called that nobody gave a name, in models made with PaddlePaddle."""


def _seems_yunet(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    return all(
        f"{kind}_{stride}" in shapes for kind in ("cls", "obj", "bbox") for stride in _STRIDES
    )


def _seems_ssd(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    if {"detection_boxes", "detection_classes", "detection_scores"} <= shapes.keys():
        return True
    return {"boxes", "labels", "scores"} <= shapes.keys() and len(shapes["boxes"]) == 2


def _seems_detr(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    if "pred_boxes" in shapes:
        return not shapes.keys().isdisjoint({"logits", "pred_logits"})
    return {"boxes", "labels", "scores"} <= shapes.keys() and len(shapes["boxes"]) == 3


def _seems_centerface(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    return [(len(shape), shape[1:2]) for shape in shapes.values()] == [
        (4, (1,)),
        (4, (2,)),
        (4, (2,)),
        (4, (10,)),
    ]


def _seems_ultraface(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    ranks = [len(shape) for shape in shapes.values()]
    return ranks == [3, 3] and {shape[2] for shape in shapes.values()} == {2, 4}


def _seems_db(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    if len(shapes) != 1:
        return False
    name, shape = next(iter(shapes.items()))
    if len(shape) != 4 or not _PADDLE.fullmatch(name):
        return False
    return shape[1] == 1 or isinstance(shape[1], str)


def _seems_yolo10(shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> bool:
    boxes, features = _list(shapes)
    if features != 6 or _is_yolov5(metadata):
        return False
    return boxes <= MOST if isinstance(boxes, int) else "task" in metadata


def _seems_yolo8(shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> bool:
    features, boxes = _list(shapes)
    if not isinstance(features, int) or features < 5:
        return False
    if "task" in metadata:
        return True
    return isinstance(boxes, int) and boxes > features and not (boxes % 21 and boxes % 85)


def _seems_yolo5(shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> bool:
    boxes, features = _list(shapes)
    if not isinstance(features, int) or features < 6:
        return False
    if _is_yolov5(metadata) or _squares(boxes, 3):
        return True
    return "outputs" in shapes and _squares(boxes, 1)  # YOLOv6, one box a cell


def _seems_yolox(shapes: Mapping[str, Shape], _: Mapping[str, str]) -> bool:
    boxes, features = _list(shapes)
    if not isinstance(features, int) or features < 6:
        return False
    return "output" in shapes and _squares(boxes, 1)


def _list(shapes: Mapping[str, Shape]) -> tuple[int | str, int | str]:
    """The sides of an only output of three axes, or of a first one before grids (old YOLOv5)."""
    first, *more = shapes.values() or [()]
    if len(first) != 3 or any(len(shape) != 5 for shape in more):
        return (0, 0)
    return (first[1], first[2])


def _is_yolov5(metadata: Mapping[str, str]) -> bool:
    return "names" in metadata and "task" not in metadata


def _squares(boxes: int | str, anchors: int) -> bool:
    """Whether so many boxes are those of a square picture, `anchors` for a cell.

    The grids of 8, 16 and 32 pixels have 21 cells for each of the last, with 64 it is 85.
    """
    if not isinstance(boxes, int) or boxes < 1:
        return False
    cells = [boxes // (each * anchors) for each in (21, 85) if not boxes % (each * anchors)]
    return any(math.isqrt(count) ** 2 == count for count in cells)


_SIGNS: Final[Sequence[tuple[str, Sign]]] = (
    ("yunet", _seems_yunet),
    ("ssd", _seems_ssd),
    ("detr", _seems_detr),
    ("centerface", _seems_centerface),
    ("ultraface", _seems_ultraface),
    ("db", _seems_db),
    ("yolo10", _seems_yolo10),
    ("yolo5", _seems_yolo5),
    ("yolox", _seems_yolox),
    ("yolo8", _seems_yolo8),
)
"""Looked at in this order: names say more than shapes, and the first YOLO that fits is taken."""
