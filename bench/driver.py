"""Drives many sessions at once from one loop, as cheaply as it can: it shares the worker's cores.

    python -m bench.driver < ORDER

The trickle server is in this process: pictures go straight into its channels, and of what comes
back only times and sizes are noted while the sessions last. Nothing is decoded: a picture that is
back is known by its PTS. ORDER and what is printed are JSON: see Order and Driven.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from bench import stream
from bench.clips import GOP_SECONDS, RATE
from bench.process import busy, family_cpu_of
from composer.media.mpegts.demuxer import Demuxer
from composer.trickle.channel import Channel, Segment
from composer.trickle.server import TrickleServer

GOP: Final = GOP_SECONDS * RATE

Chunk = tuple[float, bytes]
"""Bytes, and when they came."""


@dataclass(frozen=True)
class Order:
    """What is to be driven. worker: its address. pid: its process. clip: a file of MPEG-TS. sizes:
    bytes of each picture in it. sessions: so many.
    """

    worker: str
    pid: int
    clip: str
    sizes: tuple[int, ...]
    sessions: int


@dataclass(frozen=True)
class Came:
    """What one session gave back. sent: pictures. latency: seconds of each picture that is back,
    from its last byte sent to its last byte back. ordered: whether their times only grew.
    """

    sent: int
    latency: tuple[float, ...]
    ordered: bool


@dataclass(frozen=True)
class Driven:
    """What all showed. From the second second on, to when the last picture was back: cpu, driver:
    seconds of CPU of the worker and of this process; machine: of everybody; wall: seconds;
    pictures: that were sent.
    """

    sessions: tuple[Came, ...]
    cpu: float
    driver: float
    machine: float
    wall: float
    pictures: int


class Output:
    """The output channel of one session: when how many bytes of each segment were there."""

    def __init__(self, channel: Channel) -> None:
        self.changes = 0
        self._channel = channel
        self._segments: list[Segment] = []
        self._sizes: list[list[tuple[float, int]]] = []
        self._watch(0)

    def segments(self) -> list[list[Chunk]]:
        """The bytes of each segment as they came."""
        return [
            _cut(segment.read(0, len(segment)), sizes)
            for segment, sizes in zip(self._segments, self._sizes, strict=True)
        ]

    def _watch(self, seq: int) -> None:
        segment = self._channel.to_read(seq)
        if segment is None:
            return  # the channel has ended
        segment.hold()
        segment.wakers.add(partial(self._note, len(self._segments)))
        self._segments.append(segment)
        self._sizes.append([])

    def _note(self, place: int) -> None:
        segment = self._segments[place]
        self._sizes[place].append((time.perf_counter(), len(segment)))
        self.changes += 1
        if place == len(self._segments) - 1:
            self._watch(segment.seq + 1)


def _cut(data: bytes, sizes: Sequence[tuple[float, int]]) -> list[Chunk]:
    starts = [0, *(size for _, size in sizes)]
    return [(at, data[start:end]) for start, (at, end) in zip(starts, sizes, strict=False)]


def times(segments: Iterable[Iterable[Chunk]]) -> dict[int, float]:
    """PTS of each picture -> when its last byte came. That of the first is told with the second."""
    demuxer = Demuxer()
    found: dict[int, float] = {}
    for segment in segments:
        for at, data in segment:
            for unit in demuxer.feed(data):
                if unit.track.kind == "video" and unit.pts is not None:
                    found.setdefault(unit.pts, at)
    return found


def came(sent: Mapping[int, float], back: Mapping[int, float]) -> Came:
    """What a session gave back. sent, back: PTS of each picture -> when its last byte went, came.

    Pictures that were never sent count for nothing.
    """
    known = [pts for pts in back if pts in sent]
    latency = tuple(back[pts] - sent[pts] for pts in known)
    return Came(len(sent), latency, known == sorted(known))


class Session:
    """One stream. pieces: the bytes of each of its pictures."""

    def __init__(
        self, server: TrickleServer, base: str, name: str, pieces: Sequence[bytes]
    ) -> None:
        channels = [server.directory.create(name + suffix, "") for suffix in stream.SUFFIXES]
        self.body = stream.start_body(base, name, {})
        self.output: Final = Output(channels[1])
        self.sent: Final[list[float]] = []
        self._input, self._pieces = channels[0], pieces
        self._segment: Segment | None = None

    def send(self, number: int) -> None:
        """One picture; a keyframe begins a new segment."""
        if number % GOP == 0:
            self.end()
            self._segment = self._input.to_write(number // GOP)
            self._input.began(number // GOP, time.monotonic())
        assert self._segment is not None  # the first picture is a keyframe
        self._segment.append(self._pieces[number])
        self.sent.append(time.perf_counter())

    def end(self) -> None:
        """The segment is complete."""
        if self._segment is not None:
            self._segment.close()


async def drive(order: Order) -> Driven:
    """Start all sessions, send all pictures, wait for the last one, stop all sessions."""
    data = await asyncio.to_thread(Path(order.clip).read_bytes)
    pieces, clock = _pieces(data, order.sizes), list(times([[(0.0, data)]]))
    server = TrickleServer()
    async with server.serving() as base, aiohttp.ClientSession() as http:
        sessions = [Session(server, base, f"s{n}", pieces) for n in range(order.sessions)]
        await asyncio.gather(*(_start(http, order.worker, each) for each in sessions))
        settled, ended = await _paced(sessions, len(pieces), order.pid)
        await asyncio.gather(*(_stop(http, order.worker, each) for each in sessions))
        found = tuple(
            came(dict(zip(clock, each.sent, strict=True)), times(each.output.segments()))
            for each in sessions
        )
    return Driven(
        found,
        cpu=ended.worker - settled.worker,
        driver=ended.driver - settled.driver,
        machine=ended.machine - settled.machine,
        wall=ended.wall - settled.wall,
        pictures=order.sessions * (len(pieces) - RATE),
    )


def _pieces(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return pieces


async def _start(http: aiohttp.ClientSession, worker: str, session: Session) -> None:
    async with http.post(worker + "/stream/start", json=session.body) as answer:
        if answer.status != 200:
            raise RuntimeError(await answer.text())


async def _stop(http: aiohttp.ClientSession, worker: str, session: Session) -> None:
    headers = {"X-Stream-Id": session.body["gateway_request_id"]}
    async with http.post(worker + "/stream/stop", headers=headers):
        pass


class Used(NamedTuple):
    """Seconds so far: CPU of the worker, of this process and of everybody, and the wall."""

    worker: float
    driver: float
    machine: float
    wall: float


async def _paced(sessions: Sequence[Session], pictures: int, pid: int) -> tuple[Used, Used]:
    """Send in real time. The clocks of the sessions are spread over the time of one picture, as
    those of strangers are. Gives what was used when the second second began, and at the end.
    """
    began, settled = time.perf_counter(), _used(pid)
    for number in range(pictures):
        if number == RATE:
            settled = _used(pid)
        for place, session in enumerate(sessions):
            due = began + (number + place / len(sessions)) / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            session.send(number)
    for session in sessions:
        session.end()
    await _quiet(sessions)
    return settled, _used(pid)


async def _quiet(sessions: Sequence[Session]) -> None:
    """Until nothing has come for a while."""
    seen = -1
    while seen != (now := sum(each.output.changes for each in sessions)):
        seen = now
        await asyncio.sleep(stream.TAIL_SECONDS / 2)


def _used(pid: int) -> Used:
    return Used(family_cpu_of(pid), time.process_time(), busy(), time.perf_counter())


def main() -> None:
    order = json.load(sys.stdin)
    driven = asyncio.run(drive(Order(**{**order, "sizes": tuple(order["sizes"])})))
    print(json.dumps(asdict(driven)))


if __name__ == "__main__":
    main()
