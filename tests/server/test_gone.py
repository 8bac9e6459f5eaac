"""An ended session is gone at once: nothing waits for Python's collector, which may be long."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import ROOT
from tests.faults import served
from tests.server.streams import both, numbers, pieces, ran


@both
@pytest.mark.parametrize("kind", ["stopped", "failed"])
def test_nothing_of_it_is_left_when_it_has_ended(kind: str, isolation: str) -> None:
    command = [sys.executable, "-m", "tests.server.gone", kind, isolation]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fifty_large_sessions_with_sound_leave_the_worker_as_it_was(tmp_path: Path) -> None:
    """Of 1080p: what one of them holds would be seen."""
    given = pieces(5, width=1920, height=1080, sound="libopus")

    async def test() -> None:
        with served.worker(tmp_path, served.PIPELINE, capacity=2) as worker:
            async with served.watched(worker, most_memory=32 << 20) as here:

                async def one(name: str) -> None:
                    stream = await here.start(name)
                    await stream.publish(given, speed=0)
                    await stream.until(lambda: len(numbers(stream.output)) == 5)
                    await stream.stop()
                    del here.orchestrator.streams[name]

                for number in range(10):  # pools fill, and caches
                    await one(f"warm-{number}")
                before = worker.threads(), worker.memory()
                for number in range(50):
                    await one(f"session-{number}")
                assert worker.threads() <= before[0]
                assert worker.memory() < before[1] + (16 << 20)

    ran(test, 280)
