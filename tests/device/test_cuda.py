"""Which device a node gets, and what happens where there is none."""

import sys
from pathlib import Path
from typing import Any

import pytest

from composer.compiler.compile import compile_file, plan_of
from composer.compiler.plan import Mode, Plan
from composer.device import cuda
from composer.engine.loading import preload
from composer.engine.run import Run
from composer.errors import DeviceMissing, NodeFailed
from composer.node.registry import Registry
from tests import stubs

NODE = '''
from composer import Node, Tensor


class Half(Node):
    """Darken."""

    devices = ("cpu", "cuda")

    def process(self, image: Tensor) -> Tensor:
        return image * 0.5
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "half.py").write_text(NODE)
    return tmp_path


def planned(folder: Path, device: str, rest: str = "", mode: Mode = Mode.FILE) -> Plan:
    file = folder / "p.yaml"
    file.write_text(
        "version: 1\nnodes:\n"
        "  source: {type: test_source, width: 64, height: 48, duration: 0.2, pattern: solid,"
        " color: '#c86432'}\n"
        f"  half: {{type: ./half.py:Half, device: {device}}}\n{rest}"
        f"  out: {{type: encode, path: {folder}/out.mkv, crf: 1}}\n"
    )
    return plan_of(compile_file(file, Registry.installed()), mode)


def devices(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(cuda, "count", lambda: count)


@pytest.mark.parametrize(
    ("wanted", "able", "count", "got"),
    [
        ("auto", ("cpu", "cuda"), 0, "cpu"),
        ("auto", ("cpu", "cuda"), 2, "cuda:0"),
        ("auto", ("cpu",), 2, "cpu"),
        ("cuda", ("cpu", "cuda"), 0, "cuda:0"),
        ("cuda:1", ("cpu", "cuda"), 2, "cuda:1"),
        ("cpu", ("cpu", "cuda"), 2, "cpu"),
    ],
)
def test_what_a_device_means(
    monkeypatch: pytest.MonkeyPatch, wanted: str, able: tuple[str, ...], count: int, got: str
) -> None:
    devices(monkeypatch, count)
    assert cuda.chosen(wanted, able) == got


@pytest.mark.parametrize(("wanted", "got"), [("auto", "cpu"), ("cuda", "cuda:0")])
def test_auto_is_the_cpu_where_a_package_is_built_for_that(
    monkeypatch: pytest.MonkeyPatch, wanted: str, got: str
) -> None:
    devices(monkeypatch, 1)
    monkeypatch.setattr(cuda, "built", {"onnxruntime": True, "torch": False}.__getitem__)
    able = ("cpu", "cuda")
    assert cuda.chosen(wanted, able, ("torch",)) == got
    assert cuda.chosen(wanted, able, ("onnxruntime", "torch")) == got
    assert cuda.chosen(wanted, able, ("onnxruntime",)) == "cuda:0"


@pytest.mark.parametrize(
    ("line", "cuda_build"),
    [
        ("cuda: Optional[str] = '13.0'", True),
        ("cuda: str | None = '12.8'", True),
        ("cuda = '13.2'", True),
        ("cuda: Optional[str] = None", False),
        ("cuda = None", False),
    ],
)
def test_what_torch_was_built_with(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    line: str,
    cuda_build: bool,  # noqa: FBT001
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit\n")
    version = f"__version__ = '2.13.0'\ndebug = False\n{line}\ngit_version = 'x'\nhip = None\n"
    (tmp_path / "torch" / "version.py").write_text(version)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert cuda.built.__wrapped__("torch") is cuda_build


def test_the_two_builds_of_onnx_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not cuda.built.__wrapped__("onnxruntime")
    info = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.31.1\n")
    assert cuda.built.__wrapped__("onnxruntime")


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    devices(monkeypatch, 0)
    with pytest.raises(DeviceMissing) as caught:
        cuda.check("cuda:0")
    assert str(caught.value) == (
        "cuda:0 was asked for, and the driver shows no CUDA device;"
        " `device: auto` runs on the CPU then"
    )
    devices(monkeypatch, 2)
    cuda.check("cuda:1")
    with pytest.raises(DeviceMissing, match="the driver shows 2 CUDA devices, counted from 0"):
        cuda.check("cuda:2")
    cuda.check("cpu")


def test_a_plan_for_a_device_needs_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies up and down are steps of the plan, and no stage mixes two devices."""
    devices(monkeypatch, 0)
    plan = planned(folder, "cuda", "  dim: {type: color, brightness: 0.1}\n")
    assert plan.steps["half"].device == "cuda:0"
    up, down = plan.steps["source:rgb@cuda:0"], plan.steps["half:yuv420p"]
    assert (str(up.outputs["out"]), up.device) == ("rgb tensor 64x48 on cuda:0", "cuda:0")
    assert (str(down.inputs["in"]), down.device) == ("rgb tensor 64x48 on cuda:0", "cuda:0")
    assert [stage.steps for stage in plan.stages] == [
        ("source",),
        ("source:rgb@cuda:0", "half"),
        ("half:yuv420p",),
        ("dim",),
        ("out",),
    ]


def test_a_run_on_a_device_that_is_not_there_fails_before_a_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices(monkeypatch, 0)
    run = Run(planned(folder, "cuda"))
    with pytest.raises(NodeFailed, match=r"node 'half' failed in setup\(\): DeviceMissing: cuda:0"):
        run.start()
    assert run.done.is_set()
    assert not (folder / "out.mkv").exists()


@pytest.mark.fault("F-49")
def test_a_server_says_so_before_it_is_ready(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices(monkeypatch, 0)
    plan = planned(folder, "cuda", mode=Mode.LIVE)
    preload(plan)  # nothing in it is shared, so nothing is looked at
    model = "  net: {type: torch, model: ./net.py:Net, post: image, device: cuda}\n"
    (folder / "net.py").write_text("class Net:\n    def forward(self, image): ...\n")
    with pytest.raises(NodeFailed, match=r"node 'net' failed in setup\(\): DeviceMissing"):
        preload(planned(folder, "cpu", model, Mode.LIVE))


ASYNC = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the"
    " stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("CUDA error: device-side assert triggered" + ASYNC, True),
        ("CUDA error: unspecified launch failure" + ASYNC, True),
        ("CUDA error: an illegal memory access was encountered" + ASYNC, True),
        ("CUDA error: uncorrectable ECC error encountered", True),
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of", False),
        ("CUDA error: out of memory" + ASYNC, False),
        ("CUDA error: invalid device ordinal", False),
        ("CUDA error: no kernel image is available for execution on the device", False),
        ("CUDA error: invalid configuration argument", False),
        ("it said CUDA error: device-side assert triggered", False),
    ],
)
def test_what_torch_says_of_a_device_that_is_lost(said: str, lost: bool) -> None:  # noqa: FBT001
    assert cuda.lost(RuntimeError(said)) is lost
    assert not cuda.lost(ValueError(said))


@pytest.mark.parametrize(
    ("said", "lost"),
    [("700: an illegal memory access was encountered", True), ("2: out of memory", False)],
)
def test_what_onnx_runtime_says_of_it(said: str, lost: bool) -> None:  # noqa: FBT001
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node."
        f" Name:'c' Status Message: CUDA failure {said} ; GPU=0 ; hostname=h ; file=cuda_call.cc"
    )
    assert cuda.lost(state.Fail(text)) is lost


def test_a_lost_device_is_seen_behind_what_came_of_it() -> None:
    root = RuntimeError("CUDA error: unspecified launch failure")
    try:
        try:
            raise root
        except RuntimeError:
            raise ValueError("no picture")  # noqa: B904 - as nodes of others do
    except ValueError as exc:
        found = NodeFailed("m", "process()", exc, 1.0)
    assert cuda.lost(found)
    root.__cause__ = found  # a ring has an end, too
    assert cuda.lost(root)
    assert not cuda.lost(NodeFailed("m", "process()", ValueError("no"), 1.0))


def test_frames_do_not_go_by_a_device_that_is_lost() -> None:
    def fails(image: object) -> object:
        raise RuntimeError("CUDA error: device-side assert triggered")

    text = "nodes: {s: {type: count}, f: {type: fails, on_error: pass}, o: {type: collect}}"
    broken, sink = stubs.calling(fails), stubs.sink()
    with pytest.raises(NodeFailed, match="device-side assert triggered"):
        stubs.ran(text, Mode.LIVE, count=stubs.Count, fails=broken, collect=sink)


@pytest.mark.parametrize(
    ("source", "half", "mode", "made"),
    [
        ("cuda", "cuda", Mode.LIVE, "rgb tensor on cuda:0"),
        ("auto", "cuda", Mode.LIVE, "yuv420p"),
        ("cuda", "cpu", Mode.LIVE, "yuv420p"),
        ("auto", "cpu", Mode.LIVE, "yuv420p"),
        ("cuda", "cuda", Mode.FILE, "yuv420p"),
        ("auto", "cpu", Mode.FILE, "yuv420p"),
    ],
)
def test_only_a_stream_is_decoded_on_a_device_and_only_where_that_is_asked_for_and_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, half: str, mode: Mode, made: str
) -> None:
    devices(monkeypatch, 1)
    monkeypatch.setattr(cuda, "has_torch", lambda: True)
    file = folder / "d.yaml"
    file.write_text(
        f"version: 1\nnodes:\n  source: {{type: decode, device: {source}}}\n"
        f"  half: {{type: ./half.py:Half, device: {half}}}\n  out: {{type: encode}}\n"
    )
    plan = plan_of(compile_file(file, Registry.installed()), mode)
    assert str(plan.steps["source"].outputs["image"]) == made


SOURCE = '''
from collections.abc import Iterator
from fractions import Fraction

import torch

from composer import Context, Frame, Node, Tensor


class Grey(Node):
    """Six grey pictures."""

    devices = ("cpu", "cuda")
    _device: str = ""

    def setup(self, ctx: Context) -> None:
        self._device = ctx.device

    def process(self) -> Iterator[Tensor]:
        for number in range(6):
            image = torch.full((3, 48, 64), 0.5, device=self._device)
            yield Frame(image, number, Fraction(1, 25))
'''


def sourced(folder: Path, device: str) -> None:
    """A source that makes its pictures on a device, and a node that works there."""
    import av

    (folder / "grey.py").write_text(SOURCE)
    file = folder / "s.yaml"
    file.write_text(
        "version: 1\nnodes:\n"
        f"  source: {{type: ./grey.py:Grey, device: '{device}'}}\n"
        f"  half: {{type: ./half.py:Half, device: '{device}'}}\n"
        f"  out: {{type: encode, path: {folder}/out.mkv, crf: 1, device: cpu}}\n"
    )
    run = Run(plan_of(compile_file(file, Registry.installed()), Mode.FILE))
    run.start()
    run.wait()
    opened: Any
    with av.open(str(folder / "out.mkv")) as opened:
        means = [each.to_ndarray(format="rgb24").mean() for each in opened.decode(video=0)]
    assert means == pytest.approx([64] * 6, abs=2)


def test_a_source_makes_its_pictures_on_a_device(folder: Path, device: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    sourced(folder, device)


def test_a_source_makes_its_pictures_on_a_stand_in(folder: Path, stand_in: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    sourced(folder, stand_in)


def test_tensors_go_from_a_stand_in_to_a_node_on_the_cpu(folder: Path, stand_in: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    halved_twice(folder, stand_in)


@pytest.mark.cuda
def test_tensors_go_from_a_device_to_a_node_on_the_cpu(folder: Path) -> None:
    halved_twice(folder, "cuda")


def halved_twice(folder: Path, device: str) -> None:
    import av

    again = "  again: {type: ./half.py:Half, device: cpu, in: half}\n"
    run = Run(planned(folder, device, again))
    run.start()
    run.wait()
    opened: Any
    with av.open(str(folder / "out.mkv")) as opened:
        for each in opened.decode(video=0):
            mean = each.to_ndarray(format="rgb24").reshape(-1, 3).mean(0)
            assert mean == pytest.approx([50, 25, 12], abs=3)


def test_tensors_are_the_same_pictures_on_any_device(folder: Path, device: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    import av

    run = Run(planned(folder, device))
    run.start()
    run.wait()
    with av.open(str(folder / "out.mkv")) as opened:
        pictures = [each.to_ndarray(format="rgb24") for each in opened.decode(video=0)]
    assert len(pictures) == 6
    for picture in pictures:
        assert picture.reshape(-1, 3).mean(0) == pytest.approx([100, 50, 25], abs=3)
