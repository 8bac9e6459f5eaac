"""Graphs to draw."""

from dataclasses import replace
from itertools import pairwise

import pytest

from composer.plot.drawing import Arrow, GraphBox

PICTURE = "yuv420p 1280x720"

Graph = tuple[list[GraphBox], list[Arrow]]


def chain(length: int) -> Graph:
    boxes = [GraphBox(f"step_{i}", "blur", (f"radius {i}",)) for i in range(length)]
    boxes[0] = GraphBox("step_0", "webrtc_in", kind="source")
    return boxes, [Arrow(a.name, b.name, PICTURE) for a, b in pairwise(boxes)]


def chain_with_sound(length: int) -> Graph:
    boxes, arrows = chain(length)
    sound = Arrow(boxes[0].name, boxes[-1].name, "s16 48 kHz", "sound", "audio")
    return boxes, [*arrows, sound]


def diamond() -> Graph:
    boxes = [
        GraphBox("camera", "webrtc_in", kind="source"),
        GraphBox("faces", "face_detect", ("threshold 0.6",)),
        GraphBox("small", "resize", ("width 320",), "convert"),
        GraphBox("mask", "ellipse"),
        GraphBox("blur", "region_blur", kind="sink"),
    ]
    arrows = [
        Arrow("camera", "small", PICTURE),
        Arrow("camera", "faces", PICTURE),
        Arrow("small", "mask", "yuv420p 320x180"),
        Arrow("faces", "blur", "boxes", "regions", "data"),
        Arrow("mask", "blur", "gray 320x180", "mask"),
        Arrow("camera", "blur", PICTURE, "image"),
    ]
    return boxes, arrows


def fan(branches: int) -> Graph:
    styles = [GraphBox(f"style_{i}", "stylize") for i in range(branches)]
    out = [Arrow("camera", style.name, PICTURE) for style in styles]
    into = [Arrow(style.name, "grid", "rgb24 640x360", f"tile_{style.name}") for style in styles]
    ends = [GraphBox("camera", "webrtc_in", kind="source"), GraphBox("grid", "mosaic", kind="sink")]
    return [ends[0], *styles, ends[1]], out + into


def two_and_two() -> Graph:
    boxes = [
        GraphBox("left", "file", kind="source"),
        GraphBox("right", "file", kind="source"),
        GraphBox("mix", "crossfade"),
        GraphBox("screen", "display", kind="sink"),
        GraphBox("tape", "record", kind="sink"),
    ]
    arrows = []
    for source in ("left", "right"):
        arrows.append(Arrow(source, "mix", PICTURE, source))
        arrows.append(Arrow(source, "mix", "s16 48 kHz", f"{source}_sound", "audio"))
    arrows.append(Arrow("mix", "screen", PICTURE))
    arrows.append(Arrow("mix", "tape", PICTURE, "image"))
    arrows.append(Arrow("mix", "tape", "s16 48 kHz", "sound", "audio"))
    return boxes, arrows


def staged() -> Graph:
    boxes, arrows = diamond()
    stage = {"small": "gpu 0", "mask": "gpu 0", "blur": "gpu 0", "faces": "gpu 1"}
    return [replace(box, group=stage.get(box.name, "")) for box in boxes], arrows


GRAPHS = [
    pytest.param(([GraphBox("only", "test_card")], []), id="single box"),
    pytest.param(([GraphBox(name, "test_card") for name in "abcde"], []), id="disconnected boxes"),
    pytest.param(([GraphBox(n, "x") for n in "abcd"], [Arrow("b", "d", PICTURE)]), id="two parts"),
    pytest.param(chain(5), id="chain of 5"),
    pytest.param(chain(12), id="chain of 12"),
    pytest.param(chain(100), id="chain of 100"),
    pytest.param(chain_with_sound(5), id="sound past 3 boxes"),
    pytest.param(chain_with_sound(14), id="sound past 12 boxes"),
    pytest.param(diamond(), id="diamond"),
    pytest.param(staged(), id="stages"),
    pytest.param(fan(12), id="fan of 12"),
    pytest.param(two_and_two(), id="two sources and two sinks"),
]
every_graph = pytest.mark.parametrize("graph", GRAPHS)
