"""A worker in a process of its own, as operators have it, and peers in theirs: what a flood costs
is counted where it is paid.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from composer.testing.orchestrator import Orchestrator, Stream
from tests.server.streams import numbers, pieces

BYOC: Final = str(Path(sys.executable).with_name("byoc"))

PIPELINE: Final = """
version: 1
capability: cap
nodes:
  source: {type: decode}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
"""

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """Another process of this machine."""

    pid: int
    address: str

    def memory(self) -> int:
        """Bytes that it holds now."""
        return self._status("VmRSS") * 1024

    def threads(self) -> int:
        return self._status("Threads")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def loop_seconds(self) -> float:
        """CPU that its first thread has taken: the one that the loop runs in."""
        stat = Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / TICKS

    def _status(self, key: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in text.splitlines() if line.startswith(key)).split()[1])


@contextmanager
def worker(
    folder: Path, text: str = PIPELINE, capacity: int = 8, port: int = 0
) -> Iterator[Process]:
    """`byoc serve` of a pipeline called cap; it ends with 0, unless the block kills it."""
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    command = [BYOC, "serve", "p.yaml", "--port", str(port), "--capacity", str(capacity)]
    environment = {**os.environ, "BYOC_DRAIN_S": "15"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=None, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split(" at ")[-1].strip()
            yield Process(process.pid, address)
            process.terminate()
            assert process.wait(40) in (0, -signal.SIGKILL)
        finally:
            process.kill()


@contextmanager
def peers(count: int, *words: str) -> Iterator[list[str]]:
    """Addresses of so many peers that lie, each in a process of its own."""
    with ExitStack() as stack:
        addresses = []
        for _ in range(count):
            command = [sys.executable, "-m", "composer.testing.peer", *words]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            addresses.append(process.stdout.readline().strip())
        yield addresses


@dataclass(frozen=True)
class Watched:
    """A worker, and the orchestrator whose sessions it has."""

    worker: Process
    orchestrator: Orchestrator

    async def start(self, name: str, **more: Any) -> Stream:
        stream = await self.orchestrator.start(
            "cap", stream_id=name, url=self.worker.address, **more
        )
        assert stream.status == 200, stream.answer
        return stream

    async def quiet(self, name: str, frames: int) -> float:
        """A session of so many numbered pictures, which all come back in order; the CPU that the
        loop took meanwhile, in seconds.
        """
        began = self.worker.loop_seconds()
        stream = await self.start(name)
        await stream.publish(pieces(25, loops=frames // 25))
        expected = list(range(25)) * (frames // 25)
        await stream.until(lambda: len(numbers(stream.output)) >= len(expected))
        spent = self.worker.loop_seconds() - began
        await stream.stop()
        assert numbers(stream.output) == expected
        return spent


@asynccontextmanager
async def watched(served: Process, most_memory: int = 64 << 20) -> AsyncIterator[Watched]:
    """Look after a worker while the block runs; what it holds afterwards is what it held before.

    most_memory: bytes that it may have more.
    """
    async with Orchestrator().serving() as orchestrator:
        here = Watched(served, orchestrator)
        await here.quiet("first", 25)
        memory, threads = served.memory(), served.threads()
        yield here
        for stream in list(orchestrator.streams.values()):
            await stream.stop()
        async with asyncio.timeout(20):
            while served.threads() > threads + 4:  # noqa: ASYNC110 - of pools, which stay
                await asyncio.sleep(0.1)
        assert served.memory() < memory + most_memory
