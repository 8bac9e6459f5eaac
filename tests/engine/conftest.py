"""No test of the engine may leave a thread of a run behind."""

import threading
from collections.abc import Iterator

import pytest

ENDING_SECONDS = 5.0
"""How long a thread may take behind the end of its work."""


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    threads = [thread for thread in threading.enumerate() if thread not in before]
    ours = [thread for thread in threads if thread.name.startswith(("stage ", "setup "))]
    for thread in ours:
        thread.join(ENDING_SECONDS)
    assert [thread.name for thread in ours if thread.is_alive()] == []
