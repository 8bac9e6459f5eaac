"""No test of the engine may leave a thread of a run behind."""

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    threads = [thread.name for thread in threading.enumerate() if thread not in before]
    assert [name for name in threads if name.startswith(("stage ", "setup "))] == []
