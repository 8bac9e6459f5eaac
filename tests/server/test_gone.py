"""An ended session is gone at once: nothing waits for Python's collector, which may be long."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from composer import YUV, Node
from composer.testing.orchestrator import Stream
from tests.faults import served
from tests.server.streams import Stage, both, numbers, pieces, ran, serving

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


@both
def test_nothing_of_it_is_left_when_it_has_ended(isolation: str) -> None:
    async def test() -> None:
        async with serving(WITH_SOUND, isolation=isolation) as stage:
            stream = await stage.start()
            gone = watched(stage, stream)
            await stream.publish(pieces(20, sound="libopus"), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) > 0)
            with uncollected():
                await stream.stop()
                await gone.wait()

    ran(test, 50)


class Fails(Node):
    """Ends its session at the first picture."""

    def process(self, image: YUV) -> YUV:
        raise RuntimeError("no")


@both
def test_nor_of_one_that_failed(isolation: str) -> None:
    """What was at work where a node raised is in the traceback of that."""
    text = "nodes: {s: {type: decode}, f: {type: fails, on_error: fail}, o: {type: encode}}"

    async def test() -> None:
        async with serving(text, {"fails": Fails}, isolation=isolation) as stage:
            stream = await stage.start()
            gone = watched(stage, stream)
            with uncollected():
                await stream.publish(pieces(50))  # the first go by a node that is not ready yet
                await stream.until(lambda: "stream_stopped" in stream.kinds())
                await gone.wait()

    ran(test, 50)


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
