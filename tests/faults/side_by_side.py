"""The same faults for this worker and for pytrickle, one after the other.

    python -m tests.faults.side_by_side      # some ten minutes; pytrickle comes from PyPI

It writes side_by_side.json beside this file, which docs/reliability.md has as a table. pytrickle
has one stream at a time, so that none runs beside the fault: a caller asks how the worker is all
the while, and behind the fault comes a stream of numbered pictures.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientTimeout

from bench import contenders
from composer.testing.orchestrator import Orchestrator, Stream
from composer.trickle.http import Http, open_http
from tests.clips import ROOT
from tests.commands import free_port
from tests.faults import served
from tests.faults.bombs import BOMBS
from tests.faults.served import Process
from tests.server.streams import numbers, pieces

RESULTS: Final = Path(__file__).parent / "side_by_side.json"

INPUTS: Final[Mapping[str, str]] = {
    "numbers that jump": "segments_that_jump",
    "always told to be behind": "always_behind",
    "a number that is none": "numbers_that_are_none",
    "an answer that is no HTTP": "noise",
    "a segment that stands still": "silence_within",
    "a segment that breaks off": "cut_within",
    "empty segments without end": "empty_segments",
    "chunks of one byte without end": "tiny_chunks",
    "interim answers without end": "interim_answers",
    "a head without end": "endless_head",
    "stuffing without end": "endless_stuffing",
    "noise without end": "endless_noise",
}
"""Scripts of an input channel, by what the table calls them."""

OUTPUTS: Final[Mapping[str, str]] = {
    "an output that nobody takes": "unread",
    "an output that breaks off": "reset_while_written",
}

FAULT_SECONDS: Final = 6.0
ASKED_EVERY: Final = 0.1
PATIENCE_SECONDS: Final = 10.0
"""Who has no answer after so long gets none, and a picture that has not come is lost."""

READY_SECONDS: Final = 60.0
FRAMES: Final = 50
SIZE: Final = {"width": 64, "height": 48, "max_framerate": 60}
"""Of the numbered pictures; pytrickle wants to be told."""

BOMB_BYTES: Final = 4_000_000


@dataclass(frozen=True)
class Outcome:
    """wait_ms: the longest that a caller waited for /health. memory_mib: that it took more. back:
    pictures of the stream behind the fault, of FRAMES; None where it did not begin.
    """

    wait_ms: float
    memory_mib: float
    back: int | None


@contextmanager
def byoc() -> Iterator[Process]:
    """This worker, with room for one stream."""
    with tempfile.TemporaryDirectory() as folder, served.worker(Path(folder), capacity=1) as it:
        yield it


@contextmanager
def pytrickle() -> Iterator[Process]:
    """A worker of pytrickle, as `make bench` has it."""
    python = str(contenders.PEERS / "pytrickle" / "bin" / "python")
    script = str(ROOT / "bench" / "pytrickle_worker.py")
    command, nowhere = [python, script, str(port := free_port()), "pass"], subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere) as process:
        try:
            yield Process(process.pid, f"http://127.0.0.1:{port}")
        finally:
            process.kill()


WORKERS: Final = {"byoc": byoc, "pytrickle": pytrickle}


class Trial:
    """One worker and one fault."""

    def __init__(self, worker: Process, orchestrator: Orchestrator, http: Http) -> None:
        self.longest = 0.0
        """Seconds that a caller waited."""
        self._worker, self._orchestrator, self._http = worker, orchestrator, http

    async def run(self, faulty: Mapping[str, str]) -> Outcome:
        """A stream whose channels are these for a while, then an honest one."""
        await self._ready()
        await self._streamed("first")  # what is made once is not held
        before = self._worker.memory()
        async with self._asked():
            stream = await self._started("faulty", **faulty)
            await asyncio.sleep(FAULT_SECONDS)
            taken = self._worker.memory() - before
            await _stopped(stream)
        back = await self._streamed("next")
        return Outcome(round(self.longest * 1000, 1), round(taken / (1 << 20), 1), back)

    async def _ready(self) -> None:
        async with asyncio.timeout(READY_SECONDS):
            while not await self._ask():  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(ASKED_EVERY)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """A caller asks all the while."""

        async def ask() -> None:
            while True:
                await self._ask()
                await asyncio.sleep(ASKED_EVERY)

        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ask())
            yield
            await self._ask()  # while it stands, nobody has an answer
            asking.cancel()

    async def _ask(self) -> bool:
        """Whether it answers, and how long that takes."""
        began, patience = time.monotonic(), ClientTimeout(total=PATIENCE_SECONDS)
        url = f"{self._worker.address}/health"
        try:
            async with self._http.get(url, timeout=patience) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError):
            return False
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    async def _started(self, name: str, **channels: Any) -> Stream:
        return await self._orchestrator.start(
            "cap", stream_id=name, url=self._worker.address, params=SIZE, **channels
        )

    async def _streamed(self, name: str) -> int | None:
        """Pictures that come back of an honest stream."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                stream = await self._started(name)
        except (ClientError, TimeoutError):
            return None
        if stream.status != 200:
            return None
        await stream.publish(pieces(25, loops=FRAMES // 25))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await stream.until(lambda: len(numbers(stream.output)) >= FRAMES)
        await _stopped(stream)
        return sum(number is not None for number in numbers(stream.output))


async def _stopped(stream: Stream) -> None:
    with contextlib.suppress(TimeoutError, ClientError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stream.stop()


async def tried(name: str, faulty: Mapping[str, str]) -> Outcome:
    """In a worker of its own."""
    with WORKERS[name]() as worker:
        async with Orchestrator().serving() as orchestrator, open_http() as http:
            return await Trial(worker, orchestrator, http).run(faulty)


def faults(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """What the table calls it, the key of its channel, and the words of its peer."""
    for name, script in INPUTS.items():
        yield name, "subscribe_url", ["--get", script]
    for name, script in OUTPUTS.items():
        yield name, "publish_url", ["--post", script]
    for name, make in sorted(BOMBS.items()):
        path = folder / name
        path.write_bytes(make(BOMB_BYTES))
        said = f"{BOMB_BYTES // 1_000_000} MB of {name.replace('_', ' ')}"
        yield said, "subscribe_url", ["--get", "once", "--data", str(path)]


def main() -> None:
    """The command."""
    contenders.install()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fault, key, words in faults(Path(folder)):
            found[fault] = {}
            for name in WORKERS:
                with served.peers(1, *words) as at:
                    outcome = asyncio.run(tried(name, {key: f"{at[0]}/x"}))
                found[fault][name] = asdict(outcome)
                sys.stdout.write(f"{fault}: {name}: {outcome}\n")
                sys.stdout.flush()
    told = {
        "on": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "peer": contenders.PYTRICKLE,
        "frames": FRAMES,
        "seconds": FAULT_SECONDS,
        "faults": found,
    }
    RESULTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
