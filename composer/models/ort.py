"""ONNX Runtime: an ONNX file as an Engine, on the CPU or on CUDA."""

import contextlib
import importlib.metadata
import io
import logging
import re
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from composer import lazy
from composer.device import cuda
from composer.models.engine import ModelFailed
from composer.models.onnxfile import Signature

with lazy.deferred():
    import numpy as np
    import onnxruntime as ort
    import torch

    from composer.device import lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

log: Final = logging.getLogger(__name__)

PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


USUAL: Final = 32
"""What the sides of a picture are multiples of where a net halves it five times."""


_SHAPES: Final = re.compile("dimension|broadcast|shape", re.IGNORECASE)
"""Words of ONNX Runtime's where two tensors do not go together."""


@dataclass(frozen=True, slots=True)
class OrtSettings:
    """How a model is to run. providers: in order of preference; threads: 0 for all cores.

    engines: a folder where TensorRT keeps what it built, "" for nowhere.
    """

    device: str = "cpu"
    providers: tuple[str, ...] = ()
    threads: int = 0
    engines: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        return self.providers or (self.device.partition(":")[0],)

    @property
    def index(self) -> int:
        return int(self.device.partition(":")[2] or 0)


def check_builds() -> None:
    """Raises ModelFailed where both builds of ONNX Runtime are installed, or none is.

    They share a folder: whichever came last wins, and nobody can say which that was.
    """
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    if len(found) == 2:
        raise ModelFailed(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; run"
            " `pip uninstall -y onnxruntime onnxruntime-gpu`, then"
            " `pip install 'byoc-composer[gpu]'` (or [cpu])"
        )
    if not found:
        raise ModelFailed(
            "ONNX Runtime is not installed; run `pip install 'byoc-composer[cpu]'`,"
            " or [gpu] for CUDA"
        )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_room(needed: int, device: str) -> None:
    """Raises ModelFailed where a device has less memory free than the weights take alone."""
    free, whole = torch.cuda.mem_get_info(device)
    if needed > free:
        raise ModelFailed(
            f"its weights take {needed >> 20} MB, and {device} has {free >> 20} of"
            f" {whole >> 20} MB free"
        )


@cache
def load_cuda() -> str:
    """Load the CUDA libraries that were installed as packages, which no search path leads to.

    Returns what ONNX Runtime says of those that it cannot load, "" where it has all. Where torch
    was imported first, they are there already (onnxruntime.ai, "Preload shared libraries").
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints; the output of a run may be JSON
        ort.preload_dlls()
    return said.getvalue().strip()


class OrtModel:
    """An ONNX model that ONNX Runtime has loaded."""

    def __init__(self, model: bytes | str, signature: Signature, running: OrtSettings) -> None:
        """model: the file's bytes, or its path where its weights lie in files beside it.

        Raises ModelFailed, also when it would run elsewhere than where it was asked to.
        """
        check_builds()
        self.warmed: set[Hashable] = set()
        self.logits: set[str] = set()
        self._turn = threading.Lock()
        self.signature: Final = signature
        self._running = running
        # A session on CUDA computes on a lane of ours from its beginning to its end.
        on_cuda = running.device != "cpu" and cuda.has(running.device) and cuda.has_torch()
        self._lane: lanes.Lane | None = lanes.Lane(running.device) if on_cuda else None
        if on_cuda:
            check_room(signature.weights_bytes, running.device)
        self._session = self._created(model)
        self._run_options = ort.RunOptions()
        if on_cuda:
            # Who takes the outputs waits for our lane on the device; the host need not.
            self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self.provider: Final = self._session.get_providers()[0]

    @property
    def about(self) -> Mapping[str, Any]:
        return {
            "engine": f"onnxruntime {ort.__version__}",
            "provider": self.provider,
            "device": self._running.device if self.provider != PROVIDERS["cpu"] else "cpu",
        }

    def run(
        self, feeds: "Mapping[str, NDArray[Any]]", outputs: Sequence[str]
    ) -> "dict[str, NDArray[Any]]":
        with self._turn:
            try:
                given = self._session.run(list(outputs), dict(feeds))
            except Exception as exc:
                self._refuse_size(feeds, exc)
                raise
        return dict(zip(outputs, given, strict=True))

    @property
    def lane(self) -> "lanes.Lane":
        if self._lane is None:
            self._lane = lanes.Lane(self._running.device)
        return self._lane

    def run_there(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        """Inputs are read where they lie, and outputs stay (onnxruntime.ai, "I/O Binding")."""
        binding = self._session.io_binding()
        kept = {name: _contiguous(each) for name, each in feeds.items()}
        for name, each in kept.items():
            if isinstance(each, np.ndarray):
                binding.bind_cpu_input(name, each)
                continue
            dtype = np.dtype(str(each.dtype).removeprefix("torch."))
            binding.bind_input(
                name, each.device.type, self._running.index, dtype, each.shape, each.data_ptr()
            )
        there = "cpu" if self._running.device == "cpu" else "cuda"
        for name in outputs:
            binding.bind_output(name, there, self._running.index)
        with self._turn:
            try:
                self._session.run_with_iobinding(binding, self._run_options)
            except Exception as exc:
                self._refuse_size(feeds, exc)
                raise
        given = binding.get_outputs()
        return {name: _owned(each) for name, each in zip(outputs, given, strict=True)}

    def _refuse_size(self, feeds: Mapping[str, Any], exc: Exception) -> None:
        """Raises ModelFailed where shapes within the net did not fit, and it leaves a side open."""
        if not _SHAPES.search(str(exc)):
            return
        for value in self.signature.inputs:
            given = getattr(feeds.get(value.name), "shape", ())
            if value.shape is None or len(value.shape) != len(given) or len(given) < 3:
                continue
            open_sides = [
                real
                for said, real in zip(value.shape[1:], given[1:], strict=True)
                if not isinstance(said, int)
            ]
            if any(side % USUAL for side in open_sides):
                said = f"the model does not take {'x'.join(map(str, given))} for {value.name!r}"
                hint = f"many need `multiple: {USUAL}`"
                raise ModelFailed(f"{said}: {hint} ({_first_line(exc)})") from exc

    def close(self) -> None:
        if self._lane is not None:
            self._lane.close()
        del self._session

    def _created(self, model: bytes | str) -> "ort.InferenceSession":
        """A session on the first provider that really takes the model."""
        said = []
        for name in self._running.wanted:
            try:
                session = self._session_on(name, model)
            except Exception as exc:  # noqa: BLE001 - pybind raises classes of its own, see below
                said.append(f"{name}: {_first_line(exc)}")
                continue
            # Where CUDA cannot be loaded a session is made all the same, on the CPU.
            if session.get_providers()[0] == PROVIDERS[name]:
                if said:
                    log.warning("runs on %s, since %s", name, "; ".join(said))
                return session
            why = f" ({_first_line(load_cuda())})" if load_cuda() else ""
            said.append(f"{name}: ONNX Runtime took {session.get_providers()[0]} instead{why}")
        raise ModelFailed(f"ONNX Runtime cannot load it: {'; '.join(said)}")

    def _session_on(self, name: str, model: bytes | str) -> "ort.InferenceSession":
        provider = PROVIDERS[name]
        if provider not in ort.get_available_providers():
            how = "; install byoc-composer[gpu] for it, or write `device: cpu`"
            asked = name == "cuda" and not self._running.providers
            raise ModelFailed(f"this build of ONNX Runtime has no {provider}{how if asked else ''}")
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._running.threads
        options.inter_op_num_threads = 1
        # Threads that spin between two pictures take the cores from decoders and encoders.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised; a line a frame is no use
        ort.set_default_logger_severity(4)  # nor is one for each session on CUDA
        ahead: list[Any] = [provider]
        if name != "cpu":
            load_cuda()
            ahead = [(provider, self._options(name)), PROVIDERS["cpu"]]
        if name == "tensorrt":
            ahead.insert(1, (PROVIDERS["cuda"], self._options("cuda")))
        return ort.InferenceSession(model, options, providers=ahead)

    def _options(self, name: str) -> dict[str, Any]:
        """What the provider is told (onnxruntime.ai, "CUDA Execution Provider")."""
        if name == "tensorrt":
            cache = {
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": self._running.engines,
            }
            return {"device_id": self._running.index, **(cache if self._running.engines else {})}
        return {
            "device_id": self._running.index,
            # The default tries every algorithm on the first picture of each new size.
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            **self._on_our_lane(),
        }

    def _on_our_lane(self) -> dict[str, Any]:
        if self._lane is None:
            return {}
        return {"has_user_compute_stream": "1", "user_compute_stream": str(self._lane.pointer)}


def _owned(output: Any) -> Any:
    """An output as a tensor. Of a device in memory of torch's: what is ONNX Runtime's own goes back
    to it when nobody holds it, and not when the lane that reads it is done (Lane.after).
    """
    tensor = torch.from_dlpack(output)
    return tensor.clone() if tensor.is_cuda else tensor


def _contiguous(fed: Any) -> Any:
    return np.ascontiguousarray(fed) if isinstance(fed, np.ndarray) else fed.contiguous()


def _first_line(said: Exception | str) -> str:
    return str(said).strip().partition("\n")[0][:300] or type(said).__name__
