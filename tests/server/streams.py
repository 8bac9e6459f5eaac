"""A worker, an orchestrator and a clip, in one loop: what the tests of sessions share."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest

from composer import Node
from composer.compiler.compile import Compiled, compile_file, plan_of
from composer.compiler.plan import Mode, Plan
from composer.media import clip
from composer.media.clip import Piece
from composer.media.mpegts.demuxer import Demuxer, Unit
from composer.node.registry import Registry
from composer.pictures import barcode, pixels
from composer.server.manifest import manifest
from composer.server.registration import Offered
from composer.server.worker import Offer, Worker
from composer.session.execution import ThreadedExecution
from composer.session.session import Session
from composer.session.timing import Timing
from composer.testing.orchestrator import Orchestrator, Stream
from composer.trickle.http import Http, open_http
from tests import stubs
from tests.media.streams import elementary

WAIT: Final = 50.0
"""Seconds after which a wait is a deadlock."""

PASS: Final = (
    "nodes: {source: {type: decode},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)
"""Drops nothing, however busy the machine is: these tests count pictures."""

QUICK: Final = Timing(status=0.2, data=0.02, data_keepalive=0.3, quiet=1.0, catch_up=0.1)
"""The same order of things in less time."""


both: Final = pytest.mark.parametrize(
    "isolation", ["none", pytest.param("process", marks=pytest.mark.slow)]
)
"""A test of what a session does wherever its graph runs."""


@cache
def clip_bytes(
    frames: int = 50,
    width: int = 160,
    height: int = 96,
    gop: int = 10,
    sound: str = "",
    layout: str = "stereo",
) -> bytes:
    """H.264 in MP4: `frames` numbered pictures at 25 per second, a keyframe every `gop`.

    sound: an encoder's name; a tone as long as the pictures is beside them then, in this layout.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mp4") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        keys = f"keyint={gop}:min-keyint={gop}:scenecut=0"
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "18",
            "x264-params": keys,
        }
        tone = added(out, sound, layout) if sound else None
        images = (*(numbered(number, width, height) for number in range(frames)), None)
        packets = [packet for image in images for packet in stream.encode(image)]
        if tone is not None:
            for block in (*elementary.blocks(tone.codec_context, frames / 25, 440), None):
                packets += tone.encode(block)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return buffer.getvalue()


def added(file: Any, encoder: str, layout: str) -> Any:
    """A track of sound."""
    tone = file.add_stream(encoder, rate=48_000, layout=layout)
    elementary.choose_form(tone.codec_context)
    tone.codec_context.open()
    return tone


def numbered(number: int, width: int, height: int) -> av.VideoFrame:
    """A grey picture with its number as a bar code over its upper half."""
    image = av.VideoFrame(width, height, "yuv420p")
    for place, plane in enumerate(pixels.planes(image)):
        plane[...] = 128 if place else 90
    barcode.write(pixels.planes(image)[0][: height // 2], number)
    return image


def pieces(frames: int = 50, *, loops: int = 1, **made: Any) -> list[Piece]:
    """The same clip as a gateway sends it, in segments of at least 0.3 s."""
    return list(clip.pieces(io.BytesIO(clip_bytes(frames, **made)), loops=loops, shortest=0.3))


def pictures(segments: list[bytes]) -> Iterator[av.VideoFrame]:
    data = b"".join(segments)
    if data:
        opened: Any
        with av.open(io.BytesIO(data), format="mpegts") as opened:
            yield from opened.decode(video=0)


def numbers(segments: list[bytes]) -> list[int | None]:
    """The number in each picture of the output, in order."""
    found = []
    for image in pictures(segments):
        luma = pixels.planes(image)[0]
        found.append(barcode.read(luma[: luma.shape[0] // 2]))
    return found


def heard(data: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """The packets of sound of a transport stream: ticks and data of each."""
    return [(unit.pts or 0, unit.data) for unit in sounds(data)]


def sounds(data: Iterable[bytes]) -> list[Unit]:
    """The same as the demuxer gives them."""
    demuxer = Demuxer()
    units = [unit for part in data for unit in demuxer.feed(part)]
    return [unit for unit in (*units, *demuxer.flush()) if unit.track.kind == "audio"]


def brightness(image: av.VideoFrame) -> float:
    """Mean luma of the lower half."""
    luma = pixels.planes(image)[0]
    return float(np.mean(luma[luma.shape[0] // 2 :]))


@dataclass
class Stage:
    """What runs: the orchestrator, the worker, and a client for its REST surface."""

    orchestrator: Orchestrator
    worker: Worker
    http: Http

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        async with self.http.get(self.worker.address + path, **more) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        data: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(self.worker.address + path, **data, **more) as response:
            return response.status, await response.json(content_type=None)

    async def start(self, **options: Any) -> Stream:
        return await self.orchestrator.start("cap", url=self.worker.address, **options)

    @property
    def sessions(self) -> dict[str, Any]:
        return dict(self.worker.capabilities["cap"].sessions)


def threaded(session: Session) -> ThreadedExecution:
    """Its execution, in threads of this process."""
    assert isinstance(session.execution, ThreadedExecution)
    return session.execution


def live_plan(text: str, **nodes: type[Node]) -> Plan:
    """The plan of a session, of the installed nodes and of types of one's own."""
    return plan_of(compiled_of(text, **nodes), Mode.LIVE)


def compiled_of(text: str, **nodes: type[Node]) -> Compiled:
    """The graph of a pipeline, of the installed nodes and of types of one's own."""
    installed = Registry.installed()
    known = {name: installed.find(name, Path()) for name in installed.names()}
    return Compiled(stubs.good_graph(text, Path.cwd(), **{**known, **nodes}), (), {})


@asynccontextmanager
async def serving(
    text: str = PASS,
    /,
    nodes: dict[str, type[Node]] | None = None,
    file: Path | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A worker of one pipeline called "cap"; nodes: types of one's own. file: where it is written,
    instead of a text.
    """
    if file is not None:
        compiled = compile_file(file, Registry.installed())
    else:
        compiled = compiled_of(text, **(nodes or {}))
    plan = plan_of(compiled, Mode.LIVE)
    offered = Offered("cap", "http://worker.test")
    offer = Offer("cap", plan, manifest("cap", plan), offered=offered, compiled=compiled, file=file)
    async with Orchestrator().serving() as orchestrator, open_http() as http:
        settings = {"capacity": 4, "timing": QUICK, "port": 0, **options}
        worker = Worker([offer], **settings)
        ending, listening = asyncio.Event(), asyncio.Event()

        async def until_ended(here: Worker) -> None:
            listening.set()
            await ending.wait()

        running = asyncio.ensure_future(worker.run(until_ended))
        waiting = asyncio.ensure_future(listening.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield Stage(orchestrator, worker, http)
        finally:
            waiting.cancel()
            ending.set()
            await running


def ran(test: Callable[[], Awaitable[None]], seconds: float = WAIT) -> None:
    """Run a coroutine; a deadlock fails instead."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await test()

    asyncio.run(bounded())
