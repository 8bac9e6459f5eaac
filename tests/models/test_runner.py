"""What goes into a model and who shares its calls; nodes/onnx runs it in graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer.models import onnxfile
from composer.models.bind import Binding, ValueIn, Wanted, bind
from composer.models.engine import ModelFailed
from composer.models.feed import Feed
from composer.models.ort import OrtModel, OrtSettings
from composer.models.runner import Runner
from composer.node.node import Context
from composer.testing import picture
from tests.networks import network, node

DOUBLED = network("x: float32 1x3xHxW", "y: float32 1x3xHxW", node("Add", "x x", "y"))


def engine_of(data: bytes) -> OrtModel:
    return OrtModel(data, onnxfile.read(data), OrtSettings())


def bound(engine: OrtModel, **wanted: Any) -> Binding:
    return bind(Wanted(**{"feed": Feed(), "takes": {}, "gives": {}, **wanted}), engine.signature)


def no_numbers(value: ValueIn) -> Any:
    raise AssertionError(value.name)


def runner_of(engine: OrtModel, **wanted: Any) -> Runner:
    binding = bound(engine, **wanted)
    ctx = Context("m", Path(), {port.name: port.formats[0] for port in binding.inputs}, {})
    return Runner(engine, engine, binding, ctx, window=1, numbers=no_numbers)


def test_a_picture_goes_in_and_arrays_come_out_by_name() -> None:
    runner = runner_of(engine_of(DOUBLED))
    outputs, context = runner.run({"image": picture(np.full((6, 8, 3), 51, np.uint8))})
    assert runner.outputs == ("y",)
    assert context.size == (8, 6)
    np.testing.assert_allclose(outputs["y"], np.full((1, 3, 6, 8), 0.4), atol=1e-6)
    runner.close()


def test_calls_are_counted_for_all_who_run_the_same_model() -> None:
    engine = engine_of(DOUBLED)
    one, other = runner_of(engine), runner_of(engine)
    for runner in (one, other, one):
        runner.run({"image": picture(np.zeros((6, 8, 3), np.uint8))})
    assert one.about()["calls"] == other.about()["calls"] == 3
    one.close()
    other.close()


def test_a_warm_up_is_made_once_for_a_shape() -> None:
    engine = engine_of(DOUBLED)
    one, other = runner_of(engine), runner_of(engine)
    assert one.warm_up(sized=True)["y"].shape == (1, 3, 256, 256)
    assert other.warm_up(sized=True) == {}
    one.close()
    other.close()


def test_a_model_that_does_not_run_on_a_picture_of_its_size_is_told_at_once() -> None:
    data = network(
        "x: float32 1x3x4x4",
        "y: float32 N",
        node("Reshape", "x shape", "y"),
        weights={"shape": ("int64", [1], [7])},
    )
    runner = runner_of(engine_of(data), post="raw")
    with pytest.raises(ModelFailed, match="it does not run on an empty picture"):
        runner.warm_up(sized=True)
    runner.close()
