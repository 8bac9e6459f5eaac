"""CUDA devices: how many this machine has, asked of the driver alone, and whether one is lost."""

import ctypes
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from composer.errors import DeviceMissing, words_of

_FATAL: Final = "|".join(
    (
        "an illegal memory access was encountered",
        "the launch timed out and was terminated",
        "device-side assert triggered",
        "hardware stack error",
        "an illegal instruction was encountered",
        "misaligned address",
        "operation not supported on global/shared address space",
        "invalid program counter",
        "unspecified launch failure",
        "uncorrectable ECC error encountered",
        "uncorrectable NVLink error detected during the execution",
    )
)
"""Errors after which "any further CUDA work will return the same error" until "the process must be
terminated and relaunched" (CUDA Runtime API, cudaError 700 to 719), and those of broken hardware,
as cudaGetErrorString says them.
"""

_TORCH: Final = re.compile(rf"CUDA error: ({_FATAL})")
_ONNXRUNTIME: Final = re.compile(rf"CUDA failure \d+: ({_FATAL})")


@cache
def count() -> int:
    """Number of CUDA devices that the driver shows; 0 where there is no driver.

    Loads libcuda and nothing else, so that a plan can say where it will run without torch or
    onnxruntime (cuInit, cuDeviceGetCount of the CUDA driver API).
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    devices = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(devices)) != 0:
        return 0
    return devices.value


def check(device: str) -> None:
    """Raises DeviceMissing for a CUDA device that the driver does not show."""
    if not device.startswith("cuda"):
        return
    devices, index = count(), int(device.partition(":")[2] or 0)
    if index < devices:
        return
    there = "no CUDA device" if not devices else f"{devices} CUDA devices, counted from 0"
    raise DeviceMissing(
        f"{device} was asked for, and the driver shows {there}; `device: auto` runs on the CPU then"
    )


@cache
def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def has(device: str) -> bool:
    """Whether this machine has cuda:0, say."""
    kind, _, index = device.partition(":")
    return kind != "cuda" or int(index or 0) < count()


def chosen(wanted: str, able: tuple[str, ...], needs: tuple[str, ...] = ()) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:1` means for a node able to run on these.

    needs: packages that it works with, as Node.needs has them. What is installed of them may be
    built for the CPU alone; then that is what `auto` means.
    """
    if wanted == "auto":
        here = "cuda" in able and count() and all(map(built, needs))
        return "cuda:0" if here else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted


@cache
def built(need: str) -> bool:
    """Whether a package is installed in a build for CUDA; it is not loaded."""
    if need == "onnxruntime":
        return (
            next(iter(importlib.metadata.distributions(name="onnxruntime-gpu")), None) is not None
        )
    if need != "torch":
        return True
    spec = importlib.util.find_spec(need)
    if spec is None or spec.origin is None:
        return False
    # torch writes down what it was built with, and with None for a build without CUDA.
    version = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^cuda\b[^=\n]*= *['\"]", version, re.MULTILINE) is not None


def lost(exc: BaseException) -> bool:
    """Whether an exception, or what it came from, says that a device does nothing more for this
    process. Too little memory is no such thing: what came next would go well.
    """
    return any(_fatal(cause) for cause in _with_causes(exc))


def _fatal(exc: BaseException) -> bool:
    if isinstance(exc, RuntimeError):  # torch raises it, and a class of it since 2.8
        return _TORCH.match(words_of(exc)) is not None
    ours = type(exc).__module__.startswith("onnxruntime")
    return ours and _ONNXRUNTIME.search(words_of(exc)) is not None


def _with_causes(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        yield exc
        seen.add(id(exc))
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
