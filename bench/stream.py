"""Drives a worker over trickle in real time and says what came back, when, and at what cost."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import av

from bench.clips import RATE, Clip, number_of
from composer.media.mpegts import Demuxer

BYOC: Final = str(Path(sys.executable).with_name("byoc"))
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """What one run showed. latency: seconds of each picture, from its last byte sent to its last
    byte back. cpu: seconds of the worker. memory: its peak in bytes. first: seconds from the first
    byte sent to the first one back.
    """

    sent: int
    back: int
    latency: tuple[float, ...]
    cpu: float
    memory: int
    first: float
    ready: float


async def run(pipeline: Path, clip: Clip, sessions: int = 1) -> Seen:
    """One worker, so many sessions of the clip at once, in real time."""
    async with trickle() as base:
        began = time.perf_counter()
        worker = await asyncio.create_subprocess_exec(
            *(BYOC, "serve", str(pipeline), "--port", "0", "--capacity", str(sessions)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert worker.stdout is not None
            address = (await worker.stdout.readline()).decode().split()[-1]
            ready = time.perf_counter() - began
            before = cpu_of(worker.pid)
            async with aiohttp.ClientSession() as http:
                names = [f"s{number}" for number in range(sessions)]
                found = await asyncio.gather(
                    *(_Session(http, base, address, clip, name).run() for name in names)
                )
            cpu, memory = cpu_of(worker.pid) - before, peak_of(worker.pid)
        finally:
            worker.terminate()
            await worker.wait()
    latency = tuple(each for one in found for each in one.latency())
    return Seen(
        sent=sessions * len(clip.pictures),
        back=sum(len(one.came) for one in found),
        latency=latency,
        cpu=cpu,
        memory=memory,
        first=max(one.first for one in found),
        ready=ready,
    )


@asynccontextmanager
async def trickle() -> AsyncIterator[str]:
    server = await asyncio.create_subprocess_exec(
        BYOC, "trickle", "--port", "0", stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        yield (await server.stdout.readline()).decode().split()[-1]
    finally:
        server.terminate()
        await server.wait()


class _Session:
    """One stream: a sender, and a reader that only notes bytes and times."""

    def __init__(
        self, http: aiohttp.ClientSession, base: str, worker: str, clip: Clip, name: str
    ) -> None:
        self.sent: list[float] = []
        self.came: dict[int, float] = {}
        self.first = 0.0
        self._http, self._base, self._worker, self._clip, self._name = (
            http,
            base,
            worker,
            clip,
            name,
        )
        self._chunks: list[tuple[float, bytes]] = []

    async def run(self) -> "_Session":
        for suffix in ("", "-out", "-control", "-events"):
            async with self._http.post(f"{self._base}/{self._name}{suffix}"):
                pass
        channel = f"{self._base}/{self._name}"
        body = {
            "gateway_request_id": self._name,
            "control_url": channel + "-control",
            "events_url": channel + "-events",
            "subscribe_url": channel,
            "publish_url": channel + "-out",
            "params": None,
        }
        async with self._http.post(self._worker + "/stream/start", json=body) as answer:
            assert answer.status == 200, await answer.text()
        reading = asyncio.ensure_future(self._read(channel + "-out"))
        async with self._http.post(channel + "/0", data=self._send()):
            pass
        headers = {"X-Stream-Id": self._name}
        async with self._http.post(self._worker + "/stream/stop", headers=headers):
            pass
        async with self._http.delete(channel + "-out"):
            pass
        await reading
        self._look()
        return self

    async def _send(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, data in enumerate(self._clip.pictures):
            await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
            yield data
            self.sent.append(time.perf_counter())

    async def _read(self, channel: str) -> None:
        seq = 0
        while True:
            async with self._http.get(f"{channel}/{seq}") as answer:
                if answer.status != 200 or "Lp-Trickle-Closed" in answer.headers:
                    return
                async for chunk in answer.content.iter_any():
                    self._chunks.append((time.perf_counter(), chunk))
            seq += 1

    def _look(self) -> None:
        """Which picture came back when: afterwards, so that it costs nothing while it is timed."""
        demuxer, decoder = Demuxer(), av.CodecContext.create("h264", "r")
        self.first = (self._chunks[0][0] if self._chunks else time.perf_counter()) - self.sent[0]
        for at, chunk in self._chunks:
            for unit in demuxer.feed(chunk):
                if unit.track.kind != "video":
                    continue
                for image in decoder.decode(av.Packet(unit.data)):
                    assert isinstance(image, av.VideoFrame)
                    number = number_of(image)
                    if number is not None:
                        self.came.setdefault(number, at)

    def latency(self) -> list[float]:
        return [
            at - self.sent[number] for number, at in self.came.items() if number < len(self.sent)
        ]


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_of(pid: int) -> int:
    """The most memory that it had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def ffmpeg(clip: Clip, filters: str, folder: Path, *, paced: bool = False) -> float:
    """Seconds of CPU that FFmpeg needs for the same work, without any wire.

    paced: in real time, as the worker does it: a core that sleeps in between needs more for each.
    """
    path = folder / f"{clip.name}.ts"
    path.write_bytes(clip.data)
    command = [
        *("ffmpeg", "-v", "error", "-y", "-threads", "1"),
        *(("-re",) if paced else ()),
        *("-i", str(path)),
        *(("-vf", filters) if filters else ()),
        *("-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-bf", "0"),
        *("-g", "60", "-threads", "1", "-f", "mpegts", str(folder / "out.ts")),
    ]
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    return (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )


def cores() -> int:
    return len(os.sched_getaffinity(0))


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2)
