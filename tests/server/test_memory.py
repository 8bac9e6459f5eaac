"""Freed memory goes back to the system."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from composer.server import memory


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks glibc")
@pytest.mark.fault("F-73")
def test_what_threads_had_goes_back() -> None:
    kept: list[object] = []

    def fill() -> None:
        held = [np.ones(10_000) for _ in range(2000)]  # 160 MB in pieces below the mmap threshold
        kept.append(held[-1])  # what lies last keeps the rest from being trimmed by itself

    threads = [threading.Thread(target=fill) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = resident()
    memory.give_back()
    assert resident() < before - 50_000_000
