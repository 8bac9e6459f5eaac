"""Drives a worker over trickle and says what came back, when, and at what cost."""

import asyncio
import math
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import av

from bench.clips import RATE, Clip, number_of, units
from bench.contenders import BYOC, Contender
from bench.process import family_cpu_of, family_memory_of, peak_of
from composer.media.mpegts.demuxer import Demuxer
from composer.media.packets import packet_of

TAIL_SECONDS: Final = 1.0
"""How long the last pictures of a run are waited for before the stream is stopped."""

READY_SECONDS: Final = 60.0

MOST_ASKED: Final = 256
"""Changes of params that are on their way at once."""


@dataclass(frozen=True)
class Seen:
    """What one run showed.

    latency: seconds of each picture, from its last byte sent to its last byte back. cpu: seconds of
    the worker, from when it was ready. steady: of those, what each picture took from the second
    second of the stream to its last picture. memory: its peak in bytes. family_memory: what it and
    all that it began had in memory at the last picture, where what they share counts once. first:
    seconds from the first byte sent to the first one back. ready: from the start of the process
    until it takes streams. fps: pictures per second that came back. patched: changes of params that
    were answered. sound: packets that came back. kept: of those, how many are bit for bit as sent.
    """

    sent: int
    back: int
    ordered: bool
    latency: tuple[float, ...]
    cpu: float
    steady: float
    memory: int
    family_memory: int
    first: float
    ready: float
    fps: float
    patched: int
    sound: int
    kept: int


SUFFIXES: Final = ("", "-out", "-control", "-events")
"""Of the channels of a stream: what goes in, what comes out, what is asked, what is told."""


def start_body(base: str, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What asks a worker for a stream (contract 2.3). base: of the trickle server."""
    channel = f"{base}/{name}"
    return {
        "gateway_request_id": name,
        "control_url": channel + "-control",
        "events_url": channel + "-events",
        "subscribe_url": channel,
        "publish_url": channel + "-out",
        "params": dict(params),
    }


@dataclass(frozen=True)
class Drive:
    """How a run is driven. flat_out: as fast as pictures come back, instead of in real time.
    patches: changes of params per second. patch: what one sets.
    """

    flat_out: bool = False
    patches: float = 0.0
    patch: tuple[tuple[str, Any], ...] = ()


async def run(contender: Contender, clip: Clip, drive: Drive = Drive()) -> Seen:
    """One worker, and the clip through it."""
    async with trickle() as base, worker(contender) as (address, pid, ready):
        before = family_cpu_of(pid)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            used, present = partial(family_cpu_of, pid), partial(family_memory_of, pid)
            session = _Session(http, base, address, clip, contender, drive, used, present)
            await session.run()
        cpu, memory = family_cpu_of(pid) - before, peak_of(pid)
    session.look()
    settled = len(clip.pictures) - RATE
    return Seen(
        sent=len(clip.pictures),
        back=len(session.came),
        ordered=list(session.came) == sorted(session.came),
        latency=tuple(session.latency()),
        cpu=cpu,
        steady=(session.ended - session.settled) / settled if settled > 0 else math.nan,
        memory=memory,
        family_memory=session.memory,
        first=session.first,
        ready=ready,
        fps=session.fps(),
        patched=session.patched,
        sound=session.sound,
        kept=session.kept,
    )


@asynccontextmanager
async def trickle() -> AsyncIterator[str]:
    """A trickle server in a process of its own; gives its address."""
    server = await asyncio.create_subprocess_exec(
        BYOC, "trickle", "--port", "0", stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        yield (await server.stdout.readline()).decode().split()[-1]
    finally:
        server.terminate()
        await server.wait()


@asynccontextmanager
async def worker(contender: Contender) -> AsyncIterator[tuple[str, int, float]]:
    """A worker that listens: its address, its process, and the seconds that it took."""
    port = free_port()
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(part.format(port=port) for part in contender.command),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _until_ready(process, port)
        yield f"http://127.0.0.1:{port}", process.pid, time.perf_counter() - began
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_ready(process: "asyncio.subprocess.Process", port: int) -> None:
    """Until it says that it loads nothing more (contract 2.6): what it loads is no picture's."""
    async with aiohttp.ClientSession() as http:
        while process.returncode is None:
            try:
                async with http.get(f"http://127.0.0.1:{port}/health") as answer:
                    if (await answer.json(content_type=None))["status"] in ("IDLE", "OK"):
                        return
            except (OSError, aiohttp.ClientError):
                pass  # it does not listen yet
            await asyncio.sleep(0.01)  # only asking again tells
    raise RuntimeError(f"the worker ended with {process.returncode}")


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


class _Session:
    """One stream: a sender, and a reader that only notes bytes and times."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        worker: str,
        clip: Clip,
        contender: Contender,
        drive: Drive,
        used: Callable[[], float],
        present: Callable[[], int],
    ) -> None:
        self.memory = 0
        self.settled = self.ended = 0.0
        """Seconds of CPU of the worker when the second second began, and when the last was back."""
        self.sound = self.kept = 0
        self._used, self._present = used, present
        self.sent: list[float] = []
        self.came: dict[int, float] = {}
        self.first = 0.0
        self._http, self._base, self._worker, self._clip = http, base, worker, clip
        self._name, self._contender, self._drive = "stream", contender, drive
        self._chunks: list[tuple[float, bytes]] = []
        self._counting = Demuxer() if drive.flat_out else None
        self._back = 0
        self._room = asyncio.Event()
        self.patched = 0
        self._asking = asyncio.Semaphore(MOST_ASKED)

    async def run(self) -> None:
        for suffix in SUFFIXES:
            async with self._http.post(f"{self._base}/{self._name}{suffix}"):
                pass
        channel = f"{self._base}/{self._name}"
        body = start_body(self._base, self._name, self._contender.params)
        async with self._http.post(self._worker + "/stream/start", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{self._contender.name}: {await answer.text()}")
        reading = asyncio.ensure_future(self._read(channel + "-out"))
        patching = asyncio.ensure_future(self._patch())
        async with self._http.post(channel + "/0", data=self._send()):
            pass
        patching.cancel()
        await asyncio.wait({patching})
        await self._wait_for_the_last()
        self.ended, self.memory = self._used(), self._present()
        headers = {"X-Stream-Id": self._name}
        async with self._http.post(self._worker + "/stream/stop", headers=headers):
            pass
        async with self._http.delete(channel + "-out"):
            pass
        await reading

    async def _send(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, data in enumerate(self._clip.pictures):
            if self._drive.flat_out:
                await self._until_room()
            else:
                await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
            if number == RATE:
                self.settled = self._used()
            yield data
            self.sent.append(time.perf_counter())

    async def _until_room(self) -> None:
        """Wait until few enough are on their way; one that does not come back counts as lost."""
        while len(self.sent) - self._back >= self._contender.in_flight:
            self._room.clear()
            try:
                async with asyncio.timeout(TAIL_SECONDS):
                    await self._room.wait()
            except TimeoutError:
                self._back += 1

    async def _patch(self) -> None:
        """Change params so many times a second, each with another value."""
        if not self._drive.patches:
            return
        loop, number = asyncio.get_running_loop(), 0
        began = loop.time()
        async with asyncio.TaskGroup() as group:  # an answer waits for the frame that it holds from
            while True:
                number += 1
                await asyncio.sleep(max(0.0, began + number / self._drive.patches - loop.time()))
                await self._asking.acquire()
                group.create_task(self._ask(number))

    async def _ask(self, number: int) -> None:
        values = {name: value + number % 100 / 1000 for name, value in self._drive.patch}
        headers = {"X-Stream-Id": self._name}
        try:
            async with self._http.post(
                self._worker + "/stream/params", json=values, headers=headers
            ) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
                self.patched += 1
        finally:
            self._asking.release()

    async def _wait_for_the_last(self) -> None:
        """Until nothing has come for a while."""
        seen = -1
        while seen != len(self._chunks):
            seen = len(self._chunks)
            await asyncio.sleep(TAIL_SECONDS / 2)

    async def _read(self, channel: str) -> None:
        seq = 0
        while True:
            async with self._http.get(f"{channel}/{seq}") as answer:
                if answer.status != 200 or "Lp-Trickle-Closed" in answer.headers:
                    return
                async for chunk in answer.content.iter_any():
                    self._chunks.append((time.perf_counter(), chunk))
                    if self._counting is not None:
                        units = self._counting.feed(chunk)
                        self._back += sum(unit.track.kind == "video" for unit in units)
                        self._room.set()
            seq += 1

    def look(self) -> None:
        """Which picture came back when: afterwards, so that it costs nothing while it is timed."""
        demuxer, decoder = Demuxer(), av.CodecContext.create("h264", "r")
        self.first = (self._chunks[0][0] if self._chunks else time.perf_counter()) - self.sent[0]
        heard = {unit.data for unit in units(self._clip.data, "audio")}
        for at, chunk in self._chunks:
            for unit in demuxer.feed(chunk):
                if unit.track.kind != "video":
                    self.sound += 1
                    self.kept += unit.data in heard
                    continue
                for image in decoder.decode(packet_of(unit.data)):
                    assert isinstance(image, av.VideoFrame)
                    number = number_of(image)
                    if number is not None:
                        self.came.setdefault(number, at)

    def latency(self) -> list[float]:
        return [
            at - self.sent[number] for number, at in self.came.items() if number < len(self.sent)
        ]

    def fps(self) -> float:
        times = list(self.came.values())
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
