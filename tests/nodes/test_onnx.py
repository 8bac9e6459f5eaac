"""The onnx node: small models made here, run alone and in whole graphs."""

import hashlib
import importlib.metadata
import logging
import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, get_args

import av
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from composer import YUV, Array, Context, Detection, Detections, Layouts, Node, Picture, Record
from composer.compiler.plan import Mode, Plan
from composer.device import cuda
from composer.engine.account import Report
from composer.engine.notices import Notice
from composer.engine.run import Run
from composer.errors import NodeFailed
from composer.models.engine import ModelFailed
from composer.models.heads import HEADS
from composer.models.model import HeadName
from composer.models.pool import POOL
from composer.node.node import BadSetting, Batching, Port
from composer.testing import Bench, bars, gradient, picture, run_node
from nodes.onnx import Onnx
from nodes.regions import Regions
from nodes.test_source import TestSource
from nodes.veil import Veil
from tests import networks
from tests.networks import network, node, write
from tests.problems.models import make
from tests.stubs import WAIT, finished, luma, plan_of, sink

LONG = 100_000.0
"""Milliseconds of `delay_ms` that no test waits for: more than it may take."""


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test runs, or fails to run, is given back in the end."""
    monkeypatch.setattr(POOL, "idle", 0)
    POOL.clear()
    yield
    assert POOL.sizes() == {}
    assert [each.name for each in threading.enumerate() if each.name == "model"] == []


def shaped(folder: Path, data: bytes, batch: Batching | None = None, /, **fields: Any) -> Node:
    """A node for a model, as a pipeline in `folder` would have it."""
    write(folder, "m.onnx", data)
    return Onnx(model="m.onnx", **fields).shaped(folder, batch or Batching())


def context(
    folder: Path, node: Node, batch: Batching | None = None, device: str = "cpu"
) -> Context:
    def chosen(ports: tuple[Port, ...]) -> dict[str, Any]:
        return {port.name: port.formats[0] for port in ports}

    made = type(node)
    return Context(
        *("m", folder, chosen(made.inputs), chosen(made.outputs)),
        device=device,
        batch=batch or Batching(),
    )


def once(folder: Path, data: bytes, image: Any, /, **fields: Any) -> Any:
    """What a model gives for one picture."""
    return run_node(shaped(folder, data, **fields), image=image, folder=folder)


def rgb(array: NDArray[np.uint8]) -> av.VideoFrame:
    return picture(array, "rgb24")


def flat(*colour: int, width: int = 8, height: int = 6) -> av.VideoFrame:
    return rgb(np.full((height, width, 3), colour, np.uint8))


def plan(
    folder: Path, text: str, mode: Mode = Mode.FILE, /, models: Mapping[str, bytes] | None = None,
    **classes: type[Node],
) -> Plan:  # fmt: skip
    for name, data in (models or {}).items():
        write(folder, name, data)
    known: dict[str, type[Node]] = {"onnx": Onnx, "regions": Regions, "test_source": TestSource}
    return plan_of(text, mode, folder, **known, **classes)


def ran(made: Plan, notices: list[Notice] | None = None) -> Report:
    run = Run(made, notify=notices.append if notices is not None else lambda notice: None)
    run.start()
    return finished(run)


def failure(made: Plan) -> str:
    with pytest.raises(NodeFailed) as caught:
        ran(made)
    return str(caught.value)


def see(kind: Any) -> tuple[type[Node], list[Any]]:
    """A sink that keeps what it is given, and what it kept."""
    seen: list[Any] = []

    class See(Node):
        def process(self, value: kind) -> None:
            seen.append(value)

    return See, seen


# pictures in, pictures out


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("shape", ["1x3xHxW", "1xHxWx3", "3xHxW", "HxWx3"])
def test_a_model_that_changes_nothing_gives_the_picture_back(
    tmp_path: Path, shape: str, dtype: str
) -> None:
    image = bars(17, 9)
    given = once(tmp_path, networks.identity(shape, dtype), rgb(image), post="image")
    assert np.array_equal(given, image)


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p", "rgba", "gray"])
def test_pictures_of_every_layout_go_in(tmp_path: Path, layout: str) -> None:
    image = picture(gradient(64, 32), layout)
    given = once(tmp_path, networks.inverted(), image, post="image")
    assert np.abs(given.astype(int) - (255 - gradient(64, 32))).max() <= 2


def test_numbers_go_in_and_come_out_as_the_file_says(tmp_path: Path) -> None:
    fields = {"range": (-1, 1), "channels": "bgr"}
    data = networks.inverted()  # 1 - x, so -1..1 becomes 2..0
    given = once(
        tmp_path, data, flat(255, 0, 51), gives={"y": {"post": "image", "range": (2, 0)}}, **fields
    )
    assert given[0, 0].tolist() == [255, 0, 51]


def test_a_model_of_its_own_size_gives_a_picture_of_that_size(tmp_path: Path) -> None:
    data = networks.identity("1x3x32x64")
    assert once(tmp_path, data, rgb(bars(128, 128)), post="image").shape == (32, 64, 3)
    padded = once(tmp_path, data, rgb(bars(128, 128)), post="image", fit="pad")
    assert padded.shape == (32, 32, 3)


def test_a_graph_runs_a_model_on_every_frame_in_order(tmp_path: Path) -> None:
    out = sink()
    report = ran(
        plan(
            tmp_path,
            "nodes: {s: {type: count, count: 60, start: 20},"
            " m: {type: onnx, model: m.onnx, post: image}, o: {type: collect}}",
            models={"m.onnx": networks.inverted()},
            collect=out,
        )
    )
    assert [number for number, _ in out.seen] == list(range(20, 60))
    assert max(abs(level - (251 - number)) for number, level in out.seen) <= 1
    assert (report.nodes["m"].taken, report.nodes["m"].given) == (40, 40)


def test_a_graph_runs_a_model_where_it_is_told(tmp_path: Path, device: str) -> None:
    if device != "cpu" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime does not run on CUDA")
    out = sink()
    report = ran(
        plan(
            tmp_path,
            "nodes: {s: {type: count, count: 60, start: 20},"
            f" m: {{type: onnx, model: m.onnx, post: image, device: '{device}'}},"
            " o: {type: collect}}",
            models={"m.onnx": networks.inverted()},
            collect=out,
        )
    )
    assert [number for number, _ in out.seen] == list(range(20, 60))
    assert max(abs(level - (251 - number)) for number, level in out.seen) <= 1
    about = report.nodes["m"].about
    assert about["device"] == device
    assert about["provider"].removesuffix("ExecutionProvider").lower() == device.partition(":")[0]


# other meanings

CONTENT = network(
    "x: float32 1x3xHxW",
    "y: float32 1x1xHxW",
    node("ReduceMean", "x", "y", axes=[1], keepdims=1),
)
"""How bright each pixel is."""


def test_a_mask_lies_on_the_picture_whatever_fit_did(tmp_path: Path) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 32:] = 255
    for fit, shape in (("stretch", (64, 64)), ("pad", (32, 64)), ("crop", (64, 128))):
        mask = once(tmp_path, CONTENT, rgb(image), post="mask", size=64, fit=fit, fill=255)
        assert mask.shape == shape, fit
        assert (mask[:, : shape[1] // 4] == 0).all(), fit
        assert mask[shape[0] // 2, shape[1] * 5 // 8] == 255, fit


@pytest.mark.parametrize(
    "labels", [["red", "green", "blue"], {0: "red", 2: "blue", 1: "green"}, "colours.txt"]
)
def test_classes_have_the_names_of_a_list_or_a_file(tmp_path: Path, labels: object) -> None:
    (tmp_path / "colours.txt").write_text("red\ngreen\nblue\n")
    given = once(tmp_path, networks.brightest(), flat(0, 255, 0), post="classes", labels=labels)
    assert given == {
        "label": "green",
        "score": 1.0,
        "scores": {"green": 1.0, "red": 0.0, "blue": 0.0},
    }


def scoring(weight: float, bias: float) -> bytes:
    """weight * (how bright each of three channels is) + bias, as no layer of a net does it."""
    return network(
        "x: float32 1x3xHxW",
        "scores: float32 1x3",
        node("ReduceMean", "x", "means", axes=[2, 3], keepdims=0),
        node("Mul", "means weight", "weighted"),
        node("Sub", "weighted less", "scores"),
        weights={"weight": ("float32", [], [weight]), "less": ("float32", [], [-bias])},
    )


def test_scores_that_are_chances_for_some_pictures_only_are_none(tmp_path: Path) -> None:
    grey, white = flat(51, 51, 51), flat(255, 255, 255)
    one, two = (shaped(tmp_path, scoring(3, 0), post="classes") for _ in range(2))
    with _set_up(tmp_path, one) as run, _set_up(tmp_path, two) as other:
        assert run(image=grey)["score"] == pytest.approx(0.6)
        assert run(image=white)["score"] == pytest.approx(1 / 3)
        assert run(image=grey)["score"] == pytest.approx(1 / 3)
        assert other(image=grey)["score"] == pytest.approx(1 / 3)


def test_what_is_no_chance_for_an_empty_picture_is_none_from_the_first_on(tmp_path: Path) -> None:
    data = scoring(1, -0.1)
    assert once(tmp_path, data, flat(51, 51, 51), post="classes")["score"] == pytest.approx(1 / 3)


def test_a_veil_hides_by_one_of_several_labels(tmp_path: Path) -> None:
    text = (
        "nodes: {s: {type: test_source, pattern: solid, color: '#ffe500', width: 16, height: 16,"
        " duration: 0.1}, m: {type: onnx, model: m.onnx, post: classes, labels: [r, g, b]},"
        " v: {type: veil, in: {image: s, facts: m}, key: %s, how: black, hold_s: 0},"
        " o: {type: see}}"
    )
    for key, level in (("r", 16), ("g", 16), ("b", 197)):
        shown, seen = see(YUV)
        models = {"m.onnx": networks.brightest()}
        ran(plan(tmp_path, text % key, models=models, see=shown, veil=Veil))
        assert {luma(each) for each in seen} == {level}


def test_a_line_of_a_labels_file_ends_where_an_editor_ends_it(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_bytes("a\x85\r\nb\u2028\r\nc".encode())
    data = networks.brightest()
    given = once(tmp_path, data, flat(0, 0, 255), post="classes", labels="letters.txt")
    assert list(given["scores"]) == ["c", "a\x85", "b\u2028"]


FOUND = [[0, 16, 32, 32, 0.9, 1], [0, 16, 64, 48, 0.4, 0], [16, 0, 32, 64, 0.8, 2]]
"""Left, top, right, bottom in pixels of 64x64, score, class."""


def detecting(found: list[list[float]]) -> bytes:
    """Finds the same in every picture, as YOLOv10 says it."""
    numbers = [each for row in found for each in row]
    return network(
        "x: float32 1x3x64x64",
        f"found: float32 1x{len(found)}x6",
        node("Identity", "kept", "found"),
        weights={"kept": ("float32", [1, len(found), 6], numbers)},
    )


@pytest.mark.parametrize(
    ("fit", "boxes"),
    [
        ("stretch", [(0, 0.25, 0.5, 0.25), (0.25, 0, 0.25, 1)]),
        # 64x32 lies in rows 16 to 48 of the input
        ("pad", [(0, 0, 0.5, 0.5), (0.25, 0, 0.25, 1)]),
        # columns 16 to 48 of 64x32 fill the input
        ("crop", [(0.25, 0.25, 0.25, 0.25), (0.375, 0, 0.125, 1)]),
    ],
)
def test_boxes_are_parts_of_the_picture_whatever_fit_did(
    tmp_path: Path, fit: str, boxes: list[tuple[float, ...]]
) -> None:
    fields = {"post": "detections", "labels": ["cat", "dog", "eel"], "fit": fit}
    given = once(tmp_path, detecting(FOUND), rgb(bars(64, 32)), **fields)
    assert [(each.x, each.y, each.width, each.height) for each in given] == boxes
    assert [(each.label, round(each.score, 6)) for each in given] == [("dog", 0.9), ("eel", 0.8)]


def exported(
    rows: list[list[float]], more: str = "", dtype: str = "float32", **metadata: str
) -> bytes:
    """Finds the same in every picture of any size, as Ultralytics exports it: (1, numbers, 84)."""
    numbers = [*rows, *[[0.0] * len(rows[0])] * (84 - len(rows))]
    flat = [each for column in zip(*numbers, strict=True) for each in column]
    said = {"stride": "32", "names": "{0: 'dog', 1: 'cat'}", "author": "Ultralytics", **metadata}
    return network(
        f"images: {dtype} 1x3xHxW",
        f"output0: {dtype} 1x{len(rows[0])}x84" + more,
        node("Identity", "kept", "output0"),
        *([node("Identity", "masks", "output1")] if more else []),
        weights={
            "kept": (dtype, [1, len(rows[0]), 84], flat),
            "masks": ("float32", [1, 2, 4, 4], [0.0] * 32),
        },
        metadata=said,
    )


def test_an_export_needs_no_word_and_its_boxes_lie_in_the_whole_picture(tmp_path: Path) -> None:
    cat = [64, 80, 32, 16, 0, 0.9, 4, 4]
    data = exported([cat], ", output1: float32 1x2x4x4", task="segment")
    # 128 x 100 pixels go in as 128 x 128, with 14 rows above them.
    found = once(tmp_path, data, flat(9, 9, 9, width=128, height=100))
    (box,) = found
    assert (box.label, box.score) == ("cat", pytest.approx(0.9))
    assert (box.x, box.y) == (pytest.approx(48 / 128), pytest.approx(58 / 100))
    assert (box.width, box.height) == (pytest.approx(32 / 128), pytest.approx(16 / 100))


def test_an_export_of_half_the_precision(tmp_path: Path) -> None:
    data = exported([[64, 80, 32, 16, 0, 0.9]], dtype="float16", task="detect")
    (box,) = once(tmp_path, data, flat(9, 9, 9, width=128, height=128))
    assert (box.label, box.score) == ("cat", pytest.approx(0.9, abs=1e-3))
    assert (box.x, box.width) == (pytest.approx(48 / 128), pytest.approx(32 / 128))


def halving(metadata: Mapping[str, str] | None = None) -> bytes:
    """Halves a picture and doubles it again, which fits for even sides only."""
    return network(
        "images: float32 1x3xHxW",
        "y: float32 1x3xAxB",
        node("MaxPool", "images", "half", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "half  sizes", "again", mode="nearest"),
        node("Add", "images again", "y"),
        weights={"sizes": ("float32", [4], [1, 1, 2, 2])},
        metadata=metadata,
    )


def test_a_size_that_a_model_of_any_size_does_not_take_is_told(tmp_path: Path) -> None:
    odd = flat(1, 2, 3, width=35, height=33)
    said = r"the model does not take 1x3x33x35 for 'images': many need `multiple: 32` \(.*\)$"
    with pytest.raises(ModelFailed, match=said):
        once(tmp_path, halving(), odd, post="image")
    assert once(tmp_path, halving(), odd, post="image", multiple=32).shape == (32, 32, 3)
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        once(tmp_path, halving(), odd, post="image", size="65x64")


def test_a_box_that_lies_in_the_padding_is_none(tmp_path: Path) -> None:
    data = detecting([[0, 0, 64, 16, 0.9, 0], [0, 0, 64, 20, 0.9, 0]])
    given = once(tmp_path, data, rgb(bars(64, 32)), post="detections", fit="pad")
    assert [(each.y, each.height) for each in given] == [(0.0, 0.125)]


def test_min_score_changes_between_two_frames(tmp_path: Path) -> None:
    made = shaped(tmp_path, detecting(FOUND), post="detections")
    with _set_up(tmp_path, made) as run:
        counts = []
        for made.min_score in (0.5, 0.3, 0.85):  # type: ignore[attr-defined]  # a field of Onnx
            counts.append(len(run(image=rgb(bars(64, 64)))))
    assert counts == [2, 3, 1]


class _set_up:
    """A node between setup() and close()."""

    def __init__(self, folder: Path, made: Node, batch: Batching | None = None) -> None:
        self._made, self._context = made, context(folder, made, batch)

    def __enter__(self) -> Bench:
        self._made.setup(self._context)
        return Bench(self._made)

    def __exit__(self, *_: object) -> None:
        self._made.close()


def test_an_embedding_and_an_array(tmp_path: Path) -> None:
    data = networks.brightest()
    assert once(tmp_path, data, flat(255, 0, 51), post="embedding") == {
        "embedding": [1.0, 0.0, 0.2]
    }
    array = once(tmp_path, data, flat(255, 0, 51))
    assert (array.shape, array.dtype) == ((1, 3), np.float32)


# several inputs and outputs


class Offsets(Node):
    """An array for each picture: its number as 0..1, for three channels."""

    def process(self, image: YUV) -> Array:
        return np.full((1, 3, 1, 1), luma(image) / 255, np.float32)


ADDED = network(
    "x: float32 1x3xHxW, offset: float32 1x3x1x1",
    "y: float32 1x3xHxW",
    node("Add", "x offset", "y"),
)


def test_a_picture_and_an_array(tmp_path: Path) -> None:
    shown, seen = see(Array)
    ran(
        plan(
            tmp_path,
            """
nodes:
  s: {type: count, count: 50, start: 40}
  shift: {type: offsets}
  m:
    type: onnx
    model: m.onnx
    in: {image: s, offset: shift}
    takes: {x: {}, offset: {kind: array}}
  o: {type: see}
""",
            models={"m.onnx": ADDED},
            offsets=Offsets,
            see=shown,
        )
    )
    levels = [float(each.mean()) * 255 for each in seen]
    wanted = [(number - 16) * 255 / 219 + number for number in range(40, 50)]
    assert np.abs(np.array(levels) - wanted).max() <= 1


def test_a_value_of_the_file_is_a_field_that_a_param_moves(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        """
params: {gain: {to: m.gain, max: 0.8}}
nodes:
  s: {type: count, count: 210, start: 200}
  m: {type: onnx, model: m.onnx, takes: {gain: {value: 0.5, min: 0, max: 1}}}
  o: {type: see}
""",
        models={"m.onnx": networks.gained()},
        see=(found := see(Array))[0],
    )
    assert made.params["gain"].schema() == {
        "type": "number",
        "minimum": 0.0,
        "maximum": 0.8,
        "description": "what the model takes as gain",
        "default": 0.5,
        "x-change": "live",
    }
    run = Run(made)
    run.params.patch({"gain": 0.25}, at=2.04)
    run.params.patch({"gain": 0.0}, at=2.07)
    run.start()
    finished(run)
    levels = [float(each.max()) * 255 for each in found[1]]
    bright = [(number - 16) * 255 / 219 for number in range(200, 210)]
    gains = [0.5] * 4 + [0.25] * 3 + [0.0] * 3
    assert np.abs(np.array(levels) - np.array(bright) * gains).max() <= 1


def test_values_by_name_and_in_a_list(tmp_path: Path) -> None:
    data = network(
        "x: float32 1x3xHxW, ends: float32 2, tint: float32 1x3x1x1",
        "y: float32 1x3xHxW",
        node("Mul", "x tint", "t"),
        node("Gather", "ends first", "low"),
        node("Gather", "ends second", "high"),
        node("Sub", "high low", "room"),
        node("Mul", "t room", "scaled"),
        node("Add", "scaled low", "y"),
        weights={"first": ("int64", [], [0]), "second": ("int64", [], [1])},
    )
    takes = {"ends": {"value": {"low": 0.2, "high": 0.6}}, "tint": {"value": [1, 0, 0.5]}}
    made: Any = shaped(tmp_path, data, post="image", takes=takes)
    assert (made.low, made.high, made.tint) == (0.2, 0.6, [1, 0, 0.5])
    with _set_up(tmp_path, made) as run:
        assert run(image=flat(255, 255, 255))[0, 0].tolist() == [153, 51, 102]
        made.low, made.tint = 0.0, [0, 0, 1]
        assert run(image=flat(255, 255, 255))[0, 0].tolist() == [0, 0, 153]


TWO = network(
    "x: float32 1x3xHxW",
    "y: float32 1x3xHxW, alpha.1: float32 1x1xHxW",
    node("Sub", "one x", "y"),
    node("ReduceMean", "x", "alpha.1", axes=[1], keepdims=1),
    weights={"one": ("float32", [], [1.0])},
)


def test_two_outputs_feed_two_branches(tmp_path: Path) -> None:
    front, back = sink(), sink()
    ran(
        plan(
            tmp_path,
            """
nodes:
  s: {type: count, count: 110, start: 100}
  m: {type: onnx, model: m.onnx, gives: {y: {post: image}, alpha.1: {post: mask}}}
  a: {type: front, in: m.y}
  b: {type: back, in: m.alpha_1}
""",
            models={"m.onnx": TWO},
            front=front,
            back=back,
        )
    )
    numbers = range(100, 110)
    assert [each for each, _ in front.seen] == [each for each, _ in back.seen] == list(numbers)
    assert max(abs(level - (251 - number)) for number, level in front.seen) <= 1
    assert max(abs(level - number) for number, level in back.seen) <= 1


def test_an_output_that_nobody_takes_is_not_in_the_way(tmp_path: Path) -> None:
    out = sink()
    ran(
        plan(
            tmp_path,
            "nodes: {s: {type: count, count: 4}, m: {type: onnx, model: m.onnx, gives:"
            " {y: {post: image}, alpha.1: {post: mask}}}, o: {type: collect, in: m.alpha_1}}",
            models={"m.onnx": TWO},
            collect=out,
        )
    )
    assert len(out.seen) == 4


def test_outputs_may_be_called_what_python_keeps_for_itself(tmp_path: Path) -> None:
    data = network(
        "x: float32 1x3xHxW",
        "class: float32 1x3xHxW, 1: float32 1x3xHxW",
        node("Identity", "x", "class"),
        node("Identity", "x", "1"),
    )
    made = shaped(tmp_path, data, gives={"class": {"post": "image"}, "1": {"post": "raw"}})
    assert [port.name for port in type(made).outputs] == ["class", "n1"]
    image, array = run_node(made, image=flat(9, 8, 7), folder=tmp_path)
    assert (image[0, 0].tolist(), array.shape) == ([9, 8, 7], (1, 3, 6, 8))


def test_a_mask_goes_in_beside_the_picture(tmp_path: Path) -> None:
    data = network(
        "x: float32 1x3x16x16, m: float32 1x1x16x16",
        "y: float32 1x3x16x16",
        node("Mul", "x m", "y"),
    )
    made = shaped(tmp_path, data, post="image", takes={"x": {}, "m": {"kind": "mask"}}, mean=0)
    assert [port.name for port in type(made).inputs] == ["image", "mask"]
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 2:] = 255
    given = run_node(made, image=flat(200, 100, 50), mask=mask, folder=tmp_path)
    assert given[8, 0].tolist() == [0, 0, 0]
    assert given[8, 15].tolist() == [200, 100, 50]


# windows and regions


def test_a_window_holds_the_last_frames_of_a_graph(tmp_path: Path) -> None:
    data = network(
        "x: float32 1x3x3xHxW",
        "mean: float32 1x3xHxW",
        node("ReduceMean", "x", "mean", axes=[1], keepdims=0),
    )
    shown, seen = see(Array)
    made = plan(
        tmp_path,
        "nodes: {s: {type: count, count: 106, start: 100},"
        " m: {type: onnx, model: m.onnx, window: 3}, o: {type: see}}",
        models={"m.onnx": data},
        see=shown,
    )
    ran(made)
    assert {stage.name: stage.workers for stage in made.stages}["m"] == 1
    levels = [float(each.mean()) * 219 + 16 for each in seen]
    wanted = [100, 100 + 1 / 3, 101, 102, 103, 104]
    assert np.abs(np.array(levels) - wanted).max() <= 0.75


class Stripes(Node):
    """Eight colour bars: the sixth is red, the seventh blue and the fourth green."""

    def process(self) -> Iterator[Annotated[Picture, Layouts("rgb24")]]:
        for number in range(2):
            image = rgb(bars(160, 32))
            image.pts, image.time_base = number, Fraction(1, 25)
            yield image


def test_a_model_runs_on_each_region(tmp_path: Path) -> None:
    shown, seen = see(Detections)
    ran(
        plan(
            tmp_path,
            """
nodes:
  s: {type: stripes}
  spots:
    type: regions
    boxes: [[0.625, 0, 0.125, 0.5], [0.75, 0, 0.125, 0.5], [0.375, 0, 0.125, 0.5]]
  m:
    type: onnx
    model: m.onnx
    post: classes
    regions: true
    labels: [red, green, blue]
    in: {image: s, regions: spots}
  o: {type: see}
""",
            models={"m.onnx": networks.brightest()},
            stripes=Stripes,
            see=shown,
        )
    )
    assert len(seen) == 2
    for each in seen:
        assert [found.label for found in each] == ["red", "blue", "green"]
        assert [(found.x, found.width) for found in each] == [
            *((0.625, 0.125), (0.75, 0.125), (0.375, 0.125))
        ]


def regions(*found: Detection) -> Detections:
    return Detections(found)


def test_a_region_keeps_its_place_and_track_and_weak_ones_are_left_out(tmp_path: Path) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32, 1] = 255
    image[:, 32:] = (90, 80, 85)
    made = shaped(
        *(tmp_path, networks.brightest()),
        gives={"scores": {"post": "classes", "activation": "softmax"}},
        regions=True,
        min_score=0.4,
    )
    given = run_node(
        made,
        image=rgb(image),
        regions=regions(
            Detection(0, 0, 0.5, 1, "face", 0.9, track=7), Detection(0.5, 0, 0.5, 1, "face", 0.8)
        ),
        folder=tmp_path,
    )
    (only,) = given
    assert (only.x, only.y, only.width, only.height, only.track) == (0, 0, 0.5, 1, 7)
    assert (only.label, round(only.score, 2)) == ("1", 0.58)


def test_what_is_found_in_a_region_lies_in_the_whole_picture(tmp_path: Path) -> None:
    data = detecting([[16, 32, 48, 64, 0.9, 0]])
    made = shaped(tmp_path, data, post="detections", regions=True)
    given = run_node(
        made,
        image=rgb(bars(128, 64)),
        regions=regions(Detection(0.5, 0, 0.5, 1), Detection(2, 2, 1, 1)),
        folder=tmp_path,
    )
    assert [(each.x, each.y, each.width, each.height) for each in given] == [
        (0.625, 0.5, 0.25, 0.5)
    ]


def test_of_too_many_regions_the_best_are_run(tmp_path: Path) -> None:
    made = shaped(tmp_path, networks.brightest(), post="classes", regions=True, min_score=0)
    same = [Detection(0, 0, 1, 1, score=0.5)] * 100
    better = [Detection(0, 0, 0.5, 1, score=0.9)] * 10
    with _set_up(tmp_path, made) as run:
        given = run(image=flat(1, 2, 3), regions=regions(*same, *better))
        assert made.about()["calls"] == 64
    # In the order in which they came, the better ones last.
    assert [each.width for each in given] == [1.0] * 54 + [0.5] * 10


def test_no_regions_are_no_calls(tmp_path: Path) -> None:
    made = shaped(tmp_path, networks.brightest(), post="classes", regions=True)
    with _set_up(tmp_path, made) as run:
        assert len(run(image=flat(1, 2, 3), regions=regions())) == 0
        assert made.about()["calls"] == 0


# one model for all


def engines() -> dict[str, int]:
    """The models in memory, by their file's name, and how many nodes hold each."""
    return {
        Path(key[1]).name: count
        for key, count in POOL.sizes().items()
        if isinstance(key, tuple) and key[0] == "onnx"
    }


def test_eight_nodes_share_one_model(tmp_path: Path) -> None:
    made = [shaped(tmp_path, networks.identity(), post="image") for _ in range(8)]
    for each in made:
        each.setup(context(tmp_path, each))
    assert engines() == {"m.onnx": 8}
    for each in made[:7]:
        each.close()
    assert engines() == {"m.onnx": 1}
    assert Bench(made[7])(image=flat(1, 2, 3))[0, 0].tolist() == [1, 2, 3]
    made[7].close()
    assert engines() == {}


def test_two_nodes_that_read_a_model_in_different_ways_share_it(tmp_path: Path) -> None:
    first, second = (shaped(tmp_path, TWO, gives={name: {}}) for name in ("y", "alpha.1"))
    with _set_up(tmp_path, first) as one, _set_up(tmp_path, second) as other:
        assert engines() == {"m.onnx": 2}
        assert one(image=flat(1, 2, 3)).shape == (1, 3, 6, 8)
        assert other(image=flat(1, 2, 3)).shape == (1, 1, 6, 8)


def test_another_number_of_threads_is_another_model(tmp_path: Path) -> None:
    first, second = (shaped(tmp_path, networks.identity(), threads=count) for count in (1, 2))
    with _set_up(tmp_path, first), _set_up(tmp_path, second):
        assert len(POOL.sizes()) == 4


def test_frames_of_two_sessions_go_in_one_call(tmp_path: Path) -> None:
    batch = Batching(2, LONG)
    data = networks.identity("Nx3xHxW")
    nodes = [shaped(tmp_path, data, batch, post="image") for _ in range(2)]
    start = threading.Barrier(2, timeout=WAIT)

    def session(number: int) -> list[list[int]]:
        with _set_up(tmp_path, nodes[number], batch) as run:
            start.wait()
            seen = [run(image=flat(level, level, number))[0, 0].tolist() for level in range(20)]
            start.wait()
            about.append(dict(nodes[number].about()))
        return seen

    about: list[dict[str, Any]] = []
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(session, range(2), timeout=WAIT))
    assert found == [[[level, level, number] for level in range(20)] for number in range(2)]
    assert [(each["calls"], each["items"], each["largest_batch"]) for each in about] == [
        *((20, 40, 2), (20, 40, 2))
    ]


def test_a_session_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    batch = Batching(2, LONG)
    data = networks.identity("Nx3xHxW")
    stays, ends = (shaped(tmp_path, data, batch, post="image") for _ in range(2))
    with _set_up(tmp_path, stays, batch) as run:
        with _set_up(tmp_path, ends, batch):
            pass
        assert run(image=flat(1, 2, 3))[0, 0].tolist() == [1, 2, 3]
        assert stays.about()["largest_batch"] == 1


def side_by_side(folder: Path, nodes: list[Any], images: list[av.VideoFrame]) -> list[Any]:
    """What two sessions that wait for each other give for a picture each; then each ends."""
    start = threading.Barrier(2, timeout=WAIT)

    def session(number: int) -> Any:
        with _set_up(folder, nodes[number], Batching(2, LONG)) as run:
            start.wait()
            given = run(image=images[number])
            assert nodes[number].about()["largest_batch"] == 1
            return given

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(session, range(2), timeout=WAIT))


def test_pictures_of_two_sizes_do_not_go_in_one_call(tmp_path: Path) -> None:
    data = networks.identity("Nx3xHxW")
    nodes = [shaped(tmp_path, data, Batching(2, LONG), post="image") for _ in range(2)]
    images = [flat(1, 2, 3), flat(1, 2, 3, width=9)]
    shapes = [each.shape for each in side_by_side(tmp_path, nodes, images)]
    assert shapes == [(6, 8, 3), (6, 9, 3)]


def test_frames_with_different_values_do_not_go_in_one_call(tmp_path: Path) -> None:
    data = network(
        "x: float32 Nx3xHxW, gain: float32 1", "y: float32 Nx3xHxW", node("Mul", "x gain", "y")
    )
    fields = {"post": "image", "takes": {"gain": {"value": 1}}}
    nodes: list[Any] = [shaped(tmp_path, data, Batching(2, LONG), **fields) for _ in range(2)]
    nodes[1].gain = 0.5
    shown = side_by_side(tmp_path, nodes, [flat(200, 100, 0)] * 2)
    assert [each[0, 0].tolist() for each in shown] == [[200, 100, 0], [100, 50, 0]]


def test_on_a_file_frames_of_one_run_go_in_one_call(tmp_path: Path) -> None:
    out = sink()
    made = plan(
        tmp_path,
        "nodes: {s: {type: count, count: 108, start: 100}, m: {type: onnx, model: m.onnx,"
        " post: image, batch: {max: 4, delay_ms: 1000}}, o: {type: collect}}",
        models={"m.onnx": networks.inverted("Nx3xHxW")},
        collect=out,
    )
    report = ran(made)
    about = report.nodes["m"].about
    assert (about["calls"], about["items"], about["largest_batch"]) == (2, 8, 4)
    assert [number for number, _ in out.seen] == list(range(100, 108))
    assert max(abs(level - (251 - number)) for number, level in out.seen) <= 1


def test_outputs_that_cannot_be_parted_are_made_one_by_one(tmp_path: Path) -> None:
    # All that a batch has in common is its mean: the model does not say so in its shapes.
    data = network(
        "x: float32 Nx3xHxW",
        "y: float32 AxBxCxD",
        node("ReduceMean", "x", "y", axes=[0, 2, 3], keepdims=1),
    )
    batch = Batching(2, LONG)
    nodes = [shaped(tmp_path, data, batch) for _ in range(2)]
    for each in nodes:
        each.setup(context(tmp_path, each, batch))
    with ThreadPoolExecutor(2) as threads:
        levels = threads.map(
            lambda each: Bench(each[1])(image=flat(each[0], 0, 0))[0, 0, 0, 0] * 255,
            enumerate(nodes),
            timeout=WAIT,
        )
        assert [round(each) for each in levels] == [0, 1]
    assert nodes[0].about()["calls"] == 3
    for each in nodes:
        each.close()


# what it says of itself


def test_about_says_where_it_runs_and_how_often(tmp_path: Path) -> None:
    made = shaped(tmp_path, networks.identity())
    assert made.about() == {}
    with _set_up(tmp_path, made) as run:
        for _ in range(3):
            run(image=flat(1, 2, 3))
        assert made.about() == {
            "engine": f"onnxruntime {onnxruntime.__version__}",
            "provider": "CPUExecutionProvider",
            "device": "cpu",
            "calls": 3,
            "items": 3,
            "largest_batch": 1,
        }
    assert made.about() == {}


def test_the_account_of_a_run_says_it_too(tmp_path: Path) -> None:
    text = (
        "nodes: {s: {type: count, count: 5},"
        " m: {type: onnx, model: m.onnx, post: image, device: cpu}, o: {type: collect}}"
    )
    report = ran(plan(tmp_path, text, models={"m.onnx": networks.identity()}, collect=sink()))
    assert report.nodes["m"].about["provider"] == "CPUExecutionProvider"
    assert report.nodes["m"].about["items"] == 5
    assert report.nodes["s"].about == {}


# setting up


def test_a_model_is_tried_before_the_first_frame(tmp_path: Path) -> None:
    text = (
        "nodes: {s: {type: test_source, width: 16, height: 16, duration: 1},"
        " m: {type: onnx, model: m.onnx, post: image, device: cpu}, o: {type: collect}}"
    )
    said = failure(
        plan(tmp_path, text, models={"m.onnx": networks.breaking(0)}, collect=(out := sink()))
    )
    assert said.startswith(
        "node 'm' failed in setup(): ModelFailed: it does not run on an empty picture:"
    )
    assert "indices element out of data bounds" in said
    assert out.seen == []


def test_a_size_that_is_only_guessed_is_no_reason_to_fail(tmp_path: Path) -> None:
    made = shaped(tmp_path, networks.breaking(0), post="image")
    with _set_up(tmp_path, made) as run:
        assert run(image=flat(9, 9, 255))[0, 0].tolist() == [9, 9, 255]


def test_weights_in_files_beside_the_model_are_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    model = onnx.load_from_string(ADDED)
    tint = np.array([0.2, 0.4, 0.6], np.float32).reshape(1, 3, 1, 1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(tint, "offset"))
    onnx.save_model(
        model,
        tmp_path / "deep" / "m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    assert (tmp_path / "deep" / "m.data").stat().st_size == 12
    made = Onnx(model="deep/m.onnx", post="image").shaped(tmp_path, Batching())
    given = run_node(made, image=flat(0, 0, 51), folder=tmp_path)
    assert given[0, 0].tolist() == [51, 102, 204]


def test_a_file_that_changed_since_it_was_checked_is_not_loaded(tmp_path: Path) -> None:
    data = networks.identity()
    digest = hashlib.sha256(data).hexdigest()
    made = plan(
        tmp_path,
        "nodes: {s: {type: count, count: 3}, m: {type: onnx, model: m.onnx, post: image,"
        f" sha256: {digest}}}, o: {{type: collect}}}}",
        models={"m.onnx": data},
        collect=sink(),
    )
    other = networks.inverted()
    write(tmp_path, "m.onnx", other)
    assert failure(made) == (
        "node 'm' failed in setup(): WeightsBad: 'm.onnx': the sha256 is"
        f" {hashlib.sha256(other).hexdigest()}, not {digest} as written"
    )


def test_what_a_model_gives_back_to_itself_belongs_to_each_node(tmp_path: Path) -> None:
    takes = {"x": {"size": "2"}, "before": {"state": "after"}}
    fields = {"takes": takes, "gives": {"y": {"post": "raw"}}}
    nodes = [shaped(tmp_path, networks.adding(), **fields) for _ in range(2)]
    assert not any(type(each).stateless for each in nodes)
    for each in nodes:
        each.setup(context(tmp_path, each))
    white = picture(np.full((2, 2, 3), 255, np.uint8))
    sums = [float(nodes[0].process(image=white).mean()) for _ in range(3)]
    assert sums == pytest.approx([1, 2, 3], abs=0.05)
    assert float(nodes[1].process(image=white).mean()) == pytest.approx(1, abs=0.05)
    for each in nodes:
        each.close()


def test_a_model_with_a_state_gathers_no_batch(tmp_path: Path) -> None:
    takes = {"x": {}, "before": {"state": "after"}}
    with pytest.raises(BadSetting, match="each session has a state of its own"):
        shaped(tmp_path, networks.adding(), Batching(4, 1), takes=takes)


no_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this build of onnxruntime runs on CUDA",
)


@pytest.mark.skipif(cuda.count() > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_without_cuda_a_node_for_cuda_fails_and_does_not_run_on_the_cpu(
    tmp_path: Path, device: str, mode: Mode
) -> None:
    made = plan(
        tmp_path,
        f"nodes: {{s: {{type: count, count: 3}}, m: {{type: onnx, model: m.onnx, post: image,"
        f" device: '{device}'}}, o: {{type: collect}}}}",
        mode,
        models={"m.onnx": networks.identity()},
        collect=(out := sink()),
    )
    index = device.partition(":")[2] or "0"
    assert failure(made) == (
        f"node 'm' failed in setup(): DeviceMissing: cuda:{index} was asked for, and the driver"
        " shows no CUDA device; `device: auto` runs on the CPU then"
    )
    assert out.seen == []


@no_cuda
def test_a_build_without_cuda_does_not_run_on_the_cpu_where_there_is_a_device(
    tmp_path: Path,
) -> None:
    made = shaped(tmp_path, networks.identity(), providers=["cuda"])
    with pytest.raises(
        ModelFailed, match="cuda: this build of ONNX Runtime has no CUDAExecutionProvider"
    ):
        made.setup(Context("m", tmp_path, {}, {}))
    made.close()


@no_cuda
def test_providers_are_tried_in_their_order_and_what_failed_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = shaped(tmp_path, networks.identity(), providers=["tensorrt", "cuda", "cpu"])
    with caplog.at_level(logging.WARNING), _set_up(tmp_path, made):
        assert made.about()["provider"] == "CPUExecutionProvider"
    assert [each.getMessage() for each in caplog.records] == [
        "runs on cpu, since tensorrt: this build of ONNX Runtime has no TensorrtExecutionProvider;"
        " cuda: this build of ONNX Runtime has no CUDAExecutionProvider"
    ]


@no_cuda
def test_providers_that_are_all_missing(tmp_path: Path) -> None:
    made = shaped(tmp_path, networks.identity(), providers=["tensorrt", "cuda"])
    with pytest.raises(ModelFailed) as caught:
        made.setup(context(tmp_path, made))
    assert str(caught.value) == (
        "ONNX Runtime cannot load it: tensorrt: this build of ONNX Runtime has no"
        " TensorrtExecutionProvider; cuda: this build of ONNX Runtime has no CUDAExecutionProvider"
    )
    made.close()


def test_both_builds_of_onnx_runtime_are_one_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shaped(tmp_path, networks.identity())
    for name in ("onnxruntime", "onnxruntime-gpu"):
        about = tmp_path / "site" / f"{name.replace('-', '_')}-1.30.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.30.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(ModelFailed) as caught:
        made.setup(context(tmp_path, made))
    assert str(caught.value) == (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; run"
        " `pip uninstall -y onnxruntime onnxruntime-gpu`, then"
        " `pip install 'byoc-composer[gpu]'` (or [cpu])"
    )
    made.close()


def test_without_onnx_runtime_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shaped(tmp_path, networks.identity())

    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ModelFailed) as caught:
        made.setup(context(tmp_path, made))
    assert str(caught.value) == (
        "ONNX Runtime is not installed; run `pip install 'byoc-composer[cpu]'`, or [gpu] for CUDA"
    )
    made.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "the file seems to be text, not an ONNX model"),
        (b"<!DOCTYPE html><p>404", "the file seems to be a web page, not an ONNX model"),
        (
            b"PK\x03\x04" + bytes(60),
            "the file seems to be a zip file, as PyTorch's checkpoints are, not an ONNX model",
        ),
        (
            b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"a":1}        ',
            "the file seems to be a safetensors file, not an ONNX model",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "the file is a pointer of git-lfs, not the model; `git lfs pull` fetches it",
        ),
        (
            networks.identity()[:-20],
            "a field at byte 4 is cut off; the file is damaged",
        ),
        (
            b"",
            "the file is empty",
        ),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadSetting) as caught:
        shaped(tmp_path, content)
    assert (caught.value.at, str(caught.value)) == (("model",), f"m.onnx cannot be used: {said}")


# frames that fail


def bad_frames(folder: Path, mode: Mode, option: str = "") -> tuple[Plan, type[Any]]:
    """Frames 230 to 239 at a model that fails on white, which is what is from 235 on.

    On the CPU: CUDA gives a number for a place that is not there.
    """
    out = sink()
    text = (
        "nodes: {s: {type: count, count: 240, start: 230},"
        " m: {type: onnx, model: m.onnx, post: image, device: cpu, queue: 99,"
        f" on_full: wait{option}}},"
        " o: {type: collect, queue: 99, on_full: wait}}"
    )
    return plan(folder, text, mode, models={"m.onnx": networks.breaking(1)}, collect=out), out


def test_on_a_file_a_frame_that_fails_ends_the_run(tmp_path: Path) -> None:
    made, out = bad_frames(tmp_path, Mode.FILE, ", concurrency: 1")
    said = failure(made)
    assert said.startswith("node 'm' failed in process() at 2.350s: InvalidArgument: ")
    assert "indices element out of data bounds" in said
    # What was on its way to the sink is given up, and nothing comes behind the frame that failed.
    numbers = [number for number, _ in out.seen]
    assert numbers == [230, 231, 232, 233, 234][: len(numbers)]


@pytest.mark.parametrize(
    ("on_error", "numbers"),
    [
        ("drop", [230, 231, 232, 233, 234]),
        ("pass", [*range(230, 240)]),
        ("hold_last", [*range(230, 240)]),
    ],
)
def test_a_frame_that_fails_follows_on_error(
    tmp_path: Path, on_error: str, numbers: list[int]
) -> None:
    made, out = bad_frames(tmp_path, Mode.FILE, f", on_error: {on_error}")
    report = ran(made)
    assert [number for number, _ in out.seen] == numbers
    if on_error == "hold_last":
        assert {level for number, level in out.seen if number >= 234} == {out.seen[4][1]}
    assert report.nodes["m"].errors == 5
    assert report.nodes["m"].about["calls"] == 10


def test_in_a_session_frames_that_fail_go_by_and_are_told(tmp_path: Path) -> None:
    made, out = bad_frames(tmp_path, Mode.LIVE)
    assert made.steps["m"].on_error == "pass"
    notices: list[Notice] = []
    report = ran(made, notices)
    assert [number for number, _ in out.seen] == list(range(230, 240))
    told = [each for each in notices if each.kind.value == "error"]
    assert [(each.node, each.seconds) for each in told] == [
        ("m", number / 100) for number in range(235, 240)
    ]
    assert report.nodes["m"].errors == 5


def test_an_output_of_another_meaning_fails_the_frame(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the output has 3 characters, and `labels` has 0$"):
        once(tmp_path, networks.brightest(), flat(1, 2, 3), post="text")


def test_a_session_whose_model_does_not_load_gives_everything_back(tmp_path: Path) -> None:
    text = (
        "nodes: {s: {type: test_source, width: 16, height: 16, duration: 1},"
        " m: {type: onnx, model: m.onnx, post: image, device: cpu}, o: {type: collect}}"
    )
    models = {"m.onnx": networks.breaking(0)}
    said = failure(plan(tmp_path, text, Mode.LIVE, models=models, collect=sink()))
    assert said.startswith("node 'm' failed in setup(): ModelFailed: ")
    assert POOL.sizes() == {}


def test_a_record_of_a_model_is_a_record(tmp_path: Path) -> None:
    shown, seen = see(Record)
    ran(
        plan(
            tmp_path,
            "nodes: {s: {type: count, count: 3}, m: {type: onnx, model: m.onnx, post: classes},"
            " o: {type: see}}",
            models={"m.onnx": networks.brightest()},
            see=shown,
        )
    )
    assert [sorted(each) for each in seen] == [["label", "score", "scores"]] * 3


def test_every_head_can_be_written_in_a_file() -> None:
    assert get_args(HeadName) == tuple(HEADS)


def test_the_models_of_the_broken_pipelines_are_as_they_are_made() -> None:
    for name, data in make.files().items():
        assert (make.FOLDER / name).read_bytes() == data, name


# files that would run something when they are read


class Touch:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def with_python(command: str) -> bytes:
    """A model with an op that onnxruntime-extensions runs as Python."""
    model = onnx.load_from_string(networks.identity("1x3xHxW"))
    only = model.graph.node[0]
    only.op_type, only.domain = "PyOp", "ai.onnx.contrib"
    only.attribute.append(onnx.helper.make_attribute("code", command))
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.contrib", 1))
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("kind", ["pickle", "op"])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path, kind: str
) -> None:
    canary = tmp_path / "canary"
    command = f"import os; os.system('touch {canary}')"
    data = pickle.dumps(Touch(canary)) if kind == "pickle" else with_python(command)
    said = "seems to be a pickle" if kind == "pickle" else "ops that need a library of their own"
    with pytest.raises(BadSetting, match=said):
        shaped(tmp_path, data, post="image")
    assert not canary.exists()
