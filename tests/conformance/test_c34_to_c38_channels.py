"""Events, control and data, C-34 to C-38 of the contract's checklist."""

import asyncio
import json
import threading
from typing import ClassVar

import pytest

from composer import YUV, Live, Moment, Node, OwnYUV, Record
from composer.pictures import pixels
from composer.session.data_lines import LINES, LONGEST
from composer.session.session import Timing
from composer.testing.orchestrator import event_of
from tests import stubs
from tests.server.streams import QUICK, Stage, numbers, pieces, ran, serving

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


def test_c34_events_begin_at_once_and_go_on_while_a_node_stands() -> None:
    class Stands(Dim):
        go: ClassVar[threading.Event] = threading.Event()

        def process(self, image: YUV) -> OwnYUV:
            stubs.reach(self.go)
            return pixels.copy(image)

    async def test() -> None:
        async with serving(LEVEL, {"dim": Stands}) as stage:
            stream = await stage.start()
            await stream.until(lambda: bool(stream.events))
            assert event_of(stream.events[0])["type"] == "status"
            await stream.publish(pieces(10), speed=0)
            await stream.until(lambda: stream.kinds().count("status") >= 4)
            assert not Stands.go.is_set()
            for each in stream.events:
                assert set(each) == {"event", "queue_event_type"} or each["type"] == "status"
            status = next(each for each in stream.events if each.get("type") == "status")
            assert set(status["inference_status"]) >= {"fps", "last_params", "last_error"}
            assert len(status["graph"]) == 12
            Stands.go.set()

    assert Timing().status <= 10
    ran(test)


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
            assert "params_rejected" in stream.kinds()
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            assert session.params()["level"] == 33
            assert len(session.params()["note"]) == 2_000_000

    ran(test)


@pytest.mark.parametrize("ingress", [True, False])
def test_c36_the_end_of_control_ends_the_stream(*, ingress: bool) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start(ingress=ingress)
            session = stage.sessions[stream.name]
            await stream.delete("-control")
            await session.over.wait()
            assert session.reason == "control_closed"
            assert stage.worker.slots.used == 0
            assert "stream_stopped" in stream.kinds() or await _told(stream)

    ran(test)


async def _told(stream: object) -> bool:
    await stream.until(lambda: "stream_stopped" in stream.kinds())  # type: ignore[attr-defined]
    return True


class Count(Node):
    """Give a record of some length for every picture."""

    size: int = 10

    def process(self, image: YUV, *, at: Moment) -> Record:
        return {"number": round(at.pts / 3600), "text": "x" * self.size}


@pytest.mark.parametrize("size", [10, 9_000, 70_000])
def test_c37_data_comes_in_short_lines_in_small_bursts_in_order(size: int) -> None:
    text = (
        "nodes:\n  source: {type: decode}\n"
        f"  count: {{type: count, size: {size}, queue: 300, on_full: wait}}\n"
        "  save: {type: record}\n"
    )

    async def test() -> None:
        async with serving(text, {"count": Count}) as stage:
            stream = await stage.start(data=True, egress=False)
            await stream.until(lambda: [] in stream.lines)
            await stream.publish(pieces(50), speed=4)
            session = stage.sessions[stream.name]
            assert session.data is not None
            if size > LONGEST:
                await _until(stage, lambda: session.data.dropped == 50)
                return
            await stream.until(lambda: sum(map(len, stream.lines)) == 50)
            items = [item for line in stream.lines for item in line]
            assert [item["number"] for item in items] == list(range(50))
            bodies = [json.dumps(line, separators=(",", ":")) for line in stream.lines]
            assert max(map(len, bodies)) <= LONGEST
            assert LINES < 5

    ran(test)


async def _until(stage: Stage, holds: object) -> None:
    """Look again whenever the worker has had a turn."""
    async with asyncio.timeout(5):
        while not holds():  # type: ignore[operator]
            await stage.get("/health")


def test_c38_streams_without_input_output_or_data_start_run_and_stop() -> None:
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
            await _until(stage, lambda: session.egress.counts.dropped["unwanted"] == 20)
            assert (await stream.stop())[0] == 200

    ran(test)
    ran(silent)
