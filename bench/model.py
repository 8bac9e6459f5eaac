"""Measure an ONNX node beside a bare loop over onnxruntime, and eight nodes of a model beside one.

    python -m bench.model

A round is the bare loop, a run of a pipeline, and the bare loop again, so that whatever else the
machine does meets both. The ratio is frames per second of the pipeline over the mean of the loops.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from composer.compiler.compile import compile_file, plan_of
from composer.engine.run import Media, Run
from composer.node.registry import Registry

SIZE: Final = (320, 192)
FRAMES: Final = 300

PIPELINE: Final = """\
version: 1
nodes:
  source: {{type: test_source, width: 640, height: 360, fps: 30, duration: {seconds}}}
  net: {{type: onnx, model: net.onnx, post: embedding, threads: {threads}}}
  log: {{type: record, path: /dev/null}}
"""

ONE_AND_EIGHT: Final = """
from pathlib import Path
from bench.model import resident
from composer.node.node import Batching, Context
from nodes.onnx import Onnx
made = [Onnx(model="heavy.onnx", post="embedding").shaped(Path(), Batching()) for _ in range(8)]
made[0].setup(Context("net", Path(), {}, {}))
one = resident()
for node in made[1:]:
    node.setup(Context("net", Path(), {}, {}))
print(one, resident())
"""


def network(path: Path, widths: tuple[int, ...], *, ballast_mb: int = 0) -> None:
    """A net of 3x3 convolutions, the first three of stride 2, that ends in a mean per channel."""
    rng = np.random.default_rng(0)
    nodes, weights, before, channels = [], [], "image", 3
    for place, width in enumerate(widths):
        kernel = (rng.standard_normal((width, channels, 3, 3)) * 0.1).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{place}"))
        stride = 2 if place < 3 else 1
        conv: dict[str, Any] = {"pads": [1] * 4, "strides": [stride] * 2}
        nodes += [
            helper.make_node("Conv", [before, f"w{place}"], [f"c{place}"], **conv),
            helper.make_node("Relu", [f"c{place}"], [f"r{place}"]),
        ]
        before, channels = f"r{place}", width
    nodes.append(helper.make_node("GlobalAveragePool", [before], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    if ballast_mb:
        rows = ballast_mb * 2**20 // 4 // channels
        heavy = np.zeros((channels, rows), np.float32)
        weights.append(numpy_helper.from_array(heavy, "heavy"))
        nodes.append(helper.make_node("MatMul", ["flat", "heavy"], ["wide"]))
        nodes.append(helper.make_node("ReduceMean", ["wide"], ["embedding"], keepdims=1))
    else:
        nodes.append(helper.make_node("Identity", ["flat"], ["embedding"]))
    shape: list[str | int | None] = ["n", 3, SIZE[1], SIZE[0]]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", "c"])
    graph = helper.make_graph(nodes, "net", [taken], [given], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)


def bare(path: Path, threads: int, frames: int) -> float:
    """Frames per second of onnxruntime alone, with its own defaults."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fed = {"image": np.random.default_rng(0).random((1, 3, SIZE[1], SIZE[0]), np.float32)}
    for _ in range(10):
        session.run(None, fed)
    began = time.perf_counter()
    for _ in range(frames):
        session.run(None, fed)
    return frames / (time.perf_counter() - began)


def piped(folder: Path, threads: int, frames: int) -> float:
    """Frames per second of a pipeline, from its start to its end."""
    file = folder / "net.yaml"
    file.write_text(PIPELINE.format(threads=threads, seconds=frames / 30))
    run = Run(plan_of(compile_file(file, Registry.installed())), Media())
    run.start()
    began = time.perf_counter()
    account = run.wait()
    return account.nodes["net"].taken / (time.perf_counter() - began)


def resident() -> int:
    """MB that this process has in memory (proc(5), VmRSS)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(each for each in lines if each.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a net of a few ms, and few frames")
    chosen: Any = parser.parse_args(arguments)
    widths = (16, 32, 64) if chosen.small else (16, 32, 64, 128, 128, 128, 128)
    frames = 30 if chosen.small else FRAMES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network(folder / "net.onnx", widths)
        cores = os.cpu_count() or 1
        print(f"onnxruntime {onnxruntime.__version__}, {cores} cores, {frames} frames a run")
        print("threads  bare fps  node fps  ratio  least  most")
        for threads in dict.fromkeys((1, cores)):
            rows = [_round(folder, threads, frames) for _ in range(chosen.rounds)]
            ratios = sorted(node / loop for loop, node in rows)
            loop, node = (statistics.median(each) for each in zip(*rows, strict=True))
            ratio = statistics.median(ratios)
            print(
                f"{threads:7}  {loop:8.1f}  {node:8.1f}  {ratio:5.3f}"
                f"  {ratios[0]:5.3f}  {ratios[-1]:5.3f}"
            )
        network(folder / "heavy.onnx", (16, 32, 64), ballast_mb=8 if chosen.small else 128)
        done = subprocess.run(
            [sys.executable, "-c", ONE_AND_EIGHT],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        one, eight = map(int, done.stdout.split())
        print(f"memory: one node {one} MB, eight nodes of the same model {eight} MB")


def _round(folder: Path, threads: int, frames: int) -> tuple[float, float]:
    before = bare(folder / "net.onnx", threads, frames)
    node = piped(folder, threads, frames)
    return (before + bare(folder / "net.onnx", threads, frames)) / 2, node


if __name__ == "__main__":
    main()
