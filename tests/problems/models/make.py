"""Make the models of the broken pipelines beside this folder: python -m tests.problems.models.make

They are committed, so that `byoc check` can be tried on those pipelines without onnx.
"""

from pathlib import Path
from typing import Final

from tests.networks import identity, network, node

FOLDER: Final = Path(__file__).parent

MODELS: Final = {
    # one picture of 64x32 in colours
    "still.onnx": identity("1x3x32x64"),
    # any number of pictures of any size
    "any.onnx": identity("Nx3xHxW"),
    # a picture, and two numbers
    "mixed.onnx": network(
        "picture: float32 1x3xHxW, ends: float32 2",
        "mixed: float32 1x3xHxW",
        node("Gather", "ends first", "low"),
        node("Mul", "picture low", "mixed"),
        weights={"first": ("int64", [], [0])},
    ),
    # scores of three classes, which are no detections
    "scores.onnx": network(
        "x: float32 1x3x32x64",
        "scores: float32 1x3",
        node("ReduceMean", "x", "scores", axes=[2, 3], keepdims=0),
    ),
}
"""File -> what is in it."""


def files() -> dict[str, bytes]:
    """All that lies beside this script: the models, and what only seems to be one."""
    return {
        **MODELS,
        "cut.onnx": MODELS["mixed.onnx"][:-40],
        "letter.onnx": b"Dear reader,\nthis is not a model.\n",
    }


if __name__ == "__main__":
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
