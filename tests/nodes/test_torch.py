"""The torch node in whole graphs, with small real modules."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from composer import Context, Node
from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode
from composer.engine.run import Run
from composer.models.pool import POOL
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
    node = shaped(folder, model="net.pt2", post="image")
    out = run_node(node, image=gradient(640, 480), folder=folder)
    assert out.shape == (48, 64, 3)
    assert (int(out.min()), int(out.max())) == (128, 186)


def test_script_runs_where_it_is_trusted(folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.script(torch.nn.Sigmoid()).save(str(folder / "net.pt"))
    digest = hashlib.sha256((folder / "net.pt").read_bytes()).hexdigest()
    node = shaped(folder, model="net.pt", post="image", trust="code", sha256=digest)
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
