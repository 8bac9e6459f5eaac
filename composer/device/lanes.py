"""Lane: one CUDA stream and what happens on it in order; plain no-ops on a CPU.

What a lane is given happens in order, on the device and behind the host's back. Two lanes wait for
each other there (`after`); the host waits at one place only (`Mark.wait`), and is counted.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from composer import lazy

with lazy.deferred():
    import torch

if TYPE_CHECKING:
    from types import TracebackType

host_waits = 0
"""How often a thread of this process has asked to wait for a device (`Mark.wait`)."""

_counting: Final = threading.Lock()


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


class Mark:
    """A point in what a lane was given: passed when the device is done with all before it."""

    __slots__ = ("event",)

    def __init__(self, event: Any = None) -> None:
        """event: torch.cuda.Event, None where there is nothing to wait for."""
        self.event: Final = event

    @property
    def passed(self) -> bool:
        """Asks and does not wait."""
        return self.event is None or bool(self.event.query())

    def wait(self) -> None:
        """Hold this thread up until the mark is passed: the only place where the host waits."""
        global host_waits
        with _counting:
            host_waits += 1
        if self.event is not None:
            self.event.synchronize()


PASSED: Final = Mark()


class Lane:
    """One CUDA stream of a device. Several threads may give to it, each inside `with lane:`."""

    def __init__(self, device: str) -> None:
        self.device: Final = device
        # Not the default one: onnxruntime takes its pointer, 0, for "none given".
        self._stream = torch.cuda.Stream(device) if is_cuda(device) else None
        self._entered = threading.local()

    def __enter__(self) -> "Lane":
        """What this thread does with torch on the device now happens on this lane."""
        if self._stream is not None:
            entered = torch.cuda.stream(self._stream)
            entered.__enter__()
            self._entered.__dict__.setdefault("contexts", []).append(entered)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: "TracebackType | None",
    ) -> None:
        if self._stream is not None:
            self._entered.contexts.pop().__exit__(kind, error, traceback)

    @property
    def pointer(self) -> int:
        """The cudaStream_t, as onnxruntime's `user_compute_stream` takes it; 0 on a CPU.

        The stream is torch's and lives as long as the process, also when the lane is closed.
        """
        return 0 if self._stream is None else int(self._stream.cuda_stream)

    def mark(self) -> Mark:
        """A mark behind all that the lane was given until now."""
        return _marked(self._stream)

    def after(self, mark: Mark, *tensors: "torch.Tensor") -> None:
        """What the lane is given from now on waits, on the device, for a mark of another lane.

        tensors: what it will read of the other lane's. Their memory goes back to that lane when
        nobody holds them, which without this could be while they are still read here.
        """
        if self._stream is None:
            return
        if mark.event is not None:
            self._stream.wait_event(mark.event)
        for tensor in tensors:
            tensor.record_stream(self._stream)

    def close(self) -> None:
        """Wait until the device is done with all that the lane was given. May be called twice."""
        if self._stream is not None:
            self.mark().wait()


def _marked(stream: Any) -> Mark:
    if stream is None:
        return PASSED
    event = torch.cuda.Event(blocking=True)  # a thread that waits sleeps, where it would spin
    event.record(stream)
    return Mark(event)


def enter(device: str) -> None:
    """Make torch's context of a device this thread's, for libraries that use what they find."""
    if is_cuda(device):
        torch.zeros(1, device=device)


def mark(device: str) -> Mark:
    """A mark behind all that the lane which this thread is on was given until now."""
    return _marked(torch.cuda.current_stream(device) if is_cuda(device) else None)


def reach(tensor: "torch.Tensor", mark: Mark) -> "torch.Tensor":
    """A tensor of another lane, for the lane that this thread is on: it waits for the mark."""
    if mark.event is not None:
        lane = torch.cuda.current_stream(tensor.device)
        lane.wait_event(mark.event)
        tensor.record_stream(lane)
    return tensor


def pointer(device: str) -> int:
    """The cudaStream_t of the lane which this thread is on; 0 on a CPU and for no lane."""
    return int(torch.cuda.current_stream(device).cuda_stream) if is_cuda(device) else 0


def with_decoder(device: str, read: "Callable[[], torch.Tensor]") -> "torch.Tensor":
    """What `read` gives, on the current lane, of memory that FFmpeg decodes into.

    FFmpeg gives its work, copies of its frames included, to the default stream and does not wait
    (libavcodec/nvdec.c, libavutil/hwcontext_cuda.c); torch's streams do not wait for that one by
    themselves. So the lane waits for what was decoded, and the decoder, which will use the memory
    again, for what was read: both on the device.
    """
    if not is_cuda(device):
        return read()
    lane, decoder = torch.cuda.current_stream(device), torch.cuda.default_stream(device)
    lane.wait_stream(decoder)
    picture = read()
    decoder.wait_stream(lane)
    return picture


@dataclass(eq=False, frozen=True, slots=True)
class _Kept:
    """A buffer that was given back. after: from when on nobody uses it."""

    buffer: "torch.Tensor"
    after: Mark


class Pinned:
    """A pool of host buffers that a device copies from and to without anybody waiting.

    On a CPU they are ordinary memory. Any thread may use it.
    """

    def __init__(self, device: str, most: int = 8) -> None:
        """most: buffers that it keeps. More than that are made for those who hold that many."""
        self.device: Final = device
        self._most = most
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    def borrow(self, size: int) -> "torch.Tensor":
        """(size,) uint8, whatever was in it before.

        Waits only where the device is as many buffers of this size behind as the pool keeps.
        """
        with self._lock:
            kept = self._found(size)
        if kept is None:
            with torch.inference_mode(mode=False):  # else nobody could write to it outside of that
                return torch.empty(size, dtype=torch.uint8, pin_memory=is_cuda(self.device))
        if not kept.after.passed:
            kept.after.wait()
        return kept.buffer

    def give_back(self, buffer: "torch.Tensor", after: Mark = PASSED) -> None:
        """after: the mark from which on the device does not use it any more."""
        with self._lock:
            self._kept.append(_Kept(buffer, after))
            if len(self._kept) > self._most:
                del self._kept[0]  # torch itself keeps memory that is still being copied

    def close(self) -> None:
        """Let go of what is kept. May be called twice."""
        with self._lock:
            self._kept.clear()

    def _found(self, size: int) -> _Kept | None:
        alike = [held for held in self._kept if len(held.buffer) == size]
        chosen = next((held for held in alike if held.after.passed), None)
        if chosen is None and len(alike) == self._most:
            chosen = alike[0]
        if chosen is not None:
            self._kept.remove(chosen)
        return chosen


@cache
def pinned(device: str) -> Pinned:
    """The pool that everybody in this process shares for a device."""
    return Pinned(device, most=32)
