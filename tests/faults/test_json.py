"""JSON of 12 MB beside a stream that nobody attacks, which loses no picture.

No turn of the loop is long, either.
"""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from composer import YUV, Live, Node
from composer.testing.orchestrator import Stream
from tests.faults import turns
from tests.server.streams import Stage, numbers, pieces, ran, serving

TEXT = (
    "params: {words: label.text, points: label.points}\n"
    "nodes: {source: {type: decode}, label: {type: note, queue: 300, on_full: wait},"
    " out: {type: encode, keyframe_s: 0.4, queue: 300, on_full: wait}}"
)

SIZE = 11_900_000

LOGO = {"words": "iVBORw0KGgo" * 380_000}

LISTS = b'{"points": [' + b"[]," * (SIZE // 3) + b"1]}"

SHARE = 5
"""The longest turn of the loop is less than the reading of such a text by so many times."""


class Note(Node):
    text: str = Live("")
    points: Any = Live(None)

    def process(self, image: YUV) -> YUV:
        return image


def started(params: bytes) -> bytes:
    """A start with these params."""
    return b'{"gateway_request_id": "q", "params": ' + params + b"}"


SHAPES = {
    "zeros": b'{"words": [' + b"0," * (SIZE // 2) + b"0]}",
    "objects": b'{"words": [' + b"{}," * (SIZE // 3) + b"0]}",
    "lists": LISTS,
    "floats": b'{"words": [' + b"1.1," * (SIZE // 4) + b"1]}",
    "members": json.dumps({"words": {f"{each:x}": 0 for each in range(SIZE // 12)}}).encode(),
    "params": json.dumps({f"{each:x}": 0 for each in range(SIZE // 12)}).encode(),
}


@asynccontextmanager
async def beside(stage: Stage) -> AsyncIterator[Stream]:
    """A quiet stream, which has to give every picture in its order."""
    stream = await stage.start()
    assert stream.status == 200
    flowing = asyncio.ensure_future(stream.publish(pieces(50), speed=1))
    yield stream
    await flowing
    await stream.until(lambda: len(numbers(stream.output)) == 50)
    assert numbers(stream.output) == list(range(50))
    await stream.stop()


async def sent(stage: Stage, path: str, body: bytes, name: str = "") -> tuple[int, str]:
    """Status and message of the answer."""
    headers = {"Content-Type": "application/json", **({"X-Stream-Id": name} if name else {})}
    address = stage.worker.address + path
    async with stage.http.post(address, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, (await answer.json())["message"]


@pytest.fixture(scope="module")
def reading() -> float:
    """What it costs to read such a text at once."""
    return turns.cost(lambda: json.loads(LISTS))


@pytest.mark.parametrize("shape", SHAPES)
def test_f53_a_start_of_many_values_is_refused(shape: str, reading: float) -> None:
    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage, beside(stage):
            with turns.counted() as taken:
                status, said = await sent(stage, "/stream/start", started(SHAPES[shape]))
            assert taken.longest < reading / SHARE
            assert (status, said) == (413, "the body has more than 5000 values")

    ran(test)


def test_f53_a_text_of_escapes_is_read_elsewhere(reading: float) -> None:
    body = started(b'{"words": 1, "points": "' + rb"\u0041" * (SIZE // 6) + b'"}')

    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage, beside(stage):
            with turns.counted() as taken:
                status, said = await sent(stage, "/stream/start", body)
            assert taken.longest < reading / SHARE
            assert (status, said) == (422, "words should be text, got 1")

    ran(test)


def test_f53_a_logo_of_four_megabytes_is_a_param(reading: float) -> None:
    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage, beside(stage) as stream:
            body = json.dumps(LOGO).encode()
            with turns.counted() as taken:
                for _ in range(3):
                    status, said = await sent(stage, "/stream/params", body, stream.name)
                    assert (status, said) == (200, "the params are accepted")
                    await stage.get("/stream/status")
            assert stage.sessions[stream.name].changes.params() == LOGO | {"points": None}
            assert taken.longest < reading / SHARE

    ran(test)


def test_f80_messages_of_control_of_many_values_change_nothing(reading: float) -> None:
    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage, beside(stage):
            hog = await stage.start()
            session = stage.sessions[hog.name]
            while not session.readers.heard_at:  # else it may begin behind the first message
                await hog.control(b'{"keep": "alive"}')
            with turns.counted() as taken:
                await hog.control(LISTS)
                await hog.control(LISTS)
                await hog.control(json.dumps(LOGO).encode())
                await hog.until(lambda: "params_updated" in hog.kinds())
            assert taken.longest < reading / SHARE
            assert hog.kinds().count("params_rejected") == 2
            assert session.changes.targets() == LOGO | {"points": None}
            await hog.stop()

    ran(test)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (LISTS, "the body has more than 5000 values"),
        (b'{"params": ' + LISTS + b"}", "the body has more than 5000 values"),
        (b'{"a": [' + b"[]," * 28_000_000 + b"[]]}", "the body has more than 12582912 bytes of"),
    ],
    ids=["12 MB", "params", "84 MB"],
)
def test_f77_a_job_of_many_values_is_refused(body: bytes, said: str, reading: float) -> None:
    async def test() -> None:
        async with serving(TEXT, {"note": Note}) as stage, beside(stage):
            with turns.counted() as taken:
                status, told = await sent(stage, "/process", body)
            assert taken.longest < reading / SHARE
            assert (status, told[: len(said)]) == (413, said)

    ran(test)
