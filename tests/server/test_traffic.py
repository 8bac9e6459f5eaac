"""The figures of what comes in."""

import json

from prometheus_client.parser import text_string_to_metric_families

from composer.limits import WireLimits
from tests.server.streams import Stage, ran, serving
from tests.server.test_reception import asking, sent, until


async def figures(stage: Stage) -> dict[tuple[str, ...], float]:
    """The samples of the process, by name and labels."""
    async with stage.http.get(stage.worker.address + "/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_bodies_and_json_are_counted() -> None:
    async def test() -> None:
        async with serving(wire=WireLimits(start=1 << 20)) as stage:
            stream = await stage.start()
            named = {"X_Stream_Id": stream.name}
            assert (await sent(stage, "/stream/params", b"{}", **named))[0] == 200
            many = json.dumps({"a": [[]] * 100_000}).encode()
            assert (await sent(stage, "/stream/params", many, **named))[0] == 413
            assert (await sent(stage, "/stream/params", b"{", **named))[0] == 400
            long = json.dumps({"width": 64, "height": 48, "a": "x" * 300_000}).encode()
            assert (await sent(stage, "/stream/params", long, **named))[0] == 422
            assert (await sent(stage, "/stream/start", b" " * (2 << 20)))[0] == 413
            async with asking(stage, "/stream/start", 1 << 20, b" " * (512 << 10)):
                await until(stage, "start", 1)
                told = await figures(stage)
                while not told["byoc_waiting_bytes",]:
                    told = await figures(stage)
                assert told["byoc_bodies", "start"] == 1
            assert told["byoc_bodies", "params"] == told["byoc_json_waiting",] == 0
            assert told["byoc_bodies_refused_total", "start", "large"] == 1
            assert told["byoc_json_read_total", "apart"] == 1
            assert told["byoc_json_read_total", "here"] >= 2  # the start, a change, and keepalives
            assert told["byoc_json_refused_total", "too_much"] == 1
            assert told["byoc_json_refused_total", "unreadable"] == 1
            assert told["byoc_json_processes_total",] == 1
            assert told["byoc_json_process_ends_total",] == 0

    ran(test)
