"""The torch node in whole graphs, with small real modules."""

import contextlib
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer import Context, Node
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode
from composer.engine.run import Run
from composer.models import torchmodel
from composer.models.engine import ModelFailed
from composer.models.pool import POOL
from composer.models.weights import WeightsBad
from composer.node.node import BadSetting, Batching
from composer.node.registry import Registry
from composer.testing import bench, gradient, picture, run_node
from nodes.torch import Torch
from tests.stubs import finished

torch: Any = pytest.importorskip("torch", reason="torch is not installed")

NETS = '''
import torch
from torch import nn


class Invert(nn.Module):
    def __init__(self, top=1.0):
        super().__init__()
        self.top = nn.Parameter(torch.tensor(top))

    def forward(self, image):
        return self.top - image


class Mix(nn.Module):
    def forward(self, image, amount, more=None):
        return image * amount


class Newest(nn.Module):
    """The difference of the last two of three pictures."""

    def forward(self, video):
        return (video[:, -1] - video[:, -2]).abs()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def shaped(folder: Path, **fields: Any) -> Node:
    return Torch(**fields).shaped(folder, Batching())


def trusted(path: Path) -> dict[str, str]:
    """The fields that let a file run what it holds."""
    return {"trust": "code", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_class_runs_on_the_picture(folder: Path) -> None:
    node = shaped(folder, model="./nets.py:Invert", post="image")
    out = run_node(node, image=gradient(64, 48), folder=folder)
    assert out.shape == (48, 64, 3)
    np.testing.assert_allclose(out, 255 - gradient(64, 48).astype(int), atol=3)


def test_weights_and_arguments_reach_the_class(folder: Path) -> None:
    torch.save({"top": torch.tensor(0.5)}, folder / "w.pth")
    node = shaped(folder, model="./nets.py:Invert", weights="w.pth", post="image")
    assert run_node(node, image=gradient(64, 48), folder=folder).max() in range(124, 132)
    node = shaped(folder, model="./nets.py:Invert", arguments={"top": 0.25}, post="image")
    assert run_node(node, image=gradient(64, 48), folder=folder).max() in range(61, 67)


def test_a_number_of_the_file_is_a_live_field(folder: Path) -> None:
    takes = {"image": {}, "amount": {"value": 0.5, "min": 0, "max": 1}}
    node = shaped(folder, model="./nets.py:Mix", takes=takes, post="image")
    assert node.__dict__["amount"] == 0.5
    dim = run_node(node, image=gradient(64, 48), folder=folder)
    full = run_node(node.model_copy(update={"amount": 1.0}), image=gradient(64, 48), folder=folder)
    assert dim.max() in range(124, 132)
    assert full.max() > 250


def test_an_exported_program_runs(folder: Path) -> None:
    torch.manual_seed(0)
    program = torch.export.export(torch.nn.Sigmoid(), (torch.zeros(1, 3, 48, 64),))
    torch.export.save(program, folder / "net.pt2")
    node = shaped(folder, model="net.pt2", post="image", **trusted(folder / "net.pt2"))
    out = run_node(node, image=gradient(640, 480), folder=folder)
    assert out.shape == (48, 64, 3)
    assert (int(out.min()), int(out.max())) == (128, 186)


def test_script_runs_where_it_is_trusted(folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.script(torch.nn.Sigmoid()).save(str(folder / "net.pt"))
    node = shaped(folder, model="net.pt", post="image", **trusted(folder / "net.pt"))
    assert run_node(node, image=gradient(64, 48), folder=folder).min() == 128


def test_a_window_holds_the_last_pictures(folder: Path) -> None:
    fields = {"model": "./nets.py:Newest", "takes": {"video": {}}, "window": 3, "post": "image"}
    node = shaped(folder, **fields)
    assert not type(node).stateless
    assert type(node).remembers
    dark, light = gradient(64, 48) * 0, gradient(64, 48) * 0 + 200
    with bench(node, folder=folder) as run:
        assert run(image=picture(dark)).max() == 0
        assert run(image=picture(light)).min() in range(196, 204)
        node.see(image=picture(dark))
        assert run(image=picture(dark)).max() == 0


def test_a_graph_runs_it_on_any_device(folder: Path, device: str) -> None:
    import av

    file = folder / "p.yaml"
    file.write_text(
        "version: 1\nnodes:\n"
        "  source: {type: test_source, width: 64, height: 48, duration: 0.4, pattern: solid,"
        " color: '#c86432'}\n"
        f"  net: {{type: torch, model: ./nets.py:Invert, post: image, device: '{device}'}}\n"
        f"  out: {{type: encode, path: {folder}/out.mkv, crf: 1, device: cpu}}\n"
    )
    run = Run(plan_of(compile_file(file, Registry.installed()), Mode.FILE))
    run.start()
    assert finished(run).nodes["net"].about["device"] == device
    opened: Any
    with av.open(str(folder / "out.mkv")) as opened:
        pictures = [each.to_ndarray(format="rgb24") for each in opened.decode(video=0)]
    assert len(pictures) == 12
    for each in pictures:
        assert each.reshape(-1, 3).mean(0) == pytest.approx([55, 155, 205], abs=3)


def test_sessions_share_one_module(folder: Path) -> None:
    nodes = [shaped(folder, model="./nets.py:Invert", post="image") for _ in range(8)]
    ctx = Context("net", folder, {}, {})
    for node in nodes:
        node.setup(ctx)
    loaded = [key for key in POOL.sizes() if isinstance(key, tuple) and key[0] == "torch"]
    assert [POOL.sizes()[key] for key in loaded] == [8]
    assert nodes[0].about()["device"] == "cpu"
    for node in nodes:
        node.close()
    assert not POOL.sizes()


@pytest.mark.parametrize(
    ("fields", "at", "said"),
    [
        ({"model": "net.pth"}, "model", "TorchScript is code, and a file of weights needs its"),
        ({"model": "net.safetensors"}, "model", "safetensors hold weights, and no model"),
        ({"model": "net.onnx"}, "model", "net.onnx is no model: it should end in .pt2"),
        (
            {"model": "net.pt", "trust": "code"},
            "model",
            "TorchScript is code: it needs a `sha256:`",
        ),
        (
            {"model": "net.pt2"},
            "model",
            "an exported program is code: PyTorch runs what it holds",
        ),
        (
            {"model": "net.pt2", "trust": "code"},
            "model",
            "an exported program is code: it needs a `sha256:`",
        ),
        ({"model": "net.pt2", "weights": "w.pth"}, "weights", "only a class takes weights"),
        ({"model": "net.pt2", "arguments": {"a": 1}}, "arguments", "only a class is made with"),
        ({"model": "./nets.py:Invest"}, "model", "./nets.py has no class 'Invest'"),
        ({"model": "./nest.py:Invert"}, "model", "there is no file './nest.py'"),
        (
            {"model": "./nets.py:Invert", "weights": "w.onnx"},
            "weights",
            "w.onnx is no file of weights",
        ),
        (
            {"model": "./nets.py:Mix", "takes": {"image": {}}},
            "takes",
            "forward() also takes amount",
        ),
        (
            {"model": "./nets.py:Mix", "takes": {"image": {}, "amont": {"value": 1}}},
            "takes.amont",
            "forward() has no argument 'amont'",
        ),
        (
            {"model": "./nets.py:Mix", "takes": {"amount": {"value": 1}, "image": {}}},
            "takes",
            "should be in the order of forward(): image, amount, more",
        ),
        (
            {"model": "./nets.py:Invert", "post": "detections"},
            "post",
            "it takes a `head:` that says how they are read",
        ),
    ],
)
def test_what_cannot_be_is_said_before_torch_is_loaded(
    folder: Path, fields: dict[str, Any], at: str, said: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        shaped(folder, **fields)
    assert ".".join(map(str, caught.value.at)) == at
    assert str(caught.value).startswith(said)


def test_the_node_is_found_by_its_name() -> None:
    assert Registry.installed().find("torch", Path()).__name__ == "Torch"


# files that would run something when they are read


class Touch:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def saved(content: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def with_inputs(path: Path, inputs: bytes) -> bytes:
    """A whole exported program with other sample inputs, which PyTorch unpickles."""
    program = torch.export.export(torch.nn.Sigmoid(), (torch.zeros(1, 3, 48, 64),))
    torch.export.save(program, path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(buffer, "w") as changed:
        for name in whole.namelist():
            ours = "/sample_inputs/" in name
            changed.writestr(name, inputs if ours else whole.read(name))
    return buffer.getvalue()


def twice(good: bytes, bad: bytes) -> bytes:
    """A zip file whose weights are there twice, under names that are one to PyTorch."""
    buffer = io.BytesIO(good)
    with zipfile.ZipFile(buffer, "a") as archive, zipfile.ZipFile(io.BytesIO(bad)) as other:
        archive.writestr("archive/DATA.pkl", other.read("archive/data.pkl"))
    return buffer.getvalue()


def arrays(content: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.array([content], object))
    return buffer.getvalue()


FORMATS = ["pth", "pkl", "bin", "ckpt", "legacy.pth", "both.pth", "twice.pth", "npz", "safetensors"]


def poisoned(name: str, canary: Path) -> bytes:
    """A file of weights in a format that would run something."""
    bad = saved({"top": Touch(canary)})
    match name:
        case "legacy.pth":
            return saved({"top": Touch(canary)}, zipped=False)
        case "both.pth":  # a pickle, and a zip file for who looks at the end
            good = saved({"top": torch.tensor(0.5)})
            return saved({"top": Touch(canary)}, zipped=False) + good
        case "twice.pth":
            return twice(saved({"top": torch.tensor(0.5)}), bad)
        case "npz":
            return arrays(Touch(canary))
        case "safetensors":
            return pickle.dumps(Touch(canary))
        case _:
            return bad


@pytest.mark.parametrize("name", FORMATS)
def test_weights_that_would_run_something_are_refused_and_run_nothing(
    folder: Path, name: str
) -> None:
    canary, path = folder / "canary", folder / f"w.{name}"
    path.write_bytes(poisoned(name, canary))
    with pytest.raises(BadSetting, match="cannot be used"):
        shaped(folder, model="./nets.py:Invert", weights=path.name, post="image")
    with pytest.raises(ModelFailed):  # also where it changed after it was looked at
        torchmodel.tensors(path.read_bytes(), path.suffix)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pkl", "net.pt2"])
def test_a_model_that_would_run_something_is_not_read_where_it_is_not_trusted(
    folder: Path, name: str
) -> None:
    canary, path = folder / "canary", folder / name
    bad = saved((Touch(canary),))
    path.write_bytes(with_inputs(folder / "whole", bad) if name.endswith("2") else bad)
    digest = trusted(path)["sha256"]
    for fields in ({}, {"sha256": digest}, {"trust": "code"}):
        with pytest.raises(BadSetting, match="code"):
            shaped(folder, model=name, post="image", **fields)
    fields = {"trust": "code", "sha256": "0" * 64}
    with pytest.raises((BadSetting, WeightsBad)):
        run(folder, model=name, post="image", **fields)
    assert not canary.exists()


def run(folder: Path, **fields: Any) -> None:
    run_node(shaped(folder, **fields), image=gradient(64, 48), folder=folder)


def test_an_exported_program_is_code(folder: Path) -> None:
    """Why it has to be trusted: PyTorch falls back to reading it without limits."""
    canary = folder / "canary"
    data = with_inputs(folder / "net.pt2", saved((Touch(canary),)))
    with contextlib.suppress(ModelFailed):
        torchmodel.exported(data)
    assert canary.exists()


def test_an_old_pytorch_reads_no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved({"top": torch.tensor(0.5)})
    assert set(torchmodel.tensors(data, ".pth")) == {"top"}
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    with pytest.raises(ModelFailed, match=r"install 2\.10 or newer"):
        torchmodel.tensors(data, ".pth")
