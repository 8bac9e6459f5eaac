"""PyTorch: an exported program, a class with weights, or TorchScript, as an Engine."""

import io
import logging
import threading
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from composer import lazy
from composer.models.engine import ModelFailed
from composer.models.onnxfile import Signature, Value

with lazy.deferred():
    import numpy as np
    import torch

    from composer.device import lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

log: Final = logging.getLogger(__name__)

Precision: TypeAlias = Literal["float32", "float16", "bfloat16"]

SAFE_SINCE: Final = (2, 10)
"""The oldest PyTorch that we have pickles read by: of older ones `weights_only` had holes."""

CUDA_GRAPH_WARMUPS: Final = 3
"""Runs before a CUDA graph is recorded: libraries choose their algorithms in the first ones."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a module is to run."""

    device: str = "cpu"
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False
    cuda_graph: bool = False


def exported(data: bytes, device: str = "cpu") -> "tuple[torch.nn.Module, Signature]":
    """The module of a torch.export file (.pt2), for a device. It is code: PyTorch unpickles parts
    of it whatever they hold, and evaluates others. Raises ModelFailed.

    A program remembers where it was exported: what it makes itself is moved, too.
    """
    import torch.export.passes

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given buffer is not writable")  # it is copied
            program = torch.export.load(io.BytesIO(data))
        program = torch.export.passes.move_to_device_pass(program, device)
    except Exception as exc:
        raise ModelFailed(f"PyTorch cannot load the exported program: {_line(exc)}") from exc
    return program.module(), _signature(program)


def scripted(data: bytes) -> "torch.nn.Module":
    """The module of a TorchScript file, which is code. Raises ModelFailed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # whoever asks for it was told
            module: torch.nn.Module = torch.jit.load(io.BytesIO(data), map_location="cpu")
    except Exception as exc:
        raise ModelFailed(f"PyTorch cannot load the TorchScript: {_line(exc)}") from exc
    return module


def built(
    cls: Callable[..., Any], arguments: Mapping[str, Any], weights: "Mapping[str, torch.Tensor]"
) -> "torch.nn.Module":
    """A module of a class, with its weights. Raises ModelFailed where they do not fit.

    A class that knows its weights by other names has a static method adapt(weights) -> weights.
    """
    try:
        module = cls(**arguments)
    except Exception as exc:
        raise ModelFailed(f"{cls.__name__}() failed: {_line(exc)}") from exc
    if not isinstance(module, torch.nn.Module):
        raise ModelFailed(f"{cls.__name__} is no torch.nn.Module")
    if not weights:
        return module
    adapt = getattr(cls, "adapt", None)
    if adapt is not None:
        weights = adapt(weights)
    elif all(name.startswith("module.") for name in weights):
        # As torch.nn.DataParallel writes them.
        weights = {name.removeprefix("module."): each for name, each in weights.items()}
    try:
        module.load_state_dict(dict(weights), strict=True)
    except RuntimeError as exc:
        raise ModelFailed(f"the weights do not fit {cls.__name__}: {_line(exc, 400)}") from exc
    return module


def tensors(data: bytes, suffix: str) -> "dict[str, torch.Tensor]":
    """Names and tensors of a file of weights: safetensors, npz, or what torch.save() wrote.

    The last is read with weights_only=True, and with nothing else when that refuses it. None of
    them runs anything. Raises ModelFailed.
    """
    read = _READERS.get(suffix, _unpickled)
    try:
        return read(data)
    except ModelFailed:
        raise
    except Exception as exc:
        raise ModelFailed(f"the weights cannot be read: {_line(exc)}") from exc


def _safe(data: bytes) -> "dict[str, torch.Tensor]":
    import safetensors.torch

    found: dict[str, torch.Tensor] = safetensors.torch.load(data)
    return found


def _zipped(data: bytes) -> "dict[str, torch.Tensor]":
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}


def _unpickled(data: bytes) -> "dict[str, torch.Tensor]":
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_SINCE:
        since = ".".join(map(str, SAFE_SINCE))
        raise ModelFailed(
            f"PyTorch {torch.__version__} cannot be trusted to read it without running what it"
            f" holds: install {since} or newer, or save its state_dict() as safetensors"
        )
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as exc:
        raise ModelFailed(
            "it holds more than weights, and running what it holds is not safe;"
            f" save its state_dict() as safetensors ({_line(exc, 120)})"
        ) from exc
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise ModelFailed("it is no state_dict: names and their tensors")
    return dict(found)


_READERS: Final[Mapping[str, Callable[[bytes], dict[str, Any]]]] = {
    ".safetensors": _safe,
    ".npz": _zipped,
}


def _line(exc: Exception, most: int = 200) -> str:
    return " ".join(str(exc).split())[:most] or type(exc).__name__


def _signature(program: "torch.export.ExportedProgram") -> Signature:
    """What an exported program takes, by the names and shapes that it was exported with."""
    wanted = list(program.graph_signature.user_inputs)
    metas = {node.name: node.meta.get("val") for node in program.graph.nodes}
    given = [str(each) for each in program.graph_signature.user_outputs]
    inputs = tuple(_value(str(name), metas.get(str(name))) for name in wanted)
    outputs = tuple(_value(name, metas.get(name)) for name in given)
    outputs = tuple(replace(each, name=str(at)) for at, each in enumerate(outputs))
    return Signature(inputs, outputs)


def _value(name: str, meta: Any) -> Value:
    if not isinstance(meta, torch.Tensor):
        return Value(name, "", None)
    shape = tuple(extent if isinstance(extent, int) else str(extent) for extent in meta.shape)
    return Value(name, str(meta.dtype).removeprefix("torch."), shape)


class TorchModel:
    """A module that was put on its device. Always runs in inference mode."""

    def __init__(
        self, module: "torch.nn.Module", signature: Signature, tuning: Tuning, kind: str
    ) -> None:
        """Raises ModelFailed where the device is not there."""
        self.signature: Final = signature
        self._tuning, self._kind = tuning, kind
        self.warmed: set[Hashable] = set()
        self.logits: set[str] = set()
        self._turn = threading.Lock()
        self._fallbacks: dict[str, str] = {}
        if tuning.device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelFailed(f"PyTorch sees no CUDA device, and {tuning.device} was asked for")
        self._dtype = getattr(torch, tuning.precision)
        self._device = torch.device(tuning.device)
        self._lane: Final = lanes.Lane(tuning.device)
        # Exported programs are in evaluation mode, and refuse to be told.
        module = module if kind == "export" else module.eval()
        with self._lane:
            module = module.to(self._device)
            if tuning.precision != "float32":
                module = module.to(self._dtype)
            if tuning.channels_last:
                module = module.to(memory_format=torch.channels_last)
        self._plain = module
        self._call: Callable[..., Any] = module
        if tuning.compile:
            self._call = torch.compile(module)
        self._graphs: dict[Any, _Recorded] = {}

    @property
    def about(self) -> Mapping[str, Any]:
        about: dict[str, Any] = {
            "engine": f"torch {torch.__version__}",
            "device": str(self._device),
            "precision": self._tuning.precision,
        }
        if self._device.type == "cuda":
            about["memory_mb"] = round(torch.cuda.memory_allocated(self._device) / 2**20)
        return about | self._fallbacks

    def run(
        self, feeds: "Mapping[str, NDArray[Any]]", outputs: Sequence[str]
    ) -> "dict[str, NDArray[Any]]":
        with self._turn, self._lane, torch.inference_mode():
            given = [self._up(feeds[each.name]) for each in self.signature.inputs]
            return {name: self._down(each) for name, each in self._run(given, outputs).items()}

    @property
    def lane(self) -> "lanes.Lane":
        return self._lane

    def run_there(self, feeds: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        with self._turn, torch.inference_mode():
            given = [self._there(feeds[each.name]) for each in self.signature.inputs]
            return self._run(given, outputs)

    def _there(self, fed: Any) -> "torch.Tensor":
        """A tensor as the module wants it: arrays go up, and stay in order on this lane."""
        if isinstance(fed, np.ndarray):
            return self._up(fed)
        wanted = self._dtype if fed.is_floating_point() else fed.dtype
        tensor = fed.to(self._device, wanted, non_blocking=True)
        if self._tuning.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def close(self) -> None:
        self._lane.close()
        self._graphs.clear()
        del self._call, self._plain
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _up(self, array: "NDArray[Any]") -> "torch.Tensor":
        return self._there(torch.from_numpy(np.ascontiguousarray(array)))

    def _down(self, tensor: "torch.Tensor") -> "NDArray[Any]":
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        array: NDArray[Any] = tensor.cpu().numpy()
        return array

    def _run(
        self, given: "list[torch.Tensor]", outputs: Sequence[str]
    ) -> "dict[str, torch.Tensor]":
        if self._tuning.cuda_graph and self._device.type == "cuda":
            # The graph writes its outputs to the same place each time.
            named = _named(self._recorded(given), outputs)
            return {name: each.clone() for name, each in named.items()}
        return _named(self._called(given), outputs)

    def _called(self, given: "list[torch.Tensor]") -> Any:
        if self._call is self._plain:
            return self._roomily(given)
        try:
            return self._call(*given)
        except Exception as exc:  # noqa: BLE001 - compilers raise whatever they like
            # Whether it was the compiler or the model, the model itself will say.
            result = self._plain(*given)
            self._call = self._plain
            self._fell_back("compile", exc)
            return result

    def _roomily(self, given: "list[torch.Tensor]") -> Any:
        """The module's outputs; tried once more when there was no memory, with the cache let go."""
        try:
            return self._plain(*given)
        except torch.OutOfMemoryError:
            if self._device.type != "cuda":
                raise
            log.warning("no memory on %s for a call; what torch kept for later goes", self._device)
            torch.cuda.empty_cache()
            return self._plain(*given)

    def _recorded(self, given: "list[torch.Tensor]") -> Any:
        key = tuple((tuple(each.shape), each.dtype) for each in given)
        if key not in self._graphs and "cuda_graph" not in self._fallbacks:
            try:
                self._graphs[key] = _Recorded(self._called, given)
            except Exception as exc:  # noqa: BLE001 - what cannot be recorded can still be run
                self._fell_back("cuda_graph", exc)
        found = self._graphs.get(key)
        return self._called(given) if found is None else found(given)

    def _fell_back(self, what: str, exc: Exception) -> None:
        log.warning("%s is not possible here, so the model runs without: %s", what, _line(exc))
        self._fallbacks[what] = f"no: {_line(exc, 120)}"


class _Recorded:
    """A CUDA graph of one call, for inputs of one shape (pytorch.org, "CUDA Graphs")."""

    def __init__(
        self, call: "Callable[[list[torch.Tensor]], Any]", given: "list[torch.Tensor]"
    ) -> None:
        self._inputs = [each.clone() for each in given]
        lane = torch.cuda.Stream()
        lane.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(lane):
            for _ in range(CUDA_GRAPH_WARMUPS):
                call(self._inputs)
        torch.cuda.current_stream().wait_stream(lane)
        self._graph = torch.cuda.CUDAGraph()
        # By default what other threads ask of CUDA fails meanwhile, and the recording with it.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = call(self._inputs)

    def __call__(self, given: "list[torch.Tensor]") -> Any:
        for kept, new in zip(self._inputs, given, strict=True):
            kept.copy_(new, non_blocking=True)
        self._graph.replay()
        return self._outputs


def _named(given: Any, outputs: Sequence[str]) -> "dict[str, torch.Tensor]":
    """What a module returned, by name: its own names, or the wanted ones in their order.

    Raises ModelFailed.
    """
    if hasattr(given, "_asdict"):
        given = given._asdict()
    if isinstance(given, torch.Tensor):
        given = (given,)
    if isinstance(given, Mapping):
        missing = [name for name in outputs if name and name not in given]
        if missing:
            known = ", ".join(map(str, given))
            raise ModelFailed(f"the model gives {known}, and no {missing[0]!r}")
        names = [name for name in outputs if name] or list(given)
        return {name: given[name] for name in names}
    if not isinstance(given, Sequence) or not all(isinstance(v, torch.Tensor) for v in given):
        raise ModelFailed(f"the model gives {type(given).__name__}, which holds no tensors")
    if len(outputs) > len(given):
        raise ModelFailed(f"the model gives {len(given)} tensors, and {len(outputs)} are wanted")
    names = list(outputs) or [str(at) for at in range(len(given))]
    numbered = {str(at): each for at, each in enumerate(given)}
    if all(name in numbered for name in names):
        return {name: numbered[name] for name in names}
    return dict(zip(names, given, strict=False))
