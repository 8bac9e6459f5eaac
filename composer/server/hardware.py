"""The GPUs of this machine, as contract 2.7 spells them; an empty mapping where there are none."""

from collections.abc import Callable, Mapping
from typing import Any


def info() -> dict[str, Any]:
    """{"0": {id, name, memory_total, memory_free, major, minor}}, memory in bytes."""
    return _each(_described)


def stats() -> dict[str, Any]:
    """{"0": {id, name, memory_total, memory_free, utilization_compute, utilization_memory}}."""
    return _each(_used)


def _each(read: Callable[[Any, Any], Mapping[str, Any]]) -> dict[str, Any]:
    """One entry per GPU. Without NVIDIA's library or driver there is none to speak of."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]  # extra `gpu`
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(at) for at in range(pynvml.nvmlDeviceGetCount())
        ]
        return {
            str(at): {**_common(pynvml, handle), **read(pynvml, handle)}
            for at, handle in enumerate(handles)
        }
    finally:
        pynvml.nvmlShutdown()


def _common(nvml: Any, handle: Any) -> Mapping[str, Any]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "id": nvml.nvmlDeviceGetUUID(handle),
        "name": nvml.nvmlDeviceGetName(handle),
        "memory_total": memory.total,
        "memory_free": memory.free,
    }


def _described(nvml: Any, handle: Any) -> Mapping[str, Any]:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return {"major": major, "minor": minor}


def _used(nvml: Any, handle: Any) -> Mapping[str, Any]:
    rates = nvml.nvmlDeviceGetUtilizationRates(handle)
    return {"utilization_compute": rates.gpu, "utilization_memory": rates.memory}
