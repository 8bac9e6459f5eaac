"""Figures: of what went wrong at the channels of a session, and who is told its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from composer import YUV, Node, Record
from composer.testing.orchestrator import Stream
from tests.server.streams import Stage, numbers, pieces, ran, serving


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """A server of channels that reads whole segments and keeps none."""

    async def post(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=500)

    async def other(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/x/{number}", post)
    app.router.add_route("*", "/{rest:.*}", other)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/x"
    finally:
        await runner.cleanup()


async def figures(stage: Stage) -> dict[tuple[str, ...], float]:
    """The samples of sessions, by name, channel and reason where they have those."""
    async with stage.http.get(stage.worker.metrics_address + "/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return {
        (
            sample.name,
            *(sample.labels[key] for key in ("channel", "reason") if key in sample.labels),
        ): sample.value
        for family in families
        for sample in family.samples
        if "session" in sample.labels and "le" not in sample.labels
    }


@pytest.mark.fault("F-39")
def test_segments_that_are_refused_after_their_last_byte_are_counted() -> None:
    async def test() -> None:
        async with serving(metrics_port=0) as stage, refusing() as address:
            stream = await stage.start(publish_url=address)
            session: Any = stage.sessions[stream.name]
            await stream.publish(pieces(50), speed=4)
            await stream.until(lambda: session.lost_segments == 2)
            lost = session.lost_segments
            assert (await figures(stage))["byoc_segments_lost_total",] >= lost
            assert session.status()["output_status"]["lost_segments"] >= lost
            await stream.until(
                lambda: stream.events[-1].get("output_status", {}).get("lost_segments", 0) >= lost
            )

    ran(test)


class Say(Node):
    """Says more of each picture than fits on a line."""

    def process(self, image: YUV) -> Record:
        return {"text": "x" * 70_000}


@pytest.mark.fault("F-41")
def test_what_is_left_out_at_a_channel_is_told() -> None:
    text = (
        "nodes: {source: {type: decode}, say: {type: say, queue: 300, on_full: wait},"
        " save: {type: record}, out: {type: encode, in: source, queue: 300, on_full: wait}}"
    )

    async def test() -> None:
        async with serving(text, {"say": Say}, metrics_port=0) as stage:
            stream = await stage.start(data=True, egress=False)
            await stream.publish(pieces(20), speed=0)
            session: Any = stage.sessions[stream.name]
            dropped = session.execution.data.dropped
            unwanted = session.execution.egress.counts.dropped
            await stream.until(lambda: dropped["too_long"] == 20 == unwanted["unwanted"])
            found = await figures(stage)
            assert found["byoc_channel_dropped_total", "data", "too_long"] == 20
            assert found["byoc_channel_dropped_total", "output", "unwanted"] == 20
            _, said = await stage.get("/stream/status")
            status = said["streams"][stream.name]
            assert status["data_status"] == {"dropped": {"too_long": 20}}
            assert status["output_status"] == {"lost_segments": 0, "dropped": {"unwanted": 20}}
            assert status["input_status"]["dropped"] == {}
            assert (status["events_status"], status["control_status"]) == (
                {"dropped": {}},
                {"dropped": {}},
            )

    ran(test)


async def summed(stage: Stage, **headers: str) -> tuple[str, dict[tuple[str, ...], float]]:
    """The text of /metrics at the worker's own port, and its samples by name and labels."""
    address = stage.worker.address + "/metrics"
    async with stage.http.get(address, headers=headers) as answer:
        text = await answer.text()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }
    return text, samples


@pytest.mark.parametrize("tokens", [(), ("t",)])
def test_who_shows_no_token_is_told_of_no_session(tokens: tuple[str, ...]) -> None:
    async def test() -> None:
        async with serving(tokens=tokens, metrics_port=0) as stage:
            start = {"Authorization": "Bearer t"}
            channels = [stage.orchestrator.trickle + "/" + each for each in ("a", "b")]
            for name in ("cam-one", "cam-two"):
                body = {"gateway_request_id": name, "data_url": channels[0]}
                assert (await stage.post("/stream/start", body, headers=start))[0] == 200
            for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "t"}):
                text, samples = await summed(stage, **wrong)
                assert "cam-" not in text
                assert samples["byoc_sessions", "cap"] == 2
            text, _ = await summed(stage, Authorization="Bearer t")
            assert ('session="cam-one"' in text) is bool(tokens)
            async with stage.http.get(stage.worker.metrics_address + "/metrics") as answer:
                assert 'session="cam-two"' in await answer.text()

    ran(test)


def test_sums_never_go_back_when_a_session_ends() -> None:
    async def played(stage: Stage) -> Stream:
        stream = await stage.start()
        await stream.publish(pieces(20), speed=0)
        await stream.until(lambda: len(numbers(stream.output)) == 20)
        return stream

    async def test() -> None:
        async with serving() as stage:
            for count in (20, 40):
                stream = await played(stage)
                assert (await summed(stage))[1]["byoc_node_frames_out_total", "cap", "out"] == count
                await stream.stop()
                _, samples = await summed(stage)
                assert samples["byoc_node_frames_out_total", "cap", "out"] == count
                assert samples["byoc_node_seconds_count", "cap", "out"] == count
                assert samples["byoc_channel_bytes_total", "cap", "output"] > 0
                assert samples["byoc_segments_lost_total", "cap"] == 0
                assert ("byoc_edge_queue", "cap", "source.image -> out.image") not in samples

    ran(test)


def test_the_port_of_the_figures_has_nothing_else() -> None:
    async def test() -> None:
        async with serving(metrics_port=0) as stage:
            there = stage.worker.metrics_address
            for path, status in (("/metrics", 200), ("/stream/status", 404), ("/health", 404)):
                async with stage.http.get(there + path) as answer:
                    assert answer.status == status, path
            foreign = {"Host": "evil.example"}
            async with stage.http.get(there + "/metrics", headers=foreign) as answer:
                assert answer.status == 421, "no page of a browser reads them either"
        async with serving() as stage:
            assert stage.worker.metrics_address == ""

    ran(test)
