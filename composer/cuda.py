"""CUDA devices: how many this machine has, asked of the driver alone."""

import ctypes
import importlib.util
from functools import cache

from composer.errors import DeviceMissing


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
    found = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(found)) != 0:
        return 0
    return found.value


def check(device: str) -> None:
    """Raises DeviceMissing for a CUDA device that the driver does not show."""
    if not device.startswith("cuda"):
        return
    found, index = count(), int(device.partition(":")[2] or 0)
    if index < found:
        return
    said = "no CUDA device" if not found else f"{found} CUDA devices, counted from 0"
    raise DeviceMissing(
        f"{device} was asked for, and the driver shows {said}; `device: auto` runs on the CPU then"
    )


@cache
def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def has(device: str) -> bool:
    """Whether this machine has cuda:0, say."""
    kind, _, index = device.partition(":")
    return kind != "cuda" or int(index or 0) < count()


def chosen(wanted: str, able: tuple[str, ...]) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:1` means for a node able to run on these."""
    if wanted == "auto":
        return "cuda:0" if "cuda" in able and count() else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted
