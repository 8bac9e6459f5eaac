"""CUDA devices: how many this machine has, asked of the driver alone."""

import ctypes
from functools import cache


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


def chosen(wanted: str, able: tuple[str, ...]) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:1` means for a node able to run on these."""
    if wanted == "auto":
        return "cuda:0" if "cuda" in able and count() else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted
