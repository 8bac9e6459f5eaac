"""One-shot jobs, C-47 and C-48 of the contract's checklist."""

import base64
import io
import json
import threading
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from composer import RGB, Live, Node
from composer.testing import bars, gradient
from tests import clocks, stubs
from tests.server.streams import Stage, clip_bytes, ran, serving

PASS = "nodes: {source: {type: decode}, out: {type: encode}}"
BRIGHT = (
    "params: {by: light.by, note: light.note}\n"
    "nodes: {source: {type: decode}, light: {type: light}, out: {type: encode}}"
)


class Light(Node):
    """Add to every channel."""

    by: int = Live(0, ge=-255, le=255)
    note: str = Live("")

    go: ClassVar[threading.Event] = threading.Event()

    def process(self, image: RGB) -> RGB:
        if self.by == 201:
            stubs.reach(self.go)
        if self.by >= 200:
            raise RuntimeError("/secret/path is broken")
        return np.clip(image.astype(np.int16) + self.by, 0, 255).astype(np.uint8)


def encoded(pixels: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {"quality": 98, "subsampling": 0}
    Image.fromarray(pixels).save(buffer, kind, **({} if kind == "png" else options))
    return buffer.getvalue()


def decoded(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def asked(by: int) -> dict[str, Any]:
    """The body of a job in JSON."""
    image = base64.b64encode(encoded(PICTURE, "png")).decode()
    return {"params": {"by": by}, "image": image}


PICTURE = np.vstack([bars(64, 32), gradient(64, 32)])


async def post(
    stage: Stage, path: str, body: bytes, kind: str = "application/octet-stream", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    async with stage.http.post(
        stage.worker.address + path, data=body, headers={"Content-Type": kind, **headers}
    ) as answer:
        return answer.status, await answer.read(), dict(answer.headers)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_c47_a_picture_comes_back_as_what_it_was(kind: str) -> None:
    async def test() -> None:
        async with serving(PASS) as stage:
            data = encoded(PICTURE, kind)
            status, body, headers = await post(stage, "/process", data, f"image/{kind}")
            assert (status, headers["Content-Type"]) == (200, f"image/{kind}")
            about = json.loads(headers["X-Metadata"])
            assert (about["width"], about["height"], about["frames"]) == (64, 64, 1)
            far = np.abs(decoded(body).astype(int) - decoded(data).astype(int))
            assert far.max() <= (0 if kind != "jpeg" else 12)

    ran(test)


@pytest.mark.parametrize("path", ["/process/64x64", "/process?width=64&height=64"])
def test_c47_raw_rgb_comes_back_byte_by_byte(path: str) -> None:
    async def test() -> None:
        async with serving(PASS) as stage:
            status, body, headers = await post(stage, path, PICTURE.tobytes())
            assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
            assert body == PICTURE.tobytes()

    ran(test)


def test_c47_params_count_and_the_type_can_be_chosen() -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage:
            body = {
                "params": {"by": 50},
                "image": base64.b64encode(encoded(PICTURE, "png")).decode(),
            }
            status, data, headers = await post(
                stage, "/process/cap?format=webp", json.dumps(body).encode(), "application/json"
            )
            assert (status, headers["Content-Type"]) == (200, "image/webp")
            assert json.loads(headers["X-Metadata"])["params"] == {"by": 50, "note": ""}
            expected = np.clip(PICTURE.astype(int) + 50, 0, 255)
            assert np.abs(decoded(data).astype(int) - expected).mean() < 4

    ran(test)


def test_c47_a_clip_comes_back_as_a_clip() -> None:
    async def test() -> None:
        async with serving(PASS) as stage:
            status, body, headers = await post(stage, "/process", clip_bytes(20), "video/mp4")
            assert (status, headers["Content-Type"]) == (200, "video/mp4")
            assert json.loads(headers["X-Metadata"])["frames"] == 20
            assert body[4:8] == b"ftyp"

    ran(test)


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/process", b"", "text/plain", 200),
        ("/process", b"nothing known", "image/png", 415),
        ("/process/64x64", b"too short", "application/octet-stream", 422),
        ("/process?format=nonsense", encoded(PICTURE, "png"), "image/png", 422),
        ("/process", b"{", "application/json", 400),
        ("/process", b'{"params": {"by": 999}, "image": ""}', "application/json", 422),
        ("/process/other", encoded(PICTURE, "png"), "image/png", 404),
        ("/process", encoded(PICTURE, "png")[:100], "image/png", 400),
    ],
)
def test_c47_what_is_wrong_is_said_with_the_right_status(
    path: str, body: bytes, kind: str, status: int
) -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage:
            found, answer, _ = await post(stage, path, body, kind)
            assert found == status, answer
            if status != 200:
                assert json.loads(answer)["status"] == "error"
            assert stage.worker.slots.used == 0

    ran(test)


def test_c47_a_failure_inside_is_500_without_a_path() -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage:
            body = {
                "params": {"by": 200},
                "image": base64.b64encode(encoded(PICTURE, "png")).decode(),
            }
            status, answer, _ = await post(
                stage, "/process", json.dumps(body).encode(), "application/json"
            )
            assert status == 500
            assert b"light" in answer
            assert b"secret" not in answer

    ran(test)


def test_c47_a_job_takes_room_and_waits_for_none() -> None:
    async def test() -> None:
        async with serving(PASS, capacity=1) as stage:
            stream = await stage.start()
            assert stream.status == 200
            status, _, headers = await post(stage, "/process", encoded(PICTURE, "png"))
            assert (status, headers["Retry-After"]) == (503, "5")
            await stream.stop()
            assert (await post(stage, "/process", encoded(PICTURE, "png")))[0] == 200

    ran(test)


NOISE = np.random.default_rng(48).integers(0, 256, (256, 256, 3), dtype=np.uint8)
"""Several lines long, however it is packed."""


def test_c48_a_result_is_a_stream_of_short_lines_that_says_when_it_is_done() -> None:
    async def test() -> None:
        async with serving(PASS) as stage:
            data = encoded(NOISE, "png")
            status, body, headers = await post(
                stage, "/process", data, "image/png", Accept="text/event-stream"
            )
            assert (status, headers["Content-Type"]) == (200, "text/event-stream")
            lines = body.decode().splitlines()
            assert lines[-2:] == ["data: [DONE]", ""]
            assert body.count(b"[DONE]") == 1
            assert max(map(len, lines)) < 64 * 1024
            events = [block.splitlines() for block in body.decode().split("\n\n") if block]
            chunks = [line[6:] for name, line in events[:-1] if name == "event: chunk"]
            assert len(chunks) > 1
            given = b"".join(base64.b64decode(chunk) for chunk in chunks)
            assert np.array_equal(decoded(given), NOISE)

    ran(test)


@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_c48_params_of_any_size_make_no_long_line(accept: str) -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage:
            job = asked(0) | {"params": {"note": "[DONE]" * 20_000}}
            status, body, headers = await post(
                stage, "/process", json.dumps(job).encode(), "application/json", Accept=accept
            )
            assert status == 200
            assert len(headers.get("X-Metadata", "")) < 8 * 1024
            if accept == "text/event-stream":
                assert max(map(len, body.splitlines())) < 64 * 1024
                assert body.count(b"[DONE]") == 1

    ran(test)


def test_c48_a_failure_in_the_stream_is_an_event_before_it_is_done() -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage:
            with clocks.clock().skipping():
                answer = await stage.http.post(
                    stage.worker.address + "/process",
                    json=asked(201),
                    headers={"Accept": "text/event-stream"},
                )
                assert await answer.content.readline() == b"event: progress\n"
            Light.go.set()
            body = await answer.read()
            names = [line for line in body.splitlines() if line.startswith(b"event: ")]
            assert names[-1] == b"event: error"
            assert body.endswith(b"data: [DONE]\n\n")
            assert b"secret" not in body

    clocks.ran(test)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"nothing known", "image/png", 415),
        (b"{", "application/json", 400),
        (json.dumps(asked(999)).encode(), "application/json", 422),
        (json.dumps(asked(200)).encode(), "application/json", 500),
    ],
)
def test_c48_an_error_before_the_stream_is_no_stream(body: bytes, kind: str, expected: int) -> None:
    async def test() -> None:
        async with serving(BRIGHT, {"light": Light}) as stage, clocks.clock().slow():
            status, _, headers = await post(
                stage, "/process", body, kind, Accept="text/event-stream"
            )
            assert status == expected
            assert headers["Content-Type"].startswith("application/json")

    clocks.ran(test)
