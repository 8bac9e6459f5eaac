"""ONNX Runtime as an engine on a device; tests/nodes/test_onnx.py runs it in graphs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from composer.device import cuda
from composer.models import onnxfile, ort
from composer.models.engine import ModelFailed
from composer.models.ort import OrtModel, OrtSettings
from tests import networks
from tests.clips import ROOT
from tests.networks import network, node

on_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this build of onnxruntime does not run on CUDA",
)

CONV = network(
    "x: float32 Nx3xHxW",
    "y: float32 Nx3xHxW",
    node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
    node("Sigmoid", "c", "y"),
    weights={"w": ("float32", (3, 3, 3, 3), np.linspace(-0.3, 0.4, 81).tolist())},
)


def engine(data: bytes, running: OrtSettings) -> OrtModel:
    return OrtModel(data, onnxfile.read(data), running)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this build of onnxruntime runs on CUDA",
)
@pytest.mark.fault("F-50")
def test_a_build_without_cuda_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "has_torch", lambda: False)
    with pytest.raises(ModelFailed) as caught:
        engine(CONV, OrtSettings("cuda:0"))
    assert str(caught.value) == (
        "ONNX Runtime cannot load it: cuda: this build of ONNX Runtime has no"
        " CUDAExecutionProvider; install byoc-composer[gpu] for it, or write `device: cpu`"
    )


@pytest.mark.fault("F-50")
def test_libraries_that_cannot_be_loaded_are_said_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ort.load_cuda.cache_clear()

    def preload() -> None:
        sys.stdout.write("Failed to load libcublas.so.13: no\n")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    assert ort.load_cuda() == "Failed to load libcublas.so.13: no"
    assert capsys.readouterr().out == ""
    ort.load_cuda.cache_clear()


@pytest.mark.cuda
@on_cuda
def test_on_cuda_a_network_gives_what_it_gives_on_the_cpu() -> None:
    made, plain = engine(CONV, OrtSettings("cuda:0")), engine(CONV, OrtSettings())
    assert (made.provider, made.about["device"]) == ("CUDAExecutionProvider", "cuda:0")
    for number in range(3):
        fed = {"x": np.random.default_rng(number).random((number + 1, 3, 24, 32), np.float32)}
        found, wanted = (each.run(fed, ["y"])["y"] for each in (made, plain))
        np.testing.assert_allclose(found, wanted, atol=2e-3)  # TF32, where the card has it
    made.close()
    plain.close()


def test_tensors_go_in_and_come_out_on_the_device(device: str) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed")
    if device != "cpu" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime does not run on CUDA")
    made = engine(CONV, OrtSettings(device))
    fed = np.random.default_rng(1).random((2, 3, 24, 32), np.float32)
    with made.lane:
        given = made.run_there({"x": torch.from_numpy(fed).to(device)}, ["y"])["y"]
        assert (str(given.device), tuple(given.shape)) == (device, fed.shape)
        np.testing.assert_allclose(given.cpu().numpy(), made.run({"x": fed}, ["y"])["y"], atol=2e-3)
    made.close()


@pytest.mark.cuda
@on_cuda
def test_what_one_lane_still_reads_the_next_call_does_not_write_over() -> None:
    """Two sessions share a model: the first is held up on the device, the second goes on."""
    torch: Any = pytest.importorskip("torch", reason="torch is not installed")
    from composer.device.lanes import Lane

    made = engine(networks.doubled(), OrtSettings("cuda:0"))
    first, second = Lane("cuda:0"), Lane("cuda:0")
    with first:
        ones = torch.full((1, 3, 64, 64), 1.0, device="cuda:0")
    with second:
        twos = torch.full((1, 3, 64, 64), 2.0, device="cuda:0")
    made.lane.after(first.mark(), ones)
    made.lane.after(second.mark(), twos)
    for _ in range(5):
        with made.lane:
            given = made.run_there({"x": ones}, ["y"])["y"]
            mark = made.lane.mark()
        first.after(mark, given)
        with first:
            torch.cuda._sleep(50_000_000)
            read = given * 1
        del given
        with made.lane:
            other = made.run_there({"x": twos}, ["y"])["y"]
        made.lane.mark().wait()
        first.mark().wait()
        assert (read.unique().tolist(), other.unique().tolist()) == ([2], [4])
    made.close()


WITHOUT_TORCH = """
import sys
from composer.device import cuda
cuda.has_torch = lambda: False
from composer.models import onnxfile
from composer.models.ort import OrtModel, OrtSettings
data = open(sys.argv[1], "rb").read()
model = OrtModel(data, onnxfile.read(data), OrtSettings("cuda:0"))
print(model.provider, "torch._C" in sys.modules)
"""


@pytest.mark.cuda
@on_cuda
def test_without_torch_the_libraries_of_packages_are_found(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(CONV)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(file)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("CUDAExecutionProvider False\n", "")
