"""Sessions that end in a process of their own, where nothing of other tests holds them.

    python -m tests.server.gone stopped|failed none|process

It ends with 0 where nothing was left of the session, without Python's collector.
"""

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from composer.testing.orchestrator import Stream
from tests.isolation.crashes import Fails
from tests.server.streams import Stage, numbers, pieces, ran, serving

WITH_SOUND = """\
nodes:
  source: {type: decode}
  out: {type: encode, keyframe_s: 0.4, in: {image: source.image, audio: source.audio}}
"""


class Gone:
    """Whether objects are no more; the last of them says so."""

    def __init__(self, **watched: object) -> None:
        self._loop, self._all = asyncio.get_running_loop(), asyncio.Event()
        self._left = {name: weakref.ref(each, self._went) for name, each in watched.items()}

    @property
    def left(self) -> list[str]:
        return [name for name, reference in self._left.items() if reference() is not None]

    def _went(self, reference: "weakref.ref[object]") -> None:
        if not self.left:
            self._loop.call_soon_threadsafe(self._all.set)

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(20):
                await self._all.wait()
        except TimeoutError:
            raise AssertionError(f"what is left: {self.left}") from None


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def watched(stage: Stage, stream: Stream) -> Gone:
    session = stage.sessions[stream.name]
    execution = session.execution
    return Gone(
        session=session,
        execution=execution,
        ingress=execution.ingress,
        egress=execution.egress,
    )


FAILS = "nodes: {s: {type: decode}, f: {type: fails, on_error: fail}, o: {type: encode}}"
"""What was at work where a node raised is in the traceback of that."""


async def stopped(isolation: str) -> None:
    """One that its caller stops."""
    async with serving(WITH_SOUND, isolation=isolation) as stage:
        stream = await stage.start()
        gone = watched(stage, stream)
        await stream.publish(pieces(20, sound="libopus"), speed=4)
        await stream.until(lambda: len(numbers(stream.output)) > 0)
        with uncollected():
            await stream.stop()
            await gone.wait()


async def failed(isolation: str) -> None:
    """One that a node ends."""
    async with serving(FAILS, {"fails": Fails}, isolation=isolation) as stage:
        stream = await stage.start()
        gone = watched(stage, stream)
        with uncollected():
            await stream.publish(pieces(50))  # the first go by a node that is not ready yet
            await stream.until(lambda: "stream_stopped" in stream.kinds())
            await gone.wait()


if __name__ == "__main__":
    _, kind, where = sys.argv
    ran(lambda: {"stopped": stopped, "failed": failed}[kind](where), 50)
