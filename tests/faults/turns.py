"""How long the loop of a test is at work without a turn for anybody else, in CPU time.

Wall time says how busy the machine is; CPU time says what was done.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass
class Turns:
    """The longest turn so far, in seconds."""

    longest: float = 0.0


@contextmanager
def counted() -> Iterator[Turns]:
    """Look at every turn that the loop gives, while the block runs."""
    turns = Turns()
    run: Callable[[Any], None] = asyncio.events.Handle._run

    def measured(handle: Any) -> None:
        began = time.thread_time()
        run(handle)
        turns.longest = max(turns.longest, time.thread_time() - began)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.events.Handle, "_run", measured)
        yield turns


def cost(work: Callable[[], object]) -> float:
    """What some work takes of this machine, in seconds of a CPU."""
    began = time.thread_time()
    work()
    return time.thread_time() - began
