"""/ready and /live: whether streams may start, and whether the work of those that run is fresh."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from composer import YUV, Context, Node
from composer.server.manifest import manifest
from composer.server.worker import Offer, Worker
from composer.trickle.http import open_http
from tests import stubs
from tests.server.streams import QUICK, Stage, live_plan, numbers, pieces, ran, serving
from tests.stubs import Held, looking

SOON = replace(QUICK, stuck=0.2)

LOOKED_AT = (
    "nodes: {source: {type: decode}, look: {type: look, queue: 2, on_full: wait},"
    " out: {type: record}}"
)


async def until_stuck(stage: Stage) -> str:
    """What the worker says of what stands, as soon as it says so; the first probe is the first
    look.
    """
    while (answer := await stage.get("/live"))[0] == 200:
        assert answer[1] == {"ok": True, "why": ""}
    assert (answer[0], answer[1]["ok"]) == (503, False)
    return str(answer[1]["why"])


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


def test_a_node_that_hangs_is_named_and_its_session_to_who_shows_a_token(waits: Held) -> None:
    """Where nothing is published nobody else would notice."""
    options: dict[str, Any] = {"timing": SOON, "tokens": ("t",)}

    async def test() -> None:
        async with serving(LOOKED_AT, {"look": looking(waits)}, **options) as stage:
            stage.orchestrator.capabilities["cap"] = {"token": "t"}
            stream = await stage.start(egress=False, data=True)
            await stream.publish(pieces(20), speed=0)
            await asyncio.to_thread(stubs.reach, waits.reached)
            stands = "node 'look' has been at one frame for "
            assert (await until_stuck(stage)).startswith(f"a session: {stands}")
            status, said = await stage.get("/live", headers={"Authorization": "Bearer t"})
            assert (status, said["ok"]) == (503, False)
            assert said["why"].startswith(f"session {stream.name}: {stands}")
            waits.allowed.set()
            await stream.until(lambda: sum(map(len, stream.lines)) == 20)
            assert await stage.get("/live") == (200, {"ok": True, "why": ""})

    ran(test)


def test_a_start_that_hangs_is_stuck(waits: Held) -> None:
    class Count(stubs.Count):
        """Begins late."""

        def setup(self, ctx: Context) -> None:
            waits()

    text = "nodes: {s: {type: count}, o: {type: encode}}"

    async def test() -> None:
        async with serving(text, {"count": Count}, timing=SOON) as stage:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(stage.start(ingress=False))
                await asyncio.to_thread(stubs.reach, waits.reached)
                assert "its nodes have been set up for " in await until_stuck(stage)
                waits.allowed.set()
            assert starting.result().status == 200

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
