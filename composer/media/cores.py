"""The cores of this machine, and turns at them for whoever encodes.

Many sessions at once would only interrupt each other, worst of all while one of them holds the
interpreter's lock: then all wait, readers and decoders, too. So only some encode at a time, and the
rest find out that they are late before they have worked on it.
"""

import os
from pathlib import Path
from queue import SimpleQueue
from typing import Final

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def count(quota: Path = _QUOTA) -> int:
    """Cores that this process may use: those it is bound to, or fewer where a container says so."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        runtime, period = quota.read_text().split()
        return max(1, min(bound or 1, round(int(runtime) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return bound or 1


SLICE_PIXELS: Final = 1280 * 720
"""What one thread encodes and decodes in less than a frame's time: more would only cost more."""

MOST_SLICES: Final = 8


def slices(pixels: int, sessions: int, cores: int) -> int:
    """Threads for one picture of a live stream, where so many sessions share so many cores.

    Each session has two codecs at work, so it gets half its share.
    """
    return max(1, min(round(pixels / SLICE_PIXELS), cores // (2 * sessions), MOST_SLICES))


class Turns:
    """So many may be inside at once; the others wait. threading's semaphore is written in Python,
    and this one is asked at every picture.
    """

    def __init__(self, most: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


ENCODING: Final = Turns(2 * count())
"""Held by whoever encodes a picture on the CPU. Twice as many as cores: no core waits while one
hands on to the next."""
