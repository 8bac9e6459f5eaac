"""Ultralytics: what an export says of itself in its metadata.

Their exporter writes, each as text: `task`, `names` (a mapping of Python's), `stride`, `imgsz`,
`batch`, `channels`, `args` (a mapping), `end2end`, and `kpt_shape` for poses
(ultralytics/engine/exporter.py). YOLOv5 writes `stride` and `names`.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from composer.models.feed import Fitting

BOXES: Final = frozenset({"detect", "segment", "pose", "obb"})
"""Tasks whose models find boxes."""

FILL: Final = 114
"""Grey of the bars around what they are trained on."""


@dataclass(frozen=True, slots=True)
class Export:
    """task: "" for YOLOv5. classes: how many have a name, 0 where the file says none.

    beyond: numbers of each box behind those of its classes (an angle, points of a pose); None where
    the outputs have to tell. listed: whether only what is left of all boxes comes out, each with
    its score and class; None where the outputs have to tell. parts: whether boxes are in parts of
    the picture, as RT-DETR's. stride: what the sides of a picture have to be multiples of.
    """

    task: str = ""
    classes: int = 0
    beyond: int | None = 0
    listed: bool | None = None
    parts: bool = False
    stride: int = 1

    @property
    def fit(self) -> Fitting:
        """How pictures of another shape went into the model when it was trained."""
        return "crop" if self.task == "classify" else "pad"


def export(metadata: Mapping[str, str], classes: int) -> Export | None:
    """What the metadata of a file says, None where Ultralytics did not write it.

    classes: how many it names.
    """
    task = metadata.get("task", "")
    if (task and task not in BOXES | {"classify"}) or not (
        task or {"stride", "names"} <= {*metadata}
    ):
        return None
    about = f"{metadata.get('description', '')} {metadata.get('head', '')}".lower()
    return Export(
        task=task,
        classes=classes,
        beyond=_beyond(task, literal(metadata.get("kpt_shape", ""))),
        listed=False if "detr" in about else _listed(metadata),
        parts="detr" in about,
        stride=_stride(literal(metadata.get("stride", ""))),
    )


def _beyond(task: str, points: Any) -> int | None:
    if task == "obb":
        return 1
    if task == "pose" and isinstance(points, list | tuple) and len(points) == 2:
        many, each = points
        return many * each if isinstance(many, int) and each in (2, 3) and many > 0 else None
    return None if task in ("", "segment", "pose") else 0


def _listed(metadata: Mapping[str, str]) -> bool | None:
    given = literal(metadata.get("args", ""))
    if isinstance(given, dict) and given.get("nms"):
        return True
    return bool(literal(metadata["end2end"])) if "end2end" in metadata else None


def _stride(given: Any) -> int:
    """The largest of those that are given; 1 for what cannot be one."""
    found = [each for each in (given if isinstance(given, list | tuple) else [given])]
    sure = [int(each) for each in found if isinstance(each, int | float) and 1 <= each <= LARGEST]
    return max(sure, default=1)


LARGEST: Final = 1024


def literal(text: str) -> Any:
    """A value that is written as JSON or as Python's, None for what is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None
