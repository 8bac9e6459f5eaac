"""PyTorch as an engine, with small real modules."""

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed")

from composer.device import lanes  # noqa: E402 - after the skip
from composer.device.lanes import Lane, Pinned  # noqa: E402
from composer.models import call, torchmodel  # noqa: E402
from composer.models.call import Call  # noqa: E402
from composer.models.engine import ModelFailed  # noqa: E402
from composer.models.onnxfile import Signature, Value  # noqa: E402
from composer.models.torchmodel import TorchModel, Tuning  # noqa: E402

PLAIN = Tuning()


class Scale(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
    """Multiplies by a weight, and drops half of it while it is trained."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(2.0))
        self.times, self.drop = times, torch.nn.Dropout(0.5)
        self.seen: list[Any] = []

    def forward(self, image: Any) -> Any:
        self.seen.append((image.dtype, torch.is_inference_mode_enabled()))
        return self.drop(image * self.gain * self.times)


IMAGE = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


def engine(module: Any, tuning: Tuning = PLAIN, inputs: tuple[str, ...] = ("image",)) -> Any:
    signature = Signature(tuple(Value(name, "", None) for name in inputs))
    return TorchModel(module, signature, tuning, "class")


def test_a_module_runs_in_evaluation_and_inference_mode() -> None:
    module = Scale()
    out = engine(module).run({"image": IMAGE}, ["out"])
    np.testing.assert_array_equal(out["out"], IMAGE * 2)
    assert module.seen == [(torch.float32, True)]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_and_not_seen_outside(precision: Any) -> None:
    module = Scale()
    made = engine(module, Tuning(precision=precision))
    out = made.run({"image": IMAGE}, ["out"])["out"]
    assert module.seen == [(getattr(torch, precision), True)]
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, IMAGE * 2, rtol=1e-2)
    assert made.about["precision"] == precision


def test_channels_last_gives_the_same() -> None:
    made = engine(torch.nn.Conv2d(3, 3, 1), Tuning(channels_last=True))
    plain = engine(made._plain)
    fed = {"image": IMAGE}
    np.testing.assert_allclose(
        made.run(fed, ["out"])["out"], plain.run(fed, ["out"])["out"], rtol=1e-5
    )


class Many(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    def forward(self, image: Any) -> Any:
        return self.given(image)


@pytest.mark.parametrize(
    ("given", "wanted", "names"),
    [
        (lambda x: {"a": x, "b": x + 1}, ["b"], {"b": 1.0}),
        (lambda x: {"a": x, "b": x + 1}, [], {"a": 0.0, "b": 1.0}),
        (lambda x: (x, x + 1), ["first", "second"], {"first": 0.0, "second": 1.0}),
        (lambda x: (x, x + 1), ["1"], {"1": 1.0}),
        (lambda x: [x, x + 1], [], {"0": 0.0, "1": 1.0}),
        (lambda x: x + 1, ["whatever"], {"whatever": 1.0}),
        (lambda x: torch.max(x, 0), ["values"], {"values": 0.0}),
    ],
    ids=["one of a dict", "all of a dict", "a tuple named", "by number", "a list", "one", "named"],
)
def test_what_a_module_returns_is_named(
    given: Any, wanted: list[str], names: dict[str, float]
) -> None:
    out = engine(Many(given)).run({"image": IMAGE[..., :1, :1][:, :1]}, wanted)
    assert {name: float(each.reshape(-1)[0]) for name, each in out.items()} == names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda x: {"a": x}, "the model gives a, and no 'out'"),
        (lambda x: [x], "the model gives 1 tensors, and 2 are wanted"),
        (lambda x: 7, "the model gives int, which holds no tensors"),
    ],
)
def test_what_a_module_returns_and_nobody_can_use(given: Any, said: str) -> None:
    wanted = ["out"] if "no 'out'" in said else ["out", "more"]
    with pytest.raises(ModelFailed) as caught:
        engine(Many(given)).run({"image": IMAGE}, wanted)
    assert str(caught.value) == said


def test_weights_come_with_their_class(tmp_path: Path) -> None:
    module = torchmodel.built(Scale, {"times": 3}, {"gain": torch.tensor(5.0)})
    out = engine(module).run({"image": IMAGE}, ["out"])["out"]
    np.testing.assert_array_equal(out, IMAGE * 15)


def test_names_of_data_parallel_are_understood() -> None:
    module = torchmodel.built(Scale, {}, {"module.gain": torch.tensor(5.0)})
    assert module.gain.item() == 5.0


def test_a_class_may_know_its_weights_by_other_names() -> None:
    class Other(Scale):
        @staticmethod
        def adapt(weights: Any) -> Any:
            return {"gain": weights["old"] * 2}

    assert float(torchmodel.built(Other, {}, {"old": torch.tensor(5.0)}).gain.detach()) == 10.0


@pytest.mark.parametrize(
    ("cls", "arguments", "weights", "said"),
    [
        (Scale, {"time": 3}, {}, r"Scale\(\) failed: .*unexpected keyword argument 'time'"),
        (dict, {}, {}, "dict is no torch.nn.Module"),
        (Scale, {}, {"gian": torch.tensor(1.0)}, r"the weights do not fit Scale: .*gian"),
        (Scale, {}, {"gain": torch.zeros(3)}, r"the weights do not fit Scale: .*size mismatch"),
    ],
)
def test_what_does_not_fit_is_said(cls: Any, arguments: Any, weights: Any, said: str) -> None:
    with pytest.raises(ModelFailed, match=said):
        torchmodel.built(cls, arguments, weights)


def test_every_kind_of_file_gives_the_same_tensors(tmp_path: Path) -> None:
    from safetensors.torch import save

    kept = {"w": torch.arange(4.0)}
    torch.save(kept, tmp_path / "w.pth")
    torch.save({"state_dict": kept}, tmp_path / "n.pth")
    np.savez(tmp_path / "w.npz", w=kept["w"].numpy())
    (tmp_path / "w.safetensors").write_bytes(save(kept))
    for name in ("w.pth", "n.pth", "w.npz", "w.safetensors"):
        path = tmp_path / name
        found = torchmodel.tensors(path.read_bytes(), path.suffix)
        assert torch.equal(found["w"], kept["w"]), name


def test_more_than_weights_is_never_loaded(tmp_path: Path) -> None:
    torch.save(Scale(), tmp_path / "whole.pth")
    with pytest.raises(ModelFailed, match="running what it holds is not safe"):
        torchmodel.tensors((tmp_path / "whole.pth").read_bytes(), ".pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelFailed, match="no state_dict"):
        torchmodel.tensors((tmp_path / "list.pth").read_bytes(), ".pth")


def test_an_exported_program_says_what_it_takes(tmp_path: Path) -> None:
    height = torch.export.Dim("height", min=2, max=512)
    program = torch.export.export(
        Scale().eval(), (torch.zeros(1, 3, 8, 8),), dynamic_shapes=({2: height},)
    )
    torch.export.save(program, tmp_path / "scale.pt2")
    module, signature = torchmodel.exported((tmp_path / "scale.pt2").read_bytes())
    (value,) = signature.inputs
    assert (value.name, value.dtype) == ("image", "float32")
    assert value.shape is not None
    assert [value.shape[0], value.shape[1], value.shape[3]] == [1, 3, 8]
    assert isinstance(value.shape[2], str)
    out = TorchModel(module, signature, Tuning(), "export").run(
        {"image": np.ones((1, 3, 4, 8), np.float32)}, []
    )
    assert out["0"].shape == (1, 3, 4, 8)


def test_what_is_no_program_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="cannot load the exported program"):
        torchmodel.exported(b"no zip")
    with pytest.raises(ModelFailed, match="cannot load the TorchScript"):
        torchmodel.scripted(b"no zip")


def test_a_compiler_that_fails_is_gone_without_loudly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(module: Any) -> Any:
        def call(*given: Any) -> Any:
            raise RuntimeError("no compiler here")

        return call

    monkeypatch.setattr(torch, "compile", failing)
    made = engine(Scale(), Tuning(compile=True))
    with caplog.at_level(logging.WARNING):
        out = made.run({"image": IMAGE}, ["out"])["out"]
    np.testing.assert_array_equal(out, IMAGE * 2)
    assert "compile is not possible here" in caplog.text
    assert made.about["compile"] == "no: no compiler here"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelFailed, match="PyTorch sees no CUDA device, and cuda:0 was asked for"):
        engine(Scale(), Tuning(device="cuda:0"))


# on a device


def fed(*numbers: float) -> dict[str, Any]:
    """A batch of flat pictures."""
    return {"image": np.array(numbers, np.float32)[:, None, None, None].repeat(3, 1)}


def test_a_module_works_on_its_own_lane_whoever_calls(device: str) -> None:
    seen: list[int] = []

    def look(image: Any) -> Any:
        seen.append(lanes.pointer(device))
        return image + 1

    made = engine(Many(look), Tuning(device=device))
    out = made.run(fed(1), ["out"])
    with Lane(device):
        made.run(fed(1), ["out"])
    assert out["out"].ravel().tolist() == [2, 2, 2]
    assert seen == [made.lane.pointer] * 2
    assert made.about["device"] == device


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("tuning", "most"),
    [
        (Tuning("cuda:0"), 1e-3),
        (Tuning("cuda:0", channels_last=True), 1e-3),
        (Tuning("cuda:0", cuda_graph=True), 1e-3),
        (Tuning("cuda:0", "float16", channels_last=True, cuda_graph=True), 1e-2),
        (Tuning("cuda:0", "bfloat16"), 5e-2),
    ],
    ids=["plain", "channels last", "graph", "half graph", "bfloat16"],
)
def test_on_cuda_a_network_gives_what_it_gives_on_the_cpu(tuning: Tuning, most: float) -> None:
    torch.manual_seed(3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3, padding=1)
    )
    pictures = [np.random.default_rng(n).random((1, 3, 24, 32), np.float32) for n in range(4)]
    plain = engine(net)
    wanted = [plain.run({"image": each}, ["out"])["out"] for each in pictures]
    made = engine(net, tuning)
    for image, right in zip(pictures, wanted, strict=True):
        np.testing.assert_allclose(made.run({"image": image}, ["out"])["out"], right, atol=most)
    assert not made.about.keys() & {"compile", "cuda_graph"}


@pytest.mark.cuda
def test_a_recorded_graph_gives_each_call_its_own_numbers_and_each_size_its_own_graph() -> None:
    made = engine(Scale(), Tuning("cuda:0", cuda_graph=True))
    with made.lane:
        ups = [torch.full((n, 3, 4, 4), float(n), device="cuda:0") for n in (1, 2, 1, 2)]
        first, *others = [made.run_there({"image": each}, ["out"])["out"] for each in ups]
        again = made.run_there({"image": ups[0] * 5}, ["out"])["out"]
    made.lane.mark().wait()
    assert [each.unique().tolist() for each in (first, *others, again)] == [
        [2], [4], [2], [4], [10],
    ]  # fmt: skip
    assert len(made._graphs) == 2


@pytest.mark.cuda
def test_a_graph_is_recorded_while_others_work_on_the_device() -> None:
    """Another session allocates, copies and waits in the middle of it."""
    failed: list[Exception] = []

    def work() -> None:
        try:
            lane = Lane("cuda:0")
            with lane:
                buffer = Pinned("cuda:0").borrow(3 << 20)
                torch.ones(5 << 20, device="cuda:0").sum()
                buffer.to("cuda:0", non_blocking=True)
                mark = lane.mark()
            mark.passed  # noqa: B018 - it asks the device
            mark.wait()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is shown
            failed.append(exc)

    def meet(image: Any) -> Any:
        half = image * 0.5
        if torch.cuda.is_current_stream_capturing():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return half + 1

    made = engine(Many(meet), Tuning("cuda:0", cuda_graph=True))
    assert made.run(fed(4), ["out"])["out"].ravel().tolist() == [3, 3, 3]
    assert failed == []
    assert "cuda_graph" not in made.about
    assert made.run(fed(8), ["out"])["out"].ravel().tolist() == [5, 5, 5]


@pytest.mark.cuda
@pytest.mark.timeout(300)  # a compiler runs
@pytest.mark.filterwarnings("default")  # a compiler warns of what it likes
def test_a_compiled_module_gives_the_same() -> None:
    made = engine(Scale(), Tuning("cuda:0", compile=True, cuda_graph=True))
    for number in (1, 3):
        assert made.run(fed(number), ["out"])["out"].ravel().tolist() == [2 * number] * 3
    assert not made.about.keys() & {"compile", "cuda_graph"}


class Ramp(torch.nn.Module):  # type: ignore[misc]  # torch is Any to mypy
    """Makes tensors of its own, where its input is."""

    def forward(self, image: Any) -> Any:
        steps = torch.arange(image.shape[-1], device=image.device).to(image.dtype)
        return image * steps + torch.ones_like(image)


def test_an_exported_program_runs_on_any_device(device: str, tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Ramp(), (torch.zeros(1, 3, 2, 2),)), tmp_path / "r.pt2")
    module, signature = torchmodel.exported((tmp_path / "r.pt2").read_bytes(), device)
    made = TorchModel(module, signature, Tuning(device), "export")
    out = made.run({"image": np.full((1, 3, 2, 2), 3, np.float32)}, [])["0"]
    assert out[0, 0].tolist() == [[1, 4], [1, 4]]


def test_calls_of_two_lanes_are_made_as_one(device: str) -> None:
    made = engine(Scale(), Tuning(device))
    calls = []
    for number in (1.0, 2.0):
        lane = Lane(device)
        with lane:
            image = torch.full((1, 3, 4, 4), number, device=device)
            calls.append(Call({"image": image}, {}, lane.mark()))
    given = call.run(made, calls, ["out"])
    reader = Lane(device)
    for each in given:
        reader.after(each["out"].mark, each["out"].tensor)
    with reader:
        assert [each["out"].tensor.unique().tolist() for each in given] == [[2], [4]]
