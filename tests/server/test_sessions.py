"""Streams through a whole worker: pictures in, pictures out, and every way to end."""

import asyncio
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import av
import pytest

from composer import YUV, Context, Node, Tensor
from composer.session.ending import Reason
from composer.session.timing import Timing
from composer.testing.orchestrator import Stream
from composer.trickle.client import Client, Response
from composer.trickle.server import TrickleServer
from tests import stubs
from tests.isolation.crashes import Fails
from tests.media import transport
from tests.server.streams import QUICK, both, numbers, pictures, pieces, ran, serving


@both
def test_every_picture_comes_back_in_order_with_its_time(isolation: str) -> None:
    async def test() -> None:
        async with serving(isolation=isolation) as stage:
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            await stream.publish(pieces(50), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 50)
            status, answer = await stream.stop()
            assert (status, answer["reason"]) == (200, "stopped")
            assert numbers(stream.output) == list(range(50))
            times = [image.pts for image in pictures(stream.output)]
            assert times == [3600 * number for number in range(50)]
            assert stage.sessions == {}

    ran(test)


@pytest.mark.parametrize("source", ["auto", "cuda"])
def test_sessions_work_on_a_stand_in_for_a_device(stand_in: str, source: str) -> None:
    side_by_side(stand_in, source)


def test_sessions_work_on_a_device_side_by_side(device: str) -> None:
    side_by_side(device, "auto")


@pytest.mark.cuda
def test_sessions_that_a_device_decodes_work_side_by_side() -> None:
    side_by_side("cuda", "cuda")


def side_by_side(device: str, source: str) -> None:
    """Two sessions whose node works on a device give back all their pictures."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # else all tests that run now want all cores

    class Mirror(Node):
        """Turn the picture round, twice."""

        devices = ("cpu", "cuda")

        def process(self, image: Tensor) -> Tensor:
            return image.flip(2).flip(2)

    def has(stream: Stream, count: int) -> bool:
        return len(numbers(stream.output)) == count

    waits = "queue: 300, on_full: wait"
    text = (
        f"nodes: {{s: {{type: decode, device: {source}}},"
        f" m: {{type: mirror, device: '{device}', {waits}}},"
        f" o: {{type: encode, keyframe_s: 0.4, {waits}}}}}"
    )

    async def test() -> None:
        async with serving(text, {"mirror": Mirror}) as stage:
            streams = [await stage.start() for _ in range(2)]
            async with asyncio.TaskGroup() as group:
                for each in streams:
                    group.create_task(each.publish(pieces(20), speed=4))
            for each in streams:
                await each.until(partial(has, each, 20))
                assert (await each.stop())[1]["reason"] == "stopped"
                assert numbers(each.output) == list(range(20))

    try:
        ran(test)
    finally:
        torch.set_num_threads(threads)


def test_a_session_knows_how_many_share_the_machine() -> None:
    seen: list[int] = []

    class Sharing(Node):
        """Asks how many sessions there are."""

        def setup(self, ctx: Context) -> None:
            seen.append(ctx.sessions)

        def process(self, image: YUV) -> YUV:
            return image

    text = "nodes: {s: {type: decode}, n: {type: sharing}, o: {type: encode}}"

    async def test() -> None:
        async with serving(text, {"sharing": Sharing}) as stage:
            for _ in range(2):
                assert (await stage.start()).status == 200
            assert seen == [1, 2]

    ran(test)


@pytest.mark.fault("F-42")
@both
def test_a_node_that_fails_is_gone_by_and_told(isolation: str) -> None:
    text = (
        "nodes: {s: {type: decode}, f: {type: fails, queue: 300, on_full: wait},"
        " o: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
    )

    async def test() -> None:
        async with serving(text, {"fails": Fails}, isolation=isolation) as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            await stream.until(lambda: stream.kinds().count("node_error") == 2)
            errors = stage.sessions[stream.name].trouble.errors
            await stream.until(lambda: errors == {"f": 20})
            _, said = await stage.get("/stream/status")
            status = said["streams"][stream.name]
            assert status["state"] == "DEGRADED_INFERENCE"
            assert status["inference_status"]["errors"] == {"f": 20}
            await stream.stop()

    ran(test)


@pytest.mark.fault("F-43")
def test_a_node_that_hangs_ends_its_session_and_no_other() -> None:
    class Hangs(Node):
        """Stands at its first picture."""

        go: ClassVar[threading.Event] = threading.Event()

        def process(self, image: YUV) -> YUV:
            stubs.reach(self.go)
            return image

    text = "nodes: {s: {type: decode}, h: {type: hangs}, o: {type: encode}}"
    timing = replace(QUICK, stall=0.4, drain=0.2)

    async def test() -> None:
        async with serving(text, {"hangs": Hangs}, timing=timing) as stage:
            stream, other = await stage.start(), await stage.start()
            session = stage.sessions[stream.name]
            await stream.publish(pieces(50), speed=1)
            await session.over.wait()
            assert session.reason == "failed"
            assert session.failure.startswith("nothing came out")
            assert set(stage.sessions) == {other.name}
            assert stage.worker.slots.used == 1
            Hangs.go.set()

    ran(test)


@pytest.mark.fault("F-43")
def test_a_start_whose_source_hangs_is_given_up_and_gives_its_slot_back() -> None:
    go = threading.Event()

    class Hangs(Node):
        """Stands in its setup()."""

        def setup(self, ctx: Context) -> None:
            stubs.reach(go)

        def process(self) -> Iterator[YUV]:
            yield from ()

    text = "nodes: {h: {type: hangs}, o: {type: encode}}"

    async def test() -> None:
        timing = replace(QUICK, setup=0.2)
        async with serving(text, {"hangs": Hangs}, timing=timing, capacity=1) as stage:
            assert (await stage.start()).status == 504
            assert stage.worker.slots.used == 0
            assert stage.worker.places.starts.left_behind == 1
            go.set()

    ran(test)


@both
@pytest.mark.parametrize("suffix", ["", "-out", "-control"])
@pytest.mark.fault("F-04")
def test_a_channel_that_is_closed_ends_the_session_once(suffix: str, isolation: str) -> None:
    async def test() -> None:
        async with serving(isolation=isolation) as stage:
            stream = await stage.start()
            await stream.publish(pieces(20), speed=4)
            session = stage.sessions[stream.name]
            await stream.delete(suffix)
            if suffix == "-out":
                await stream.publish(pieces(30), speed=4)
            await session.over.wait()
            closed = {"": "input_closed", "-out": "output_closed", "-control": "control_closed"}
            assert session.reason == closed[suffix]
            assert stage.worker.slots.used == 0
            assert await stage.get("/health") == (200, {"status": "IDLE"})

    ran(test)


@pytest.mark.fault("F-02")
@both
def test_a_server_of_channels_that_is_gone_ends_the_session(isolation: str) -> None:
    async def test() -> None:
        timing = replace(QUICK, lost=0.3, flush=0.2)
        async with serving(timing=timing, isolation=isolation) as stage:
            other = TrickleServer()
            async with other.serving() as address:
                for suffix in ("", "-out", "-control", "-events"):
                    other.directory.create("x" + suffix, "video/MP2T")
                body = {
                    "gateway_request_id": "x",
                    "control_url": f"{address}/x-control",
                    "events_url": f"{address}/x-events",
                    "subscribe_url": f"{address}/x",
                    "publish_url": f"{address}/x-out",
                }
                assert (await stage.post("/stream/start", body))[0] == 200
                session = stage.sessions["x"]
            await session.over.wait()
            assert stage.worker.slots.used == 0

    ran(test)


@pytest.mark.parametrize("channel", ["publish", "events", "subscribe", "control"])
def test_a_channel_whose_requests_fail_as_none_should_is_its_sessions_alone(
    channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the client, as one in ours would be: neither the network's nor a server's."""
    got, posted = Client.get, Client.post

    async def broken_get(client: Client, address: str) -> Response:
        if "/bad/" in address:
            raise RuntimeError("s3cr3t")
        return await got(client, address)

    async def broken_post(client: Client, address: str, *more: Any) -> Response:
        if "/bad/" in address:
            raise RuntimeError("s3cr3t")
        return await posted(client, address, *more)

    monkeypatch.setattr(Client, "get", broken_get)
    monkeypatch.setattr(Client, "post", broken_post)

    async def test() -> None:
        async with serving() as stage:
            quiet = await stage.start()
            named = {f"{channel}_url": f"{stage.orchestrator.trickle}/bad/x"}
            bad = await stage.start(**named)
            await quiet.publish(pieces(20), speed=0)
            if bad.name in stage.sessions:
                await stage.sessions[bad.name].over.wait()
            assert list(stage.sessions) == [quiet.name]
            assert stage.worker.capabilities["cap"].ended.keys() <= {Reason.LOST, Reason.FAILED}
            await quiet.until(lambda: len(numbers(quiet.output)) == 20)
            await quiet.stop()

    ran(test)
    assert "never retrieved" not in caplog.text
    assert caplog.text.count("broke") == 1


def test_a_caller_who_says_nothing_and_sends_nothing_is_not_waited_for() -> None:
    timing = replace(QUICK, lease=0.3)

    async def test() -> None:
        async with serving(timing=timing) as stage:
            stream = await stage.start()
            session = stage.sessions[stream.name]
            await session.over.wait()
            assert session.reason == "idle"

    assert Timing().lease == 60
    ran(test)


@both
def test_sound_comes_out_beside_its_pictures(isolation: str) -> None:
    text = (
        "nodes: {source: {type: test_source, width: 64, height: 48, fps: 25, tone: 440},"
        " out: {type: encode, keyframe_s: 0.4}}"
    )

    async def test() -> None:
        async with serving(text, isolation=isolation) as stage:
            stream = await stage.start(ingress=False)
            await stream.until(lambda: len(stream.output) >= 3)
            _, said = await stage.get("/stream/status")
            assert said["fps"]["egress_audio_fps"] > 0
            await stream.stop()
            opened: Any
            with av.open(io.BytesIO(b"".join(stream.output)), format="mpegts") as opened:
                kinds = {each.type: each.codec_context.name for each in opened.streams}
                assert kinds == {"video": "h264", "audio": "opus"}

    ran(test)


@both
def test_the_pictures_that_a_decoder_holds_come_out_at_a_stop(isolation: str) -> None:
    """With B-frames the last pictures are only complete when nothing more comes."""

    async def test() -> None:
        async with serving(isolation=isolation) as stage:
            stream = await stage.start()
            data = transport.stream(preset="superfast", bf="3", g="10")
            for at in range(0, len(data), 188 * 20):
                await stream.send(data[at : at + 188 * 20], begins=at == 0)
                await asyncio.sleep(0.005)
            await stream.cut()
            await stream.stop()
            assert len(list(pictures(stream.output))) == 40

    ran(test)
