"""Tiny ONNX models that tests make: a few hundred bytes each, their ends written as text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import TensorProto, helper

OPSET: Final = 17
IR_VERSION: Final = 8
"""What every runtime of the last years reads."""


def network(
    inputs: str,
    outputs: str,
    *nodes: Any,
    weights: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A model file. Ends as "x: float32 Nx3xHxW, gain: float32 1"; weights: numbers by name."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [_end(*each) for each in _named(inputs)],
        [_end(*each) for each in _named(outputs)],
        [_tensor(name, *each) for name, each in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    """One operator, its inputs separated by spaces."""
    return helper.make_node(op, inputs.split(" "), [output], **attributes)


def _named(text: str) -> Iterator[tuple[str, str, str]]:
    for each in text.split(", "):
        name, _, rest = each.partition(": ")
        dtype, _, shape = rest.partition(" ")
        yield name, dtype, shape


def _end(name: str, dtype: str, shape: str) -> Any:
    sizes: list[int | str] | None = [
        int(each) if each.isdigit() else each for each in shape.split("x")
    ]
    if shape in ("", "scalar"):
        sizes = [] if shape else None
    return helper.make_tensor_value_info(name, _TYPES[dtype], sizes)


def _tensor(name: str, dtype: str, shape: Sequence[int], numbers: Sequence[float]) -> Any:
    return helper.make_tensor(name, _TYPES[dtype], shape, numbers)


_TYPES: Final = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}

PICTURE: Final = "x: float32 1x3xHxW"
ANY: Final = "x: float32 Nx3xHxW"
"""A picture of any size; and any number of them."""


def identity(shape: str = "1x3xHxW", dtype: str = "float32") -> bytes:
    end = f"{dtype} {shape}"
    return network(f"x: {end}", f"y: {end}", node("Identity", "x", "y"))


def inverted(shape: str = "1x3xHxW") -> bytes:
    """1 - x"""
    end = f"float32 {shape}"
    one: Any = ("float32", [], [1.0])
    return network(f"x: {end}", f"y: {end}", node("Sub", "one x", "y"), weights={"one": one})


def doubled() -> bytes:
    """2 * x"""
    two: Any = ("float32", [], [2.0])
    return network(ANY, "y: float32 Nx3xHxW", node("Mul", "x two", "y"), weights={"two": two})


def brightest(batch: str = "1") -> bytes:
    """How bright each of three channels is: (N, 3)."""
    return network(
        f"x: float32 {batch}x3xHxW",
        f"scores: float32 {batch}x3",
        node("ReduceMean", "x", "scores", axes=[2, 3], keepdims=0),
    )


def gained(limits: str = "float32 1") -> bytes:
    """x * gain"""
    return network(f"{PICTURE}, gain: {limits}", "y: float32 1x3xHxW", node("Mul", "x gain", "y"))


def adding() -> bytes:
    """y: x and all that came before, as it goes back in at `before`."""
    return network(
        f"{PICTURE}, before: float32 axbxcxd",
        "y: float32 1x3xHxW, after: float32 1x3xHxW",
        node("Add", "x before", "y"),
        node("Identity", "y", "after"),
    )


def breaking(on: float) -> bytes:
    """The picture; fails where its brightest number is `on` (0 or 1)."""
    return network(
        PICTURE,
        "y: float32 1x3xHxW",
        node("ReduceMax", "x", "most", keepdims=0),
        node("Sub", "most on", "far"),
        node("Abs", "far", "off"),
        node("Sub", "one off", "near"),
        node("Cast", "near", "place", to=TensorProto.INT64),
        node("Gather", "table place", "zero"),  # the table has one entry: place 1 is an error
        node("Add", "x zero", "y"),
        weights={
            "on": ("float32", [], [on]),
            "one": ("float32", [], [1.0]),
            "table": ("float32", [1], [0.0]),
        },
    )


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
