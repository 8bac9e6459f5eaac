"""Values that JSON has no words for: refused with their field, and told to nobody."""

import asyncio
import json
from typing import Any

import pytest

from tests.server.streams import Stage, ran, serving

TEXT = (
    "params: {level: {type: float, default: 0.0}, caption: label.text}\n"
    "nodes: {source: {type: decode},"
    " label: {type: overlay_text, text: on air, when: level < 9}, out: {type: encode}}"
)


def strict(text: str) -> Any:
    def refused(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refused)
    json.dumps(found, ensure_ascii=False).encode()  # whole characters
    return found


def fields(said: Any) -> list[str]:
    return [each["field"] for each in said["problems"]]


async def told(stage: Stage, path: str) -> Any:
    async with stage.http.get(stage.worker.address + path) as answer:
        return strict(await answer.text())


JSON = {"Content-Type": "application/json"}

WRONG = [
    pytest.param(b'{"level": 1e400}', 422, "level", id="too large"),
    pytest.param(b'{"level": NaN}', 400, "level", id="not a number"),
    pytest.param(b'{"params": {"level": -Infinity}}', 400, "level", id="infinity"),
    pytest.param(b'{"level": "inf"}', 422, "level", id="infinity as text"),
    pytest.param(b'{"level": ' + b"9" * 400 + b"}", 422, "level", id="huge"),
    pytest.param(b'{"level": ' + b"9" * 5000 + b"}", 422, "level", id="five thousand digits"),
    pytest.param(b'{"caption": "\\ud800"}', 422, "caption", id="half of a character"),
    pytest.param(b'{"\\udcff": 1}', 422, "\ufffd", id="half of a character as a name"),
]


@pytest.mark.parametrize(("body", "status", "field"), WRONG)
@pytest.mark.fault("F-53")
def test_they_are_refused_with_their_field_and_leave_nothing_behind(
    body: bytes, status: int, field: str
) -> None:
    async def test() -> None:
        async with serving(TEXT) as stage:
            stream = await stage.start()
            url = stage.worker.address + "/stream/params"
            async with stage.http.post(url, data=body, headers=JSON) as answer:
                said = strict(await answer.text())
            assert (answer.status, fields(said)) == (
                status,
                [field],
            )
            await stream.control(body)
            await stream.until(lambda: "params_rejected" in stream.kinds())
            for path in ("/stream/status", "/capability"):
                await told(stage, path)
            now = await told(stage, "/stream/status")
            assert now["current_params"]["level"] == 0.0
            await stream.stop()

    ran(test)


@pytest.mark.parametrize(("body", "status", "field"), WRONG)
def test_a_start_with_them_does_not_start(body: bytes, status: int, field: str) -> None:
    channels = {
        "gateway_request_id": "x",
        "control_url": "http://127.0.0.1:9/c",
        "events_url": "http://127.0.0.1:9/e",
    }
    whole = json.dumps(channels)[:-1].encode() + b', "params": ' + body + b"}"

    async def test() -> None:
        async with serving(TEXT) as stage:
            url = stage.worker.address + "/stream/start"
            async with stage.http.post(url, data=whole, headers=JSON) as answer:
                said = strict(await answer.text())
            assert (answer.status, fields(said)) == (
                status,
                [field],
            )
            assert stage.sessions == {}

    ran(test)


def test_a_name_that_is_no_text_is_answered_in_text() -> None:
    async def test() -> None:
        async with serving(TEXT) as stage:
            host, port = stage.worker.address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /stream/stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"X-Stream-Id: \xff\r\nContent-Length: 0\r\n\r\n"
            )
            answer = await reader.read()
            writer.close()
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert strict(body.decode())["request_id"] == "\ufffd"

    ran(test)
