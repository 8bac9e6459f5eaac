"""Events, control and data, C-34 to C-38 of the contract's checklist."""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from composer import YUV, Live, Moment, Node, OwnYUV, Record
from composer.pictures import pixels
from composer.server import capability
from composer.session.session import Session
from composer.session.timing import Timing
from composer.trickle.subscriber import Subscriber
from tests import clocks, stubs
from tests.server.streams import QUICK, Stage, both, numbers, pieces, ran, serving

LEVEL = (
    "params: {level: dim.level, note: dim.note}\n"
    "nodes: {source: {type: decode}, dim: {type: dim, queue: 300, on_full: wait},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)


class Dim(Node):
    """Set the lower half of the luma to a level."""

    level: int = Live(90, ge=0, le=255)
    note: str = Live("")

    def process(self, image: YUV) -> OwnYUV:
        new = pixels.copy(image)
        luma = pixels.planes(new)[0]
        luma[luma.shape[0] // 2 :] = self.level
        return new


@pytest.fixture
def _on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions go by the clock of their loop, as their timers do."""

    def made(*args: Any, **options: Any) -> Session:
        return Session(*args, **{**options, "now": clocks.clock().time})

    monkeypatch.setattr(capability, "Session", made)


NEVER = Timing(
    status=1000, data=1000, data_keepalive=1000, lease=1000, quiet=1000, linger=1000, drain=1000
)
"""What happens, happens because of something."""


def test_c34_the_first_event_comes_at_once() -> None:
    async def test() -> None:
        async with serving(timing=NEVER) as stage:
            stream = await stage.start()
            async with clocks.clock().slow():
                await stream.until(lambda: bool(stream.events))
            assert stream.events[0]["type"] == "status"

    clocks.ran(test)


@pytest.mark.usefixtures("_on_the_clock")
@pytest.mark.fault("F-44")
def test_c34_events_go_on_while_a_node_stands() -> None:
    class Stands(Dim):
        go: ClassVar[threading.Event] = threading.Event()
        begun: ClassVar[threading.Event] = threading.Event()

        def process(self, image: YUV) -> OwnYUV:
            self.begun.set()
            stubs.reach(self.go)
            return pixels.copy(image)

    async def test() -> None:
        async with serving(LEVEL, {"dim": Stands}, timing=Timing()) as stage:
            stream = await stage.start()
            await stream.publish(pieces(10), speed=0)
            await asyncio.to_thread(stubs.reach, Stands.begun)
            with clocks.clock().skipping():
                for count in range(2, 6):
                    before = clocks.clock().skipped
                    await stream.until(
                        lambda count=count: stream.kinds().count("status") >= count  # type: ignore[misc]
                    )
                    assert clocks.clock().skipped - before <= 10
            assert not Stands.go.is_set()
            Stands.go.set()
            await stream.stop()
            assert stream.kinds()[-2:] == ["stream_stopped", "status"]
            for each in stream.events:
                assert set(each) == {"event", "queue_event_type"} or each["type"] == "status"
            status = next(each for each in stream.events if each.get("type") == "status")
            assert set(status["inference_status"]) >= {"fps", "last_params", "last_error"}
            assert len(status["graph"]) == 12

    clocks.ran(test)


@pytest.mark.fault("F-80")
def test_c35_control_takes_params_of_any_size_and_shrugs_at_garbage() -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Dim}) as stage:
            stream = await stage.start()
            session = stage.sessions[stream.name]
            for message in (b'{"keep":"alive"}', b"garbage", b"\xff\xfe", b"[]", b"{", b"{}"):
                await stream.control(message)
            await stream.control(json.dumps({"level": 999}).encode())
            await stream.control(json.dumps({"note": "x" * 2_000_000, "level": 33}).encode())
            await stream.until(lambda: "params_updated" in stream.kinds())
            assert stream.kinds().count("params_rejected") == 1  # of the value, not of garbage
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            assert session.changes.params()["level"] == 33
            assert len(session.changes.params()["note"]) == 2_000_000

    ran(test)


@pytest.mark.parametrize("ingress", [True, False])
def test_c36_the_end_of_control_ends_the_stream_at_once(*, ingress: bool) -> None:
    async def test() -> None:
        async with serving(timing=NEVER) as stage:
            stream = await stage.start(ingress=ingress)
            session = stage.sessions[stream.name]
            async with clocks.clock().slow():
                await stream.delete("-control")
                await session.over.wait()
                await stream.until(lambda: "stream_stopped" in stream.kinds())
            assert session.reason == "control_closed"
            assert stage.worker.slots.used == 0

    clocks.ran(test)


@pytest.mark.parametrize("ingress", [True, False])
def test_c36_a_control_channel_that_is_not_there_ends_the_stream_at_once(*, ingress: bool) -> None:
    async def test() -> None:
        async with serving(timing=NEVER) as stage:
            nowhere = f"{stage.orchestrator.trickle}/nowhere"
            stream = await stage.start(ingress=ingress, control_url=nowhere)
            assert stream.status == 200
            async with clocks.clock().slow():
                await stage.worker.slots.empty.wait()
            assert stage.worker.capabilities["cap"].ended == {"control_closed": 1}

    clocks.ran(test)


class Count(Node):
    """Give a record of some length for every picture."""

    size: int = 10

    def process(self, image: YUV, *, at: Moment) -> Record:
        return {"number": round(at.pts / 3600), "text": "x" * self.size}


def counted(size: int) -> str:
    return (
        "nodes:\n  source: {type: decode}\n"
        f"  count: {{type: count, size: {size}, queue: 300, on_full: wait}}\n"
        "  save: {type: record}\n"
    )


@pytest.mark.usefixtures("_on_the_clock")
@pytest.mark.parametrize("size", [10, 9_000])
def test_c37_data_comes_in_short_lines_in_small_bursts_in_order(size: int) -> None:
    """All there is to say is there at once."""
    pause = 5.0

    async def test() -> None:
        timing = replace(NEVER, data=pause)
        async with serving(counted(size), {"count": Count}, timing=timing) as stage:
            stream = await stage.start(data=True, egress=False)
            session = stage.sessions[stream.name]
            await stream.publish(pieces(50), speed=0)
            await _until(stage, lambda: session.execution.data.items == 50)
            seen: list[int] = []
            channel = Subscriber(stage.http, stream.channel("-data"), start=0)
            with clocks.clock().skipping():
                began, bursts = clocks.clock().time(), 0
                async with contextlib.aclosing(channel.messages()) as bodies:
                    while len(seen) < 50:
                        body = await anext(bodies)
                        lines = body.splitlines()
                        assert body.endswith(b"\n")
                        assert max(map(len, lines)) < 60_000
                        assert len(lines) <= 5
                        seen += [item["number"] for line in lines for item in json.loads(line)]
                        bursts += 1
                        # The first one went out at once, and the second pause may have begun.
                        assert clocks.clock().time() - began > (bursts - 2) * pause
            assert seen == list(range(50))

    clocks.ran(test)


@both
def test_c37_what_fits_no_line_is_left_out_and_counted(isolation: str) -> None:
    async def test() -> None:
        async with serving(counted(70_000), {"count": Count}, isolation=isolation) as stage:
            stream = await stage.start(data=True, egress=False)
            session = stage.sessions[stream.name]
            await stream.publish(pieces(50), speed=4)
            await _until(stage, lambda: session.execution.data.dropped["too_long"] == 50)
            assert session.reason is None

    ran(test)


@pytest.mark.usefixtures("_on_the_clock")
def test_c37_an_idle_data_channel_is_kept_open() -> None:
    async def test() -> None:
        async with serving(counted(10), {"count": Count}, timing=Timing()) as stage:
            stream = await stage.start(data=True, egress=False)
            with clocks.clock().skipping():
                for count in range(1, 5):
                    before = clocks.clock().skipped
                    await stream.until(lambda count=count: len(stream.lines) >= count)  # type: ignore[misc]
                    assert clocks.clock().skipped - before <= 25
            assert stream.lines == [[]] * 4

    clocks.ran(test)


async def _until(stage: Stage, holds: Callable[[], bool]) -> None:
    """Look again whenever the worker has had a turn."""
    while not holds():
        await stage.get("/health")


def test_c38_streams_without_input_output_or_data_start_run_and_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    generated = (
        "nodes: {source: {type: test_source, width: 64, height: 48, fps: 25},"
        " out: {type: encode, keyframe_s: 0.4}}"
    )

    async def test() -> None:
        async with serving(generated, timing=QUICK) as stage:
            stream = await stage.start(ingress=False)
            await stream.until(lambda: len(stream.output) >= 2)
            status, answer = await stream.stop()
            assert (status, answer["reason"]) == (200, "stopped")
            assert len(numbers(stream.output)) > 5

    async def silent() -> None:
        async with serving() as stage:
            stream = await stage.start(egress=False)
            await stream.publish(pieces(20), speed=4)
            session = stage.sessions[stream.name]
            await _until(stage, lambda: session.execution.egress.counts.dropped["unwanted"] == 20)
            assert (await stream.stop())[0] == 200

    ran(test)
    ran(silent)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []
