"""Starts that meet another start, a stop, or the end of the session before."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from composer import Context, Node
from composer.server import capability, routes
from composer.server.capability import Capability
from composer.session.session import Session
from composer.testing.orchestrator import event_of
from composer.trickle.subscriber import Subscriber
from tests import stubs
from tests.server.streams import QUICK, Stage, pieces, ran, serving, threaded
from tests.stubs import Held, looking

LOOKED_AT = (
    "nodes: {source: {type: decode}, look: {type: look, queue: 2, on_full: wait},"
    " out: {type: record}}"
)
MADE = "nodes: {source: {type: slow}, out: {type: encode}}"
SLOW_END = replace(QUICK, drain=15.0)


@pytest.fixture
def held() -> Iterator[Held]:
    place = Held()
    yield place
    place.allowed.set()


def beginning(held: Held, done: list[str]) -> type[Node]:
    class Slow(stubs.Count):
        """Begins when it is allowed to."""

        def setup(self, ctx: Context) -> None:
            done.append("setup")
            held()

        def close(self) -> None:
            done.append("close")

    return Slow


def body_of(stage: Stage, name: str) -> dict[str, Any]:
    """A start whose channels are there."""
    base = stage.orchestrator.trickle
    for suffix in ("-control", "-events", "-out"):
        stage.orchestrator.channels.directory.create(name + suffix, "application/json")
    return {
        "gateway_request_id": name,
        "control_url": f"{base}/{name}-control",
        "events_url": f"{base}/{name}-events",
        "publish_url": f"{base}/{name}-out",
    }


class Turns:
    """Counts the starts that begin to wait for an end, and those that wait no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.over = asyncio.Semaphore(0), asyncio.Semaphore(0)
        turn = Capability._turn

        async def counted(here: Capability, name: str, session: Session) -> None:
            asyncio.get_running_loop().call_soon(self.begun.release)
            try:
                await turn(here, name, session)
            finally:
                self.over.release()

        monkeypatch.setattr(Capability, "_turn", counted)


@pytest.mark.fault("F-72")
def test_a_stop_while_it_is_set_up_is_answered_and_told_and_frees_the_slot(held: Held) -> None:
    """Though the setup goes on: what comes of it is closed."""
    done: list[str] = []
    timing = replace(QUICK, drain=0.2, give_up=0.1)

    async def test() -> None:
        async with serving(MADE, {"slow": beginning(held, done)}, timing=timing) as stage:
            body = body_of(stage, "x")
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(stage.post("/stream/start", body))
                await asyncio.to_thread(stubs.reach, held.reached)
                (session,) = stage.sessions.values()
                status, said = await stage.post("/stream/stop", headers={"X-Stream-Id": "x"})
                assert (status, said["reason"]) == (200, "stopped")
                assert said["message"] == "the stream is stopped"
                status, said = await starting
            assert (status, said["message"]) == (
                409,
                "stream 'x' ended while it was set up: stopped",
            )
            told = Subscriber(stage.http, body["events_url"], start=0).messages()
            event = event_of(json.loads(await anext(told)))
            while event["type"] == "status":
                event = event_of(json.loads(await anext(told)))
            await told.aclose()
            assert (event["type"], event["reason"]) == ("stream_stopped", "stopped")
            assert session.over.is_set()
            assert (stage.worker.slots.used, done) == (0, ["setup"])
            held.allowed.set()
            assert await asyncio.to_thread(threaded(session).run.done.wait, stubs.WAIT)
            assert done == ["setup", "close"]
            assert stage.worker.capabilities["cap"].ended == {"stopped": 1}

    ran(test)


def test_the_same_start_twice_while_it_is_set_up_is_one_session(held: Held) -> None:
    done: list[str] = []

    async def test() -> None:
        async with serving(MADE, {"slow": beginning(held, done)}) as stage:
            body = body_of(stage, "x")
            async with asyncio.TaskGroup() as group:
                first = group.create_task(stage.post("/stream/start", body))
                await asyncio.to_thread(stubs.reach, held.reached)
                second = group.create_task(stage.post("/stream/start", body))
                status, _ = await stage.post("/stream/start", {**body, "publish_url": ""})
                assert (status, second.done()) == (409, False)
                held.allowed.set()
            assert (first.result()[0], second.result()[0], done.count("setup")) == (200, 200, 1)

    ran(test)


async def ending(stage: Stage, held: Held) -> tuple[Any, dict[str, Any]]:
    """A session whose end does not come while its node is held, and a start of its name."""
    stream = await stage.start(egress=False, data=True)
    await stream.publish(pieces(10), speed=0)
    await asyncio.to_thread(stubs.reach, held.reached)
    session = stage.sessions[stream.name]
    await stream.delete("-control")
    await session.life.ends()
    return session, body_of(stage, stream.name)


def test_of_those_who_wait_for_an_end_the_last_is_answered_in_time(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "ENDING_SECONDS", 0.4)

    async def test() -> None:
        turns = Turns(monkeypatch)
        async with serving(LOOKED_AT, {"look": looking(held)}, timing=SLOW_END) as stage:
            session, body = await ending(stage, held)
            async with asyncio.TaskGroup() as group:
                tasks = []
                for _ in range(3):
                    tasks.append(group.create_task(stage.post("/stream/start", body)))
                    await turns.begun.acquire()
            assert [task.result()[0] for task in tasks] == [409, 409, 503]
            assert "asked for again" in tasks[0].result()[1]["message"]
            assert "has not come to its end yet" in tasks[2].result()[1]["message"]
            held.allowed.set()
            await session.over.wait()
            assert (stage.sessions, stage.worker.slots.used) == ({}, 0)

    ran(test)


def test_a_start_that_waited_for_an_end_begins_behind_it(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        turns = Turns(monkeypatch)
        async with serving(LOOKED_AT, {"look": looking(held)}, timing=SLOW_END) as stage:
            session, body = await ending(stage, held)
            async with asyncio.TaskGroup() as group:
                start = group.create_task(stage.post("/stream/start", body))
                await turns.begun.acquire()
                held.allowed.set()
            assert start.result()[0] == 200
            assert stage.sessions[session.name] is not session

    ran(test)


def test_a_caller_who_has_gone_starts_nothing(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        turns = Turns(monkeypatch)
        async with serving(LOOKED_AT, {"look": looking(held)}, timing=SLOW_END) as stage:
            session, body = await ending(stage, held)
            start = asyncio.ensure_future(stage.post("/stream/start", body))
            await turns.begun.acquire()
            start.cancel()
            await turns.over.acquire()
            held.allowed.set()
            await session.over.wait()
            assert (stage.sessions, stage.worker.slots.used) == ({}, 0)

    ran(test)


def test_a_start_whose_caller_leaves_while_it_is_set_up_goes_on(held: Held) -> None:
    done: list[str] = []

    async def test() -> None:
        async with serving(MADE, {"slow": beginning(held, done)}) as stage:
            start = asyncio.ensure_future(stage.post("/stream/start", body_of(stage, "x")))
            await asyncio.to_thread(stubs.reach, held.reached)
            start.cancel()
            held.allowed.set()
            await stage.sessions["x"].ready
            assert stage.sessions["x"].reason is None

    ran(test)


@pytest.mark.parametrize("running", [0, 1, 2])
def test_a_stop_without_a_name_is_of_the_only_stream_that_runs(running: int, held: Held) -> None:
    """Beside one that is ending: contract 2.5."""

    async def test() -> None:
        async with serving(LOOKED_AT, {"look": looking(held)}, timing=SLOW_END) as stage:
            await ending(stage, held)
            names = [f"x{number}" for number in range(running)]
            for name in names:
                assert (await stage.post("/stream/start", body_of(stage, name)))[0] == 200
            held.allowed.set()
            status, said = await stage.post("/stream/stop", b"stream ended")
            if running > 1:
                assert (status, said["message"]) == (400, routes.SEVERAL)
                assert [stage.sessions[name].reason for name in names] == [None, None]
            else:
                stopped = "stopped" if running else "control_closed"
                assert (status, said["reason"]) == (200, stopped)

    ran(test)
