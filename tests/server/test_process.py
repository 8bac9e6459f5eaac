"""One-shot jobs beside the streams of a worker: what a job cannot do to them, and to the next."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from composer import YUV, Node, threads
from composer.engine import oneshot
from composer.engine.oneshot import JobLimits
from composer.limits import WireLimits
from composer.server import process
from composer.testing import gradient
from tests.conformance.test_c47_c48_batch import encoded, post
from tests.server.streams import Stage, ran, serving
from tests.stubs import reach

TEXT = "nodes: {source: {type: decode}, wait: {type: wait}, out: {type: encode}}"
PICTURE = encoded(gradient(64, 64), "png")
SHORT = JobLimits(seconds=0.2)


class Gate:
    """Where pictures of one size wait until the test lets them by; those of streams do not."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Semaphore(0), threading.Event()

    @property
    def node(self) -> type[Node]:
        gate = self

        class Wait(Node):
            """Let pictures of 64 columns by when the gate is open."""

            def process(self, image: YUV) -> YUV:
                if image.width == 64:
                    gate.reached.release()
                    reach(gate.open)
                return image

        return Wait

    async def came(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.reached.acquire, timeout=20)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr(oneshot, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    made = Gate()
    yield made
    made.open.set()


def test_a_stream_starts_and_ends_beside_as_many_jobs_as_there_is_room_for(gate: Gate) -> None:
    async def test() -> None:
        async with serving(TEXT, {"wait": gate.node}, capacity=40) as stage:
            jobs = [asyncio.ensure_future(post(stage, "/process", PICTURE)) for _ in range(39)]
            await gate.came(39)
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            assert (await stream.stop())[0] == 200
            gate.open.set()
            assert [status for status, _, _ in await asyncio.gather(*jobs)] == [200] * 39

    ran(test, 50)


def test_a_job_that_hangs_is_answered_at_its_limit_and_its_slot_is_free(gate: Gate) -> None:
    async def test() -> None:
        async with serving(TEXT, {"wait": gate.node}, capacity=1, limits=SHORT) as stage:
            status, answer, _ = await post(stage, "/process", PICTURE)
            assert status == 504
            assert json.loads(answer)["message"] == "job took more than 0.3 s"
            assert stage.worker.slots.used == 0
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            assert (await stage.get("/live"))[0] == 200
            await stream.stop()

    ran(test)


def test_where_many_jobs_hang_no_more_are_taken(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MOST_LEFT", 4)

    async def test() -> None:
        async with serving(TEXT, {"wait": gate.node}, capacity=1, limits=SHORT) as stage:
            for _ in range(4):
                assert (await post(stage, "/process", PICTURE))[0] == 504
            status, _, headers = await post(stage, "/process", PICTURE)
            assert (status, headers["Retry-After"]) == (503, "5")
            assert await stage.get("/live") == (
                503,
                {"ok": False, "why": "4 of 'job' hang, so no more is begun"},
            )
            gate.open.set()
            while (await stage.get("/live"))[0] != 200:
                pass
            assert (await post(stage, "/process", PICTURE))[0] == 200
            assert not stage.worker.left_behind

    ran(test)


def test_a_worker_with_jobs_that_hang_leaves_them_behind(gate: Gate) -> None:
    async def test() -> None:
        async with serving(TEXT, {"wait": gate.node}, limits=SHORT) as stage:
            assert (await post(stage, "/process", PICTURE))[0] == 504
        assert stage.worker.left_behind

    ran(test)


def test_a_client_who_leaves_a_job_that_hangs_gives_its_slot_back(gate: Gate) -> None:
    async def test() -> None:
        async with serving(TEXT, {"wait": gate.node}, capacity=1) as stage:
            job = asyncio.ensure_future(post(stage, "/process", PICTURE))
            await gate.came(1)
            job.cancel()
            await stage.worker.slots.empty.wait()
            assert stage.worker.places.jobs.left_behind == 1

    ran(test)


# bodies


async def half_sent(stage: Stage) -> asyncio.StreamWriter:
    """A job whose body begins to come, and goes no further."""
    host, port = stage.worker.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /process HTTP/1.1\r\nHost: worker\r\nContent-Length: 1000\r\n\r\nhalf")
    await writer.drain()
    return writer


def test_no_more_bodies_come_at_once_than_there_are_slots() -> None:
    async def test() -> None:
        async with serving(capacity=1) as stage:
            writer = await half_sent(stage)
            while (await post(stage, "/process", PICTURE))[0] != 503:
                pass  # until the worker has seen the other one
            assert stage.worker.slots.used == 0
            stream = await stage.start()
            assert stream.status == 200, stream.answer
            await stream.stop()
            writer.close()
            await writer.wait_closed()
            while (await post(stage, "/process", PICTURE))[0] != 200:
                pass

    ran(test)


@pytest.mark.fault("F-78")
def test_a_body_that_does_not_come_is_given_up() -> None:
    async def test() -> None:
        async with serving(capacity=1, wire=WireLimits(file_s=0.2)) as stage:
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /process HTTP/1.1\r\nHost: w\r\nContent-Length: 9\r\n\r\nhalf")
            assert b" 408 " in await reader.readline()
            writer.close()
            assert (await post(stage, "/process", PICTURE))[0] == 200

    ran(test)


def test_json_that_is_too_long_is_refused_with_what_to_do() -> None:
    async def test() -> None:
        async with serving() as stage:
            body = io.BytesIO(b'{"image": "' + bytes(WireLimits().job))
            kind = {"Content-Type": "application/json"}
            address = stage.worker.address + "/process"
            async with stage.http.post(address, data=body, headers=kind) as answer:
                assert answer.status == 413
                said = (await answer.json())["message"]
            assert "send the picture as the body, or in a form" in said

    ran(test)


def test_a_picture_comes_in_json_as_well_as_in_a_form() -> None:
    async def test() -> None:
        async with serving() as stage:
            image = base64.b64encode(PICTURE).decode()
            body = json.dumps({"image": f"data:image/png;base64,{image}", "format": "rgb"})
            in_json = await post(stage, "/process", body.encode(), "application/json")
            form = (
                b'--x\r\nContent-Disposition: form-data; name="format"\r\n\r\nrgb\r\n'
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
                + PICTURE
                + b"\r\n--x--\r\n"
            )
            in_form = await post(stage, "/process", form, "multipart/form-data; boundary=x")
            assert in_json[0] == in_form[0] == 200
            assert in_json[1] == in_form[1]

    ran(test)


def test_a_large_picture_in_json_is_the_same_as_the_picture() -> None:
    async def test() -> None:
        async with serving() as stage:
            noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
            picture = encoded(noise, "png")
            body = json.dumps({"image": base64.b64encode(picture).decode(), "format": "rgb"})
            assert len(body) > WireLimits().at_once
            apart = await post(stage, "/process", body.encode(), "application/json")
            alone = await post(stage, "/process?format=rgb", picture)
            assert apart[:2] == alone[:2]
            assert apart[0] == 200
            assert stage.worker.parser.read_count["apart"] == 1

    ran(test)


def test_an_answer_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its slot would be taken for as long as a client likes."""
    monkeypatch.setattr(process, "SEND_SECONDS", 0.2)

    async def test() -> None:
        async with serving("nodes: {s: {type: decode}, o: {type: encode}}", capacity=1) as stage:
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            raw = bytes(3 * 4000 * 4000)  # more than sockets hold
            head = f"POST /process/4000x4000 HTTP/1.1\r\nHost: w\r\nContent-Length: {len(raw)}"
            writer.write(head.encode() + b"\r\n\r\n" + raw)
            assert b" 200 " in await reader.readline()
            await stage.worker.slots.empty.wait()
            writer.close()

    ran(test, 50)
