"""The whole story on one machine: a worker that registers, a live stream through it, a change.

Orchestrator and gateway are played (composer.testing), everything else is what an operator runs.
Exit code 0: every picture that went in came back.
"""

import asyncio
import io
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import av

from composer.media import clip
from composer.testing.orchestrator import Orchestrator, Stream

PIPELINE: Final = "pipelines/lower_third.yaml"
CLIP: Final = ".clips/bigbuckbunny.mp4"
TARGET: Final = Path("out/demo.ts")
CAPTIONS: Final = ("Big Buck Bunny", "changed while it runs")


async def main() -> int:
    sent = list(clip.pieces(CLIP))
    async with Orchestrator().serving() as orchestrator, worker(orchestrator):
        name = next(iter(orchestrator.capabilities))
        print(f"{name} is registered at {orchestrator.url}")
        stream = await orchestrator.start(name, params={"caption": CAPTIONS[0]})
        if stream.status != 200:
            print(f"the stream did not start: {stream.answer}")
            return 1
        began = time.monotonic()
        print(f"{CLIP} goes in live, {sent[-1].seconds:.1f} s")
        await asyncio.gather(stream.publish(sent), change(stream, sent[-1].seconds / 2))
        await stream.until(lambda: stream.kinds().count("status") > 0)
        _, answer = await stream.stop()
        took = time.monotonic() - began
    return summary(stream, answer, took)


@asynccontextmanager
async def worker(orchestrator: Orchestrator) -> AsyncIterator[None]:
    """`byoc serve` as an operator starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("byoc")),
        *("serve", PIPELINE, "--port", str(port), "--url", f"http://127.0.0.1:{port}"),
        *("--orchestrators", orchestrator.url, "--orch-secret", "secret"),
    )
    try:
        async with asyncio.timeout(20):
            await orchestrator.until(lambda: bool(orchestrator.capabilities))
        yield
    finally:
        process.terminate()
        print(f"the worker ended with exit code {await process.wait()}")


async def change(stream: Stream, seconds: float) -> None:
    await asyncio.sleep(seconds)
    status, answer = await stream.params({"caption": CAPTIONS[1]})
    print(f"caption changed: {status}, from {answer['pts_seconds']:.2f} s of the stream on")


def summary(stream: Stream, answer: Any, took: float) -> int:
    TARGET.parent.mkdir(exist_ok=True)
    data = b"".join(stream.output)
    TARGET.write_bytes(data)
    came = times(io.BytesIO(data))
    given = times(CLIP)
    print(
        f"{len(given)} pictures in, {len(came)} out in {took:.1f} s,"
        f" {len(stream.output)} segments, {len(data) / 1e6:.1f} MB, ended: {answer['reason']}"
    )
    print(f"look at {TARGET}")
    missing = len(given) - len(came)
    if missing or came != sorted(set(came)):
        print(f"{missing} pictures are missing, or they are out of order")
        return 1
    return 0


def times(source: Any) -> list[int]:
    with av.open(source) as opened:
        return [image.pts or 0 for image in opened.decode(video=0)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
