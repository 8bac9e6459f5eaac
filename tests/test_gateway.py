"""The stand-in of a gateway, with a real worker behind it. docs/network.md has the whole story."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from composer.testing import gateway
from composer.testing.gateway import Gateway, JobHeader, job_of
from composer.testing.orchestrator import Orchestrator
from composer.trickle.http import Http, open_http
from tests.server.streams import QUICK, ran, serving

DUPLEX = {"enable_video_ingress": True, "enable_video_egress": True}


def header(parameters: Any = DUPLEX, **more: Any) -> dict[str, str]:
    said = {
        "request": "{}",
        "parameters": json.dumps(parameters),
        "capability": "cap",
        "timeout_seconds": 120,
        **more,
    }
    return {"Livepeer": base64.b64encode(json.dumps(said).encode()).decode()}


def test_the_header_says_what_a_client_wants() -> None:
    assert job_of(header()["Livepeer"]) == JobHeader("cap", DUPLEX)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "cannot be read"),
        ("é", "cannot be read"),
        (base64.b64encode(b"[]").decode(), "cannot be read"),
        (header(parameters=3)["Livepeer"], "should be objects"),
        (header(request="")["Livepeer"], "cannot be read"),
        (header(capability="")["Livepeer"], "needs a capability"),
        (header(timeout_seconds=0)["Livepeer"], "a timeout_seconds"),
    ],
)
def test_a_header_that_go_livepeer_refuses(said: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        job_of(said)


@asynccontextmanager
async def standing_in(**offered: Any) -> AsyncIterator[tuple[Orchestrator, Http]]:
    """The stand-in, and a client. offered: capability -> address of its worker."""
    orchestrator = Orchestrator(kept=gateway.KEPT)
    routes = Gateway(orchestrator).routes()
    async with orchestrator.serving(routes=routes), open_http() as http:
        for name, url in offered.items():
            body = {"name": name, "url": url, "capacity": 1}
            secret = {"Authorization": "secret"}
            async with http.post(
                f"{orchestrator.url}/capability/register", json=body, headers=secret
            ) as answer:
                assert answer.status == 200
        yield orchestrator, http


async def asked(
    http: Http, url: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    async with http.post(url, data=body, headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text


def test_a_stream_from_start_to_stop() -> None:
    async def test() -> None:
        async with serving() as stage, standing_in(cap=stage.worker.address) as (there, http):
            start = f"{there.url}/process/stream/start"
            wanted = b'{"stream_name": "cam", "stream_id": "1", "params": "{}"}'
            status, urls = await asked(http, start, wanted, header())
            assert (status, urls["stream_id"]) == (200, "cam-1")
            assert urls["input_url"] == f"{there.trickle}/cam-1"
            assert urls["output_url"] == f"{there.trickle}/cam-1-out"
            assert "data_url" not in urls
            assert list(stage.sessions) == ["cam-1"]
            assert (await asked(http, start, wanted, header()))[0] == 400
            stream = there.streams["cam-1"]
            await stream.until(lambda: "status" in stream.kinds())
            async with http.get(urls["status_url"]) as answer:
                assert (await answer.json())["type"] == "status"
            status, refusal = await asked(http, urls["update_url"], b'{"no": 1}', header())
            assert (status, refusal["status"]) == (422, "error")
            status, answer_ = await asked(http, urls["stop_url"])
            assert (status, answer_["request_id"]) == (200, "cam-1")
            assert stage.sessions == {}
            assert (await asked(http, urls["stop_url"]))[0] == 404

    ran(test)


def test_a_worker_that_refuses_is_heard() -> None:
    async def test() -> None:
        timing = replace(QUICK, flush=0.2)  # what is left has nowhere to go at the end
        async with (
            serving(capacity=1, timing=timing) as stage,
            standing_in(cap=stage.worker.address) as (there, http),
        ):
            start = f"{there.url}/process/stream/start"
            assert (await asked(http, start, b"", header()))[0] == 200
            assert (await asked(http, start, b"", header()))[0] == 503
            assert len(there.streams) == 1

    ran(test)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"params": {}}', b'{"params": "["}'])
def test_a_start_whose_body_cannot_be_read(body: bytes) -> None:
    async def test() -> None:
        async with standing_in(cap="http://127.0.0.1:9") as (there, http):
            status, said = await asked(http, f"{there.url}/process/stream/start", body, header())
            assert (status, "JSON" in said) == (400, True)

    ran(test)


def test_a_worker_that_is_not_there() -> None:
    async def test() -> None:
        async with standing_in(cap="http://127.0.0.1:9") as (there, http):
            status, said = await asked(http, f"{there.url}/process/stream/start", b"", header())
            assert (status, said[:26]) == (502, "the worker does not answer")
            assert there.streams == {}
            assert there.channels.directory.find("stream-0-control") is None

    ran(test)


def test_a_capability_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "REGISTERED_SECONDS", 0.05)

    async def test() -> None:
        async with standing_in(other="http://127.0.0.1:9") as (there, http):
            status, said = await asked(http, f"{there.url}/process/stream/start", b"", header())
            assert (status, said) == (503, "no worker has registered 'cap'; known: other\n")

    ran(test)


def test_what_is_remembered_of_a_stream_has_an_end() -> None:
    async def test() -> None:
        async with serving() as stage:
            stage.orchestrator.kept = 2
            stream = await stage.start()
            seen: list[int] = []

            def enough() -> bool:
                seen.append(len(stream.events))
                return len(seen) > 6

            await stream.until(enough)
            assert max(seen) == 2
            await stream.stop()

    ran(test)
