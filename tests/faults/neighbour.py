"""A quiet session beside whatever is done to the others: it may lose nothing of it.

Its pictures are numbered, and it sends them at the pace of their clock: how long it takes is how
long a fault has to do harm.
"""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from composer.testing.exchange import Script
from composer.testing.orchestrator import Stream, event_of
from composer.testing.peer import Peer
from composer.trickle.client import MOST_IDLE
from tests.server.streams import PASS, QUICK, Stage, numbers, pieces, serving

FRAMES: Final = 50
"""Two seconds."""

BRIEF: Final = replace(QUICK, drain=1.0, give_up=0.3, flush=0.6)
"""Sessions whose channels lie have to be given up at their end: no need to wait for long."""

SETTLED_SECONDS: Final = 20.0
"""After so long, what is still there stays."""


@dataclass(frozen=True)
class Held:
    """What a process has: threads, but for those of pools, which stay, and open descriptors."""

    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> "Held":
        gc.collect()
        working = [each for each in threading.enumerate() if not each.name.startswith("blocking ")]
        return cls(len(working), len(os.listdir("/proc/self/fd")))


@asynccontextmanager
async def beside(
    text: str = PASS, /, *, frames: int = FRAMES, others: int = 24, **options: Any
) -> AsyncIterator[tuple[Stage, "Neighbour"]]:
    """A worker with a quiet session in it, and room for others. When the block ends the quiet one
    has got back all that it sent, in its order, the slots are free and the threads gone.
    """
    before = Held.now()
    async with serving(text, **{"capacity": others + 1, "timing": BRIEF, **options}) as stage:
        first = await stage.start(stream_id="first")  # what is made once is no leak
        await first.publish(pieces(10), speed=0)
        await first.stop()
        await _settled(lambda: not stage.sessions)
        idle = Held.now()
        stream = await stage.start(stream_id="quiet")
        neighbour = Neighbour(stage, stream, frames)
        yield stage, neighbour
        await neighbour.is_whole()
        await _settled(lambda: not stage.sessions)
        assert (await stage.get("/stream/status"))[1]["streams"] == {}
        await _settled(lambda: Held.now().threads <= idle.threads)
        most = idle.descriptors + 2 * MOST_IDLE  # both ends of each connection are here
        await _settled(lambda: Held.now().descriptors <= most)
        status, _ = await stage.get("/health")
        assert status == 200
    await _settled(lambda: Held.now().descriptors <= before.descriptors + 2)


class Neighbour:
    """The quiet session."""

    def __init__(self, stage: Stage, stream: Stream, frames: int) -> None:
        self.stream: Final = stream
        self._stage, self._frames = stage, frames
        self._sending = asyncio.ensure_future(stream.publish(pieces(frames)))

    async def sent(self) -> None:
        """Return when its last picture is on its way."""
        await asyncio.shield(self._sending)

    async def is_whole(self) -> None:
        """Wait for its end; it got back what it sent, each picture once and in order."""
        await self.sent()
        await self.stream.until(lambda: len(numbers(self.stream.output)) >= self._frames)
        status, _ = await self.stream.stop()
        assert status == 200
        assert numbers(self.stream.output) == list(range(self._frames))


async def _settled(holds: Callable[[], bool]) -> None:
    """Wait for something that nobody tells: threads and descriptors go when they go."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while not holds():  # noqa: ASYNC110 - nothing tells when a thread has gone
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Attack:
    """A session whose channel is at a peer that lies."""

    peer: Peer
    stream: Stream

    @property
    def reason(self) -> str:
        """Why it has ended, "" while it goes on."""
        told = [event_of(event) for event in self.stream.events]
        return next((str(each["reason"]) for each in told if "reason" in each and _ends(each)), "")


def _ends(event: Mapping[str, Any]) -> bool:
    return bool(event["type"] == "stream_stopped")


@asynccontextmanager
async def attacked(
    key: str, scripts: Mapping[str, Script], **options: Any
) -> AsyncIterator[tuple[Stage, Neighbour, Mapping[str, Attack]]]:
    """A quiet session, and one for each of these scripts, whose peer answers by it. key: which
    channel of theirs is at the peer, as a start calls it.
    """
    async with beside(**options) as (stage, neighbour):
        async with AsyncExitStack() as stack:
            attacks = {}
            for name, script in scripts.items():
                peer = Peer(post=script) if key == "publish_url" else Peer(script, script)
                address = await stack.enter_async_context(peer.serving())
                stream = await stage.start(stream_id=name, **{key: f"{address}/{name}"})
                assert stream.status == 200
                attacks[name] = Attack(peer, stream)
            yield stage, neighbour, attacks
            await neighbour.sent()
            headers = [{"X-Stream-Id": name} for name in attacks]
            await asyncio.gather(*(stage.post("/stream/stop", b"", headers=h) for h in headers))
