"""The REST surface, C-01 to C-16 of the contract's checklist."""

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from composer import YUV, Context, Live, Node, OwnYUV
from composer.pictures import pixels
from tests import stubs
from tests.server.streams import Stage, numbers, pieces, ran, serving

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


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"text", b'{"control_url": "http://h/c", "events_url": "http://h/e"}'],
)
def test_c03_a_start_that_says_nothing_is_refused_and_nobody_else_suffers(body: bytes) -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            status, answer = await stage.post("/stream/start", body)
            assert (status, answer["status"]) == (400, "error")
            assert await stage.get("/health") == (200, {"status": "OK"})
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            await stream.stop()
            assert numbers(stream.output) == list(range(20))

    ran(test)


def test_c04_a_start_above_capacity_or_while_loading_is_refused_with_a_time() -> None:
    async def test() -> None:
        async with serving(capacity=2, loading_s=0.05) as stage:
            streams = [await stage.start() for _ in range(5)]
            assert [each.status for each in streams] == [200, 200, 503, 503, 503]
            async with stage.http.post(
                stage.worker.address + "/stream/start", json=body_of(stage, "late")
            ) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            await streams[0].stop()
            assert (await stage.start()).status == 200
            stage.worker.ready.clear()
            await streams[1].stop()
            assert (await stage.start()).status == 503
            assert await stage.get("/health") == (200, {"status": "LOADING"})

    ran(test)


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


def test_c06_a_start_is_answered_before_any_media_and_before_a_slow_setup() -> None:
    node = slow_setup()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            stream = await stage.start()
            assert stream.status == 200
            assert not node.go.is_set()
            assert stream.answer["current_state"]["state"] == "LOADING"
            node.go.set()

    ran(test)


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


def test_c08_params_change_the_stream_that_is_named() -> None:
    async def test() -> None:
        async with serving(LEVEL, {"dim": Dim}) as stage:
            one, two = await stage.start(), await stage.start()
            status, answer = await one.params({"level": 200})
            assert (status, answer["params"]) == (200, {"level": 200, "depth": 1})
            for each in (one, two):
                await each.publish(pieces(20), speed=4)
                await each.until(lambda each=each: len(numbers(each.output)) == 20)  # type: ignore[misc]
            assert stage.sessions[one.name].params()["level"] == 200
            assert stage.sessions[two.name].params()["level"] == 90
            status, answer = await stage.post(
                "/stream/params", {"level": 1}, headers={"X-Stream-Id": "nobody"}
            )
            assert (status, answer["status"]) == (404, "error")
            assert (await stage.post("/stream/params", {"level": 1}))[0] == 400
            assert stage.sessions[two.name].params()["level"] == 90

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
            assert stage.sessions[stream.name].params()["level"] == 77
            assert await stage.get("/health") == (200, {"status": "OK"})
            assert (await stage.start()).status == 200

    ran(test)


def test_c10_a_change_that_takes_long_is_answered_at_once() -> None:
    node = slow_setup()
    node.go.set()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            stream = await stage.start()
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 10)
            node.go.clear()
            status, answer = await stream.params({"depth": 7})
            assert (status, answer["params"]["depth"]) == (200, 7)
            assert node.closed == []
            node.go.set()

    ran(test)


@pytest.mark.parametrize("body", [b"", b"{}", b"stream ended", b"\xff\x00"])
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


def test_c12_a_stop_during_a_slow_setup_leaves_nothing_behind() -> None:
    node = slow_setup()

    async def test() -> None:
        async with serving(LEVEL, {"dim": node}) as stage:
            before = asyncio.all_tasks()
            starting = asyncio.ensure_future(stage.post("/stream/start", body_of(stage, "one")))
            await asyncio.to_thread(stubs.reach, node.begun)
            status, _ = await stage.post("/stream/stop", b"")
            assert status == 200
            await starting
            assert stage.sessions == {}
            node.go.set()
            await asyncio.to_thread(_setups_over)
            assert node.closed == [1]
            left = {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}
            assert not [name for name in left if name.startswith("session")]

    ran(test)


def _setups_over() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("setup "):
            thread.join(stubs.WAIT)


def test_c13_a_stop_flushes_the_last_segment_and_the_events_before_it_answers() -> None:
    async def test() -> None:
        async with serving() as stage:
            stream = await stage.start()
            await stream.publish(pieces(35), speed=4)
            await stream.stop()
            seen = [each for each in numbers(stream.output) if each is not None]
            assert seen[-1] == 34
            assert stream.kinds()[-2:] == ["stream_stopped", "status"]

    ran(test)


def test_c14_health_follows_the_streams_and_a_failed_one_leaves_nothing() -> None:
    class Broken(Dim):
        def setup(self, ctx: Context) -> None:
            raise RuntimeError("no weights")

    async def test() -> None:
        async with serving() as stage:
            assert await stage.get("/health") == (200, {"status": "IDLE"})
            stream = await stage.start()
            assert await stage.get("/health") == (200, {"status": "OK"})
            await stream.stop()
            assert await stage.get("/health") == (200, {"status": "IDLE"})

    async def failing() -> None:
        async with serving(LEVEL, {"dim": Broken}) as stage:
            stream = await stage.start()
            assert (stream.status, stream.answer["status"]) == (500, "error")
            assert "no weights" in stream.answer["message"]
            assert await stage.get("/health") == (200, {"status": "IDLE"})
            assert stage.worker.slots.used == 0

    ran(test)
    ran(failing)


def test_c15_versions_hardware_and_status_have_their_keys() -> None:
    async def test() -> None:
        async with serving() as stage:
            status, version = await stage.get("/version")
            assert (status, set(version)) == (200, {"pipeline", "model_id", "version"})
            assert (version["pipeline"], version["model_id"]) == ("byoc", "cap")
            assert set((await stage.get("/app-version"))[1]) == {"version"}
            info = (await stage.get("/hardware/info"))[1]
            stats = (await stage.get("/hardware/stats"))[1]
            assert set(info) == {"pipeline", "model_id", "gpu_info"}
            assert set(stats) == {"pipeline", "model_id", "gpu_stats"}
            stream = await stage.start()
            for path in ("/stream/status", "/api/stream/status"):
                body = (await stage.get(path))[1]
                assert {
                    *("status", "state", "error_message", "pipeline_ready", "active_streams"),
                    *("startup_complete", "pipeline_state", "additional_info", "client_active"),
                    *("client_running", "fps", "current_params"),
                } <= set(body)
                assert set(body["streams"]) == {stream.name}

    ran(test)


def test_c16_a_wrong_token_is_401_and_registers_again_and_nothing_else_is() -> None:
    async def test() -> None:
        async with serving(tokens=("right", "also")) as stage:
            renewed: list[int] = []
            stage.worker.registrations = [_Renewed(renewed)]  # type: ignore[list-item]
            for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer righ"}):
                status, answer = await stage.post("/stream/start", BODY, headers=header)
                assert (status, answer["status"]) == (401, "error")
            assert len(renewed) == 3
            for token in ("right", "also"):
                status, _ = await stage.post(
                    "/stream/stop", b"", headers={"Authorization": f"Bearer {token}"}
                )
                assert status == 200
            assert (await stage.get("/health"))[0] == 200
            stage.worker.registrations = []

    ran(test)


class _Renewed:
    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def renew(self) -> None:
        self._seen.append(1)
