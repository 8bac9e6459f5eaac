"""/ready and /live: whether streams may start, and whether the work of those that run is fresh."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from composer import YUV, Context, Node, threads
from composer.server.manifest import manifest
from composer.server.worker import Offer, Worker
from composer.session import watchdog
from composer.threads import LEFT_BEHIND
from composer.trickle.http import open_http
from tests import stubs
from tests.server.streams import QUICK, Stage, live_plan, numbers, pieces, ran, serving
from tests.stubs import Held, looking

SOON = replace(QUICK, stuck=0.2, stall=0.2, setup=0.2, drain=0.1, give_up=0.1)

PATIENT = replace(QUICK, give_up=0.1)

STUCK = "nodes: {s: {type: count}, o: {type: encode}}"

LOOKED_AT = (
    "nodes: {source: {type: decode}, look: {type: look, queue: 2, on_full: wait},"
    " out: {type: record}}"
)


async def figure(stage: Stage, name: str) -> float:
    """A figure of the whole process."""
    async with stage.http.get(stage.worker.address + "/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return next(
        sample.value for family in families for sample in family.samples if sample.name == name
    )


def counting(waits: Held) -> type[Node]:
    class Count(stubs.Count):
        """A source whose start hangs until the test lets it go on."""

        def setup(self, ctx: Context) -> None:
            waits()

    return Count


@pytest.fixture
def waits() -> Held:
    return Held()


def test_ready_is_between_loading_and_the_end(waits: Held) -> None:
    class Slow(Node):
        """Takes its time."""

        shared = True

        def setup(self, ctx: Context) -> None:
            waits()

        def process(self, image: YUV) -> YUV:
            return image

    async def test() -> None:
        plan = live_plan(
            "nodes: {s: {type: decode}, n: {type: slow}, o: {type: encode}}", slow=Slow
        )
        worker = Worker([Offer("cap", plan, manifest("cap", plan))], port=0, timing=QUICK)
        served, ending = asyncio.Event(), asyncio.Event()

        async def listening(here: Worker) -> None:
            served.set()
            await ending.wait()

        async def ask(path: str) -> tuple[int, str]:
            async with http.get(worker.address + path) as answer:
                return answer.status, (await answer.json())["why"]

        async with open_http() as http, asyncio.TaskGroup() as group:
            group.create_task(worker.run(listening))
            await asyncio.to_thread(stubs.reach, waits.reached)
            assert await ask("/ready") == (503, "the worker loads")
            assert await ask("/live") == (200, "")
            waits.allowed.set()
            await served.wait()
            assert await ask("/ready") == (200, "")
            worker.end()
            assert await ask("/ready") == (503, "the worker comes to its end")
            assert await ask("/live") == (200, "")
            ending.set()

    ran(test)


def test_what_is_stuck_is_named_to_who_shows_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "stuck", lambda session: "it has been ending for 61 s")

    async def test() -> None:
        async with serving(tokens=("t",)) as stage:
            stage.orchestrator.capabilities["cap"] = {"token": "t"}
            stream = await stage.start()
            status, said = await stage.get("/live")
            assert (status, said["why"]) == (503, "a session: it has been ending for 61 s")
            status, said = await stage.get("/live", headers={"Authorization": "Bearer t"})
            assert said["why"] == f"session {stream.name}: it has been ending for 61 s"

    ran(test)


def test_a_node_that_hangs_ends_its_session_though_nobody_waits_for_it(waits: Held) -> None:
    """Where nothing is published nobody else would notice, and the worker is not to blame."""

    async def test() -> None:
        async with serving(LOOKED_AT, {"look": looking(waits)}, timing=SOON) as stage:
            stream = await stage.start(egress=False, data=True)
            session = stage.sessions[stream.name]
            await stream.publish(pieces(20), speed=0)
            await asyncio.to_thread(stubs.reach, waits.reached)
            await session.over.wait()
            assert session.failure.startswith("node 'look' has been at one frame for ")
            assert await figure(stage, "byoc_abandoned_threads") >= 1
            assert await stage.get("/live") == (200, {"ok": True, "why": ""})
            waits.allowed.set()

    ran(test)


def test_many_threads_that_hang_ask_for_a_restart(
    waits: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And streams start and end as ever until that comes."""

    async def test() -> None:
        monkeypatch.setattr(threads, "RESTART_AT", len(LEFT_BEHIND) + 2)
        async with serving(STUCK, {"count": counting(waits)}, timing=SOON) as stage:
            for _ in range(2):
                assert (await stage.get("/live"))[0] == 200
                assert (await stage.start(ingress=False)).status == 504
            _, live = await stage.get("/live")
            assert live["why"].endswith(" threads hang and cannot be ended")
            assert (await stage.get("/ready"))[0] == 200
            assert (await stage.start(ingress=False)).status == 504
            waits.allowed.set()

    ran(test)


def test_a_stop_does_not_wait_for_a_start_that_hangs(waits: Held) -> None:
    async def test() -> None:
        async with serving(STUCK, {"count": counting(waits)}, timing=PATIENT) as stage:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(stage.start(ingress=False))
                await asyncio.to_thread(stubs.reach, waits.reached)
                (name,) = stage.sessions
                _, stopped = await stage.post("/stream/stop", {}, headers={"X-Stream-Id": name})
                assert stopped["message"] == "the stream is stopped"
                assert stage.worker.slots.used == 0
            assert starting.result().status == 409
            waits.allowed.set()

    ran(test)


def test_a_stream_that_waits_for_its_input_is_fresh() -> None:
    async def test() -> None:
        async with serving(timing=SOON) as stage:
            stream = await stage.start()
            await stream.publish(pieces(10), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) >= 9)
            assert (await stage.get("/live"))[0] == 200
            await asyncio.sleep(2 * SOON.stuck)  # nothing comes, and nothing waits
            assert (await stage.get("/live"))[0] == 200

    ran(test)
