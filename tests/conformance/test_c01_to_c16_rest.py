"""The REST surface, C-01 to C-16 of the contract's checklist."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import pytest

from composer import YUV, Context, Layouts, Live, Moment, Node, OwnYUV, Picture, Record
from composer.engine.instance import Instance
from composer.models.pool import POOL
from composer.pictures import pixels
from composer.server import registration
from composer.server.manifest import manifest
from composer.server.worker import Offer, Worker
from composer.session.ending import Reason
from composer.session.timing import Timing
from composer.testing.orchestrator import Orchestrator, event_of
from composer.trickle import wire
from composer.trickle.http import open_http
from composer.trickle.publisher import Publisher
from tests import clocks, stubs
from tests.server.streams import (
    QUICK,
    Stage,
    both,
    live_plan,
    numbered,
    numbers,
    pieces,
    ran,
    serving,
)
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub

LEVEL = (
    "params: {level: dim.level, depth: dim.depth}\n"
    "nodes: {source: {type: decode}, dim: {type: dim, queue: 300, on_full: wait},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)


class Dim(Node):
    """Set the lower half of the luma to a level."""

    level: int = Live(90, ge=0, le=255)
    depth: int = 1

    def process(self, image: YUV) -> OwnYUV:
        new = pixels.copy(image)
        luma = pixels.planes(new)[0]
        luma[luma.shape[0] // 2 :] = self.level
        return new


class SlowSetup(Dim):
    """The same; its setup() waits until a test lets it go on."""

    go: ClassVar[threading.Event]
    begun: ClassVar[threading.Event]
    closed: ClassVar[list[int]]

    def setup(self, ctx: Context) -> None:
        self.begun.set()
        stubs.reach(self.go)

    def close(self) -> None:
        self.closed.append(self.depth)


def slow_setup() -> type[SlowSetup]:
    class Here(SlowSetup):
        go: ClassVar[threading.Event] = threading.Event()
        begun: ClassVar[threading.Event] = threading.Event()
        closed: ClassVar[list[int]] = []

    return Here


@asynccontextmanager
async def loading(node: type[SlowSetup], **options: Any) -> AsyncIterator[Stage]:
    """A worker that loads what its node shares until a test lets it go on."""
    plan = live_plan(LEVEL, dim=node)
    offer = Offer("cap", plan, manifest("cap", plan))
    ending = asyncio.Event()

    async def listening(worker: Worker) -> None:
        await ending.wait()

    async with Orchestrator().serving() as orchestrator, open_http() as http:
        worker = Worker([offer], port=0, timing=QUICK, **options)
        running = asyncio.ensure_future(worker.run(listening))
        await asyncio.to_thread(stubs.reach, node.begun)
        try:
            yield Stage(orchestrator, worker, http)
        finally:
            node.go.set()
            ending.set()
            await running


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> type[SlowSetup]:
    """A node that is set up once before the first session, as those with a model are."""
    monkeypatch.setattr(POOL, "idle", POOL.idle)  # a worker that loads makes room in it

    class Shared(slow_setup()):  # type: ignore[misc]
        shared = True

    return Shared


BODY: dict[str, Any] = {
    "gateway_request_id": "one",
    "control_url": "http://127.0.0.1:9/one-control",
    "events_url": "http://127.0.0.1:9/one-events",
}


def body_of(stage: Stage, name: str, **more: Any) -> dict[str, Any]:
    """The body of a start whose channels are there."""
    for suffix in ("", "-out", "-control", "-events"):
        stage.orchestrator.channels.directory.create(name + suffix, "video/MP2T")
    at = f"{stage.orchestrator.trickle}/{name}"
    return {
        "gateway_request_id": name,
        "control_url": f"{at}-control",
        "events_url": f"{at}-events",
        "subscribe_url": at,
        "publish_url": f"{at}-out",
        **more,
    }


@pytest.mark.parametrize(
    "path", ["/stream/start", "/api/stream/start", "/live-video-to-video", "//stream//start"]
)
def test_c01_every_address_of_the_start_is_the_same(path: str) -> None:
    async def test() -> None:
        async with serving() as stage:
            status, answer = await stage.post(path, body_of(stage, "one"))
            assert (status, answer["status"], answer["request_id"]) == (200, "success", "one")
            prefix = "/api" if path.startswith("/api") else ""
            status, _ = await stage.post(f"{prefix}/stream/stop", b"")
            assert status == 200

    ran(test)


@pytest.mark.parametrize(
    "more",
    [
        {"params": None},
        {},
        {"params": {}, "subscribe_url": "", "publish_url": ""},
        {"subscribe_url": None, "data_url": ""},
        {"manifest_id": "x", "model_id": 3, "stream_id": [], "unknown": {"a": 1}},
    ],
)
def test_c02_a_start_may_leave_things_out(more: dict[str, Any]) -> None:
    async def test() -> None:
        async with serving() as stage:
            status, answer = await stage.post("/stream/start", body_of(stage, "one", **more))
            assert status == 200, answer

    ran(test)


@pytest.mark.parametrize("url", [None, "", "missing"])
def test_c02_a_stream_may_have_neither_control_nor_events(url: str | None) -> None:
    async def test() -> None:
        async with serving() as stage:
            body = body_of(stage, "one", control_url=url, events_url=url)
            if url == "missing":
                del body["control_url"], body["events_url"]
            status, answer = await stage.post("/stream/start", body)
            assert status == 200, answer
            session = stage.sessions["one"]
            channel = Publisher(stage.http, body["subscribe_url"], content_type="video/MP2T")
            await channel.send(b"".join(piece.data for piece in pieces(20)))
            await _until(stage, lambda: session.execution.egress.counts.packets["video"] == 20)
            assert session.reason is None
            status, answer = await stage.post("/stream/stop", b"")
            assert (status, answer["reason"]) == (200, "stopped")
            assert numbers(_bodies(stage, "one-out")) == list(range(20))
            await channel.close()

    ran(test)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"text", b'{"control_url": "http://h/c", "events_url": "http://h/e"}'],
)
def test_c03_a_start_that_says_nothing_is_refused_and_nobody_else_suffers(body: bytes) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            headers = {"Content-Type": "application/json"}
            status, answer = await stage.post("/stream/start", body, headers=headers)
            assert (status, answer["status"]) == (400, "error")
            assert await stage.get("/health") == (200, {"status": "OK"})
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 40)
            await stream.stop()
            assert numbers(stream.output) == [*range(20), *range(20)]

    ran(test)


@pytest.mark.fault("F-70")
def test_c04_a_start_above_capacity_is_refused_with_a_time() -> None:
    async def test() -> None:
        async with serving(capacity=2) as stage:
            streams = [await stage.start() for _ in range(5)]
            assert [each.status for each in streams] == [200, 200, 503, 503, 503]
            async with stage.http.post(
                stage.worker.address + "/stream/start", json=body_of(stage, "late")
            ) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            await streams[0].stop()
            assert (await stage.start()).status == 200

    ran(test)


JOB_SECONDS = 120.0
"""How long an orchestrator waits for the answer to a start (contract 2.9)."""


@pytest.mark.parametrize("options", [{}, {"loading_s": 50.0}])
def test_c04_a_start_while_loading_waits_so_long_as_is_set(
    shared: type[SlowSetup], options: dict[str, float]
) -> None:
    async def test() -> None:
        async with loading(shared, **options) as stage:
            clock = clocks.clock()
            with clock.skipping():
                began, before = clock.time(), clock.skipped
                starting = asyncio.ensure_future(stage.start())
                await asyncio.sleep(10)
                assert not starting.done()
                assert (await starting).status == 503
                waited, longest = clock.time() - began, options.get("loading_s", JOB_SECONDS)
            assert clock.skipped - before < longest
            assert waited >= options.get("loading_s", 10.0)

    clocks.ran(test)


def test_c04_a_start_while_loading_is_taken_when_it_is_loaded(shared: type[SlowSetup]) -> None:
    async def test() -> None:
        async with loading(shared) as stage:
            starting = asyncio.ensure_future(stage.start())
            with clocks.clock().skipping():
                await asyncio.sleep(10)
            assert not starting.done()
            shared.go.set()
            assert (await starting).status == 200

    clocks.ran(test)


def test_c05_params_may_be_five_megabytes() -> None:
    text = (
        "params: {words: label.text}\n"
        "nodes: {source: {type: decode}, label: {type: note}, out: {type: encode}}"
    )

    class Note(Node):
        text: str = Live("")

        def process(self, image: YUV) -> YUV:
            return image

    async def test() -> None:
        async with serving(text, {"note": Note}) as stage:
            stream = await stage.start(params={"words": "x" * 5 * 1024 * 1024})
            assert stream.status == 200, stream.answer

    ran(test)


def test_c06_a_start_is_answered_before_any_media_and_before_slow_setups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever takes longer is gone by: what a start waits for it, all in all, is less than 1 s."""
    node, waits = slow_setup(), []
    open_aside = Instance.open_aside

    def opened(worker: Instance, patience: float) -> None:
        waits.append(patience)
        open_aside(worker, patience)

    monkeypatch.setattr(Instance, "open_aside", opened)
    text = (
        "nodes: {source: {type: decode}, one: {type: dim}, two: {type: dim}, three: {type: dim},"
        " out: {type: encode}}"
    )

    async def test() -> None:
        async with serving(text, {"dim": node}) as stage:
            stream = await stage.start()
            assert stream.status == 200
            assert not node.go.is_set()
            assert stream.answer["current_state"]["state"] == "LOADING"
            assert len(waits) == 3
            assert sum(waits) < 1
            node.go.set()

    ran(test)


@pytest.mark.fault("F-71")
def test_c07_a_duplicate_start_is_one_session() -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Dim}) as stage:
            body = body_of(stage, "one", params={"level": 10})
            assert (await stage.post("/stream/start", body))[0] == 200
            first = stage.sessions["one"]
            assert (await stage.post("/stream/start", body))[0] == 200
            assert stage.sessions == {"one": first}
            status, answer = await stage.post("/stream/start", {**body, "params": {"level": 9}})
            assert (status, answer["status"]) == (409, "error")
            assert stage.sessions == {"one": first}
            assert stage.worker.slots.used == 1

    ran(test)


@pytest.mark.fault("F-71")
def test_c07_two_starts_at_once_are_one_session() -> None:
    node = slow_setup()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            body = body_of(stage, "one")
            twice = (stage.post("/stream/start", body), stage.post("/stream/start", body))
            assert [status for status, _ in await asyncio.gather(*twice)] == [200, 200]
            assert stage.worker.slots.used == 1
            node.go.set()

    ran(test)


@both
def test_c08_params_change_the_stream_that_is_named(isolation: str) -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Dim}, isolation=isolation) as stage:
            one, two = await stage.start(), await stage.start()
            status, answer = await one.params({"level": 200})
            assert (status, answer["params"]) == (200, {"level": 200, "depth": 1})
            for each in (one, two):
                await each.publish(pieces(20), speed=4)
                await each.until(lambda each=each: len(numbers(each.output)) == 20)  # type: ignore[misc]
            assert stage.sessions[one.name].changes.params()["level"] == 200
            assert stage.sessions[two.name].changes.params()["level"] == 90
            status, answer = await stage.post(
                "/stream/params", {"level": 1}, headers={"X-Stream-Id": "nobody"}
            )
            assert (status, answer["status"]) == (404, "error")
            assert (await stage.post("/stream/params", {"level": 1}))[0] == 400
            assert stage.sessions[two.name].changes.params()["level"] == 90

    ran(test)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"level": 256}, 422, "level"),
        ({"level": "bright"}, 422, "level"),
        ({"lvel": 3}, 422, "lvel"),
        ({"__class__": 3}, 422, "__class__"),
        ({"width": 100}, 422, "height"),
        ([1, 2], 400, "params"),
        (b"{", 400, ""),
        (b'{"level": NaN}', 400, ""),
    ],
)
@pytest.mark.fault("F-53")
def test_c09_a_wrong_value_is_refused_by_its_name_and_changes_nothing(
    body: Any, status: int, field: str
) -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Dim}) as stage:
            stream = await stage.start(params={"level": 77})
            found, answer = await stream.params(body)
            assert (found, answer["status"]) == (status, "error")
            assert answer["message"]
            if field:
                assert [each["field"] for each in answer["problems"]] == [field]
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            assert stage.sessions[stream.name].changes.params()["level"] == 77
            assert await stage.get("/health") == (200, {"status": "OK"})
            assert (await stage.start()).status == 200

    ran(test)


def test_c10_a_change_that_takes_long_is_answered_within_a_second() -> None:
    node = slow_setup()
    node.go.set()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            stream = await stage.start()
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            node.go.clear()
            with clocks.clock().skipping():
                before = clocks.clock().skipped
                status, answer = await stream.params({"depth": 7})
                assert clocks.clock().skipped - before < 1
            assert (status, answer["params"]["depth"]) == (200, 7)
            assert node.closed == []
            node.go.set()

    clocks.ran(test)


@pytest.mark.parametrize("body", [b"", b"{}", b"stream ended", b"\xff\x00"])
@pytest.mark.fault("F-72")
def test_c11_a_stop_may_hold_anything_and_come_often(body: bytes) -> None:
    async def test() -> None:
        async with serving() as stage:
            one, two = await stage.start(), await stage.start()

            async def stop(name: str) -> int:
                async with stage.http.post(
                    stage.worker.address + "/stream/stop",
                    data=body,
                    headers={"X-Stream-Id": name},
                    skip_auto_headers=("Content-Type",),
                ) as answer:
                    return answer.status

            assert await stop("nobody") == 200
            assert set(stage.sessions) == {one.name, two.name}
            assert await stop(one.name) == 200
            assert await stop(one.name) == 200
            assert set(stage.sessions) == {two.name}
            assert (await stage.post("/stream/stop", b""))[0] == 200
            assert stage.sessions == {}
            assert (await stage.post("/stream/stop", b""))[0] == 200

    ran(test)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.fault("F-72")
def test_c12_a_stop_during_a_slow_setup_leaves_nothing_behind(*, answered: bool) -> None:
    node = slow_setup()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            starting = asyncio.ensure_future(stage.post("/stream/start", body_of(stage, "one")))
            if answered:
                await starting
                await _half_a_segment(stage)
            await asyncio.to_thread(stubs.reach, node.begun)
            status, _ = await stage.post("/stream/stop", b"")
            assert status == 200
            await starting
            assert stage.sessions == {}
            assert _at_work() == []
            await _until(stage, lambda: _open_requests(stage, "one") == 0)
            node.go.set()
            await asyncio.to_thread(_setups_over)
            assert node.closed == [1]

    ran(test)


async def _half_a_segment(stage: Stage) -> None:
    """The worker reads a segment of its input, and waits for more of it and for the next."""
    channel = stage.orchestrator.channels.directory.find("one")
    assert channel is not None
    segment = channel.to_write(0)
    assert segment is not None
    channel.began(0, 0.0)
    segment.append(pieces(10)[0].data)
    ingress = stage.sessions["one"].execution.ingress
    await _until(stage, lambda: ingress.counts.bytes == len(segment))


def _at_work() -> list[str]:
    """What goes on for a session or for a channel; no gateway is there that had channels, too."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks() if not task.done()]
    names = [getattr(each, "__qualname__", "") for each in coroutines]
    ours = ("Capability.", "Session.", "Readers.", "Writers.", "Subscriber.", "Publisher.")
    return [name for name in names if name.startswith(ours)]


def _open_requests(stage: Stage, name: str) -> int:
    """How many requests wait for bytes of the channels of a stream, or for room in them."""
    directory = stage.orchestrator.channels.directory
    channels = [directory.find(name + suffix) for suffix in ("", "-out", "-control", "-events")]
    segments = [each.segment(seq) for each in channels if each is not None for seq in range(5)]
    return sum(len(each.wakers) for each in segments if each is not None)


async def _until(stage: Stage, holds: Callable[[], bool]) -> None:
    """Look again whenever the worker has had a turn."""
    while not holds():
        await stage.get("/health")


def _setups_over() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("setup "):
            thread.join(stubs.WAIT)


class Count(Node):
    """A long record with the number of each picture: 24 of them fill one burst."""

    def process(self, image: YUV, *, at: Moment) -> Record:
        return {"number": round(at.pts / 3600), "text": "x" * 9_000}


RARELY = replace(QUICK, status=1000, data=1000, data_keepalive=1000)
"""What goes out for the end goes out because of the end."""


@both
def test_c13_a_stop_flushes_segment_data_and_events_before_it_answers(isolation: str) -> None:
    text = """
nodes:
  source: {type: decode}
  out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}
  count: {type: count, queue: 300, on_full: wait}
  save: {type: record}
"""

    async def test() -> None:
        async with serving(text, {"count": Count}, timing=RARELY, isolation=isolation) as stage:
            stream = await stage.start(data=True)
            await stream.publish(pieces(60), speed=4)
            status, _ = await stage.post("/stream/stop", b"", headers={"X-Stream-Id": stream.name})
            assert status == 200
            # What the server of the channels has by now; readers may be late.
            lines = b"".join(_bodies(stage, stream.name + "-data")).splitlines()
            items = [item["number"] for line in lines for item in json.loads(line)]
            assert items == list(range(60))
            assert numbers(_bodies(stage, stream.name + "-out"))[-1] == 59
            events = [
                event_of(json.loads(body)) for body in _bodies(stage, stream.name + "-events")
            ]
            assert [event["type"] for event in events[-2:]] == ["stream_stopped", "status"]

    ran(test)


def _bodies(stage: Stage, name: str) -> list[bytes]:
    """The segments that a channel still has, each complete, without the empty ones."""
    channel = stage.orchestrator.channels.directory.find(name)
    assert channel is not None
    first = max(0, channel.next_write - wire.WINDOW)
    segments = [channel.segment(seq) for seq in range(first, channel.next_write)]
    present = [segment for segment in segments if segment is not None and len(segment)]
    assert all(segment.closed for segment in present)
    return [segment.read(0, len(segment)) for segment in present]


def test_c13_a_stop_is_answered_in_time_though_nothing_ends() -> None:
    """A node hangs, and the server of the channels takes everything and answers nothing."""

    class Stands(SlowSetup):
        go: ClassVar[threading.Event] = threading.Event()
        begun: ClassVar[threading.Event] = threading.Event()

        def setup(self, ctx: Context) -> None:
            pass

        def process(self, image: YUV) -> OwnYUV:
            self.begun.set()
            stubs.reach(self.go)
            return pixels.copy(image)

        def close(self) -> None:
            pass

    async def test() -> None:
        stub = Stub(POST=[wire_stub.never()])
        async with (
            stub.serving() as url,
            serving(LEVEL, {"dim": Stands}, timing=Timing()) as stage,
        ):
            stream = await stage.start(events_url=url)
            await stream.publish(pieces(10), speed=0)
            await asyncio.to_thread(stubs.reach, Stands.begun)
            with clocks.clock().skipping():
                before = clocks.clock().skipped
                status, _ = await stage.post(
                    "/stream/stop", b"", headers={"X-Stream-Id": stream.name}
                )
                waited = clocks.clock().skipped - before
            Stands.go.set()
            assert status == 200
            assert waited <= 8

    clocks.ran(test)


def test_c14_health_follows_the_streams(shared: type[SlowSetup]) -> None:
    async def test() -> None:
        async with loading(shared) as stage:
            assert await stage.get("/health") == (200, {"status": "LOADING"})
            shared.go.set()
            await stage.worker.ready.wait()
            assert await stage.get("/health") == (200, {"status": "IDLE"})
            stream = await stage.start()
            assert await stage.get("/health") == (200, {"status": "OK"})
            await stream.stop()
            assert await stage.get("/health") == (200, {"status": "IDLE"})

    ran(test)


class Broken(Dim):
    """It cannot be set up."""

    def setup(self, ctx: Context) -> None:
        raise RuntimeError("no weights")


def test_c14_a_stream_that_cannot_start_leaves_nothing() -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Broken}) as stage:
            stream = await stage.start()
            assert (stream.status, stream.answer["status"]) == (500, "error")
            assert "no weights" in stream.answer["message"]
            assert await stage.get("/health") == (200, {"status": "IDLE"})
            assert stage.worker.slots.used == 0

    ran(test)


class Burst(Node):
    """Gives one picture, and fails."""

    def process(self) -> Iterator[Annotated[Picture, Layouts("yuv420p")]]:
        yield numbered(0, 64, 48)
        raise RuntimeError("the camera is gone")


def test_c14_a_stream_that_fails_leaves_nothing() -> None:
    text = "nodes: {source: {type: burst}, out: {type: encode}}"

    async def test() -> None:
        async with serving(text, {"burst": Burst}) as stage:
            stream = await stage.start(ingress=False)
            await stream.until(lambda: "stream_stopped" in stream.kinds())
            await stage.worker.slots.empty.wait()
            assert stage.worker.capabilities["cap"].ended == {Reason.FAILED: 1}
            assert await stage.get("/health") == (200, {"status": "IDLE"})
            assert (await stage.start(ingress=False)).status == 200

    ran(test)


CARD = {"id", "name", "memory_total", "memory_free"}


@pytest.mark.parametrize("cards", [None, 0, 2])
def test_c15_versions_and_hardware_have_their_keys(
    monkeypatch: pytest.MonkeyPatch, cards: int | None
) -> None:
    """cards: how many GPUs NVIDIA's library finds; None where there is no such library."""
    monkeypatch.setitem(sys.modules, "pynvml", cards if cards is None else _Nvml(cards))

    async def test() -> None:
        async with serving() as stage:
            status, version = await stage.get("/version")
            assert (status, set(version)) == (200, {"pipeline", "model_id", "version"})
            assert (version["pipeline"], version["model_id"]) == ("byoc", "cap")
            assert set((await stage.get("/app-version"))[1]) == {"version"}
            named = {"pipeline": "byoc", "model_id": "cap"}
            more = {
                "info": {"major", "minor"},
                "stats": {"utilization_compute", "utilization_memory"},
            }
            for what, keys in more.items():
                status, body = await stage.get(f"/hardware/{what}")
                gpus = body.pop(f"gpu_{what}")
                assert (status, body) == (200, named)
                assert list(gpus) == [str(number) for number in range(cards or 0)]
                assert all(set(gpu) == CARD | keys for gpu in gpus.values())

    ran(test)


class _Nvml:
    """NVIDIA's library, with so many cards."""

    class NVMLError(Exception):
        pass

    def __init__(self, cards: int) -> None:
        self._cards = cards

    def nvmlInit(self) -> None:
        if not self._cards:
            raise self.NVMLError("no driver is loaded")

    def nvmlShutdown(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return self._cards

    def nvmlDeviceGetHandleByIndex(self, at: int) -> int:
        return at

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=2, free=1)

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "a card"

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:
        return 9, 0

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=3, memory=4)


ALWAYS = {
    *("status", "state", "error_message", "pipeline_ready", "active_streams", "startup_complete"),
    *("pipeline_state", "additional_info", "client_active", "streams"),
}


def test_c15_the_status_has_its_keys_with_and_without_a_stream() -> None:
    async def test() -> None:
        async with serving() as stage:
            status, body = await stage.get("/stream/status")
            assert (status, set(body)) == (200, ALWAYS)
            assert (body["status"], body["state"], body["pipeline_state"]) == ("IDLE",) * 3
            assert (body["active_streams"], body["client_active"]) == (0, False)
            stream = await stage.start()
            for path in ("/stream/status", "/api/stream/status"):
                body = (await stage.get(path))[1]
                assert set(body) == ALWAYS | {"client_running", "fps", "current_params"}
                assert (body["status"], body["state"], body["pipeline_state"]) == ("OK",) * 3
                assert (body["pipeline_ready"], body["startup_complete"]) == (True, True)
                assert (body["active_streams"], body["client_active"]) == (1, True)
                assert (body["error_message"], body["additional_info"]) == (None, {})
                assert set(body["fps"]) == {
                    *("ingress_video_fps", "ingress_audio_fps"),
                    *("egress_video_fps", "egress_audio_fps"),
                }
                assert body["current_params"]["gateway_request_id"] == stream.name
                assert set(body["streams"]) == {stream.name}

    ran(test)


GUARDED = [
    *(
        ("POST", prefix + path)
        for prefix in ("", "/api")
        for path in ("/stream/start", "/stream/params", "/stream/stop")
    ),
    *(("GET", "/stream/status"), ("GET", "/api/stream/status")),
    *(("POST", "/live-video-to-video"), ("POST", "/process"), ("POST", "/process/cap")),
    *(("POST", "/process/64x64"), ("POST", "/process/cap/64x64")),
]


@pytest.mark.fault("F-76")
def test_c16_a_wrong_token_is_401_and_nothing_else_is() -> None:
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer righ"},
    )

    async def test() -> None:
        async with serving(tokens=("right", "also")) as stage:
            for method, path in GUARDED:
                address = stage.worker.address + path
                for headers in wrong:
                    async with stage.http.request(method, address, headers=headers) as answer:
                        assert answer.status == 401, path
                        assert (await answer.json())["status"] == "error"
                for token in ("right", "also"):
                    headers = {"Authorization": f"Bearer {token}"}
                    async with stage.http.request(method, address, headers=headers) as answer:
                        assert answer.status not in (401, 405, 500), path
            assert (await stage.get("/health"))[0] == 200

    ran(test)


@pytest.mark.fault("F-75")
def test_c16_a_wrong_token_registers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "RENEW_SECONDS", 0.0)

    async def test() -> None:
        async with Orchestrator().serving() as there:
            known: dict[str, Any] = {"orchestrators": (there.url,), "orch_secret": "secret"}
            async with serving(tokens=("right",), **known) as stage:
                await there.has("cap")
                for count, path in enumerate(("/stream/start", "/stream/params", "/process"), 2):
                    there.forget_all()
                    assert (await stage.post(path, b""))[0] == 401
                    await there.has("cap")
                    assert len(there.registrations) == count

    ran(test)
