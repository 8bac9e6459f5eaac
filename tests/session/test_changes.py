"""What callers are told of the params that they change."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pydantic import field_validator

from composer import YUV, Context, Live, Node
from composer.session import changes
from composer.testing.orchestrator import Stream, event_of
from tests import stubs
from tests.server.streams import QUICK, Stage, numbers, pieces, ran, serving

WAITS = "queue: 300, on_full: wait"
TEXT = (
    "params: {weights: m.weights, strength: {to: m.strength, ramp_ms: 60000}, level: m.level}\n"
    f"nodes: {{source: {{type: decode}}, m: {{type: model, {WAITS}}},"
    f" out: {{type: encode, keyframe_s: 0.4, {WAITS}}}}}"
)


class Model(Node):
    """Loads weights when it is allowed to; some cannot be loaded."""

    allowed: ClassVar[threading.Event]

    weights: str = "a"
    strength: float = Live(0.0)
    level: float = Live(0.0)

    def setup(self, ctx: Context) -> None:
        if self.weights != "a":
            stubs.reach(self.allowed)
        if self.weights == "bad":
            raise RuntimeError("no such weights")

    def process(self, image: YUV) -> YUV:
        return image


class Changed:
    """A stream whose params are changed."""

    def __init__(self, stage: Stage, stream: Stream, allowed: threading.Event) -> None:
        self.stage, self.stream, self.allowed = stage, stream, allowed

    async def change(self, **values: Any) -> Any:
        """The answer to it."""
        status, said = await self.stage.post("/stream/params", values)
        assert status == 200
        return said

    async def status(self) -> dict[str, Any]:
        """The params that the state of the stream has."""
        _, said = await self.stage.get("/stream/status")
        found: dict[str, Any] = said["streams"][self.stream.name]["inference_status"]["last_params"]
        return found

    def told(self) -> dict[str, Any]:
        """The params in the newest event of them."""
        found = [event_of(each) for each in self.stream.events]
        values = [each["params"] for each in found if each["type"] == "params_updated"]
        newest: dict[str, Any] = values[-1] if values else {}
        return newest


@asynccontextmanager
async def changed() -> AsyncIterator[Changed]:
    class Own(Model):
        allowed = threading.Event()

    async with serving(TEXT, {"model": Own}) as stage:
        stream = await stage.start()
        sending = asyncio.ensure_future(stream.publish(pieces(50, loops=20), speed=1))
        await stream.until(lambda: len(numbers(stream.output)) >= 5)
        try:
            yield Changed(stage, stream, Own.allowed)
        finally:
            Own.allowed.set()
            sending.cancel()


def test_events_and_answers_say_where_a_ramp_goes_and_the_state_where_it_is() -> None:
    async def test() -> None:
        async with changed() as here:
            said = await here.change(strength=0.5)
            assert said["pts_seconds"] > 0
            said = await here.change(level=0.2)
            assert said["params"] == {"weights": "a", "strength": 0.5, "level": 0.2}
            await here.stream.until(lambda: here.told().get("level") == 0.2)
            assert here.told() == said["params"]
            assert 0 <= (await here.status())["strength"] < 0.5

    ran(test)


def test_a_value_that_needs_a_node_built_anew_holds_when_that_is_there() -> None:
    async def test() -> None:
        async with changed() as here:
            said = await here.change(weights="b")
            assert (said["params"]["weights"], said["pts_seconds"]) == ("b", None)
            (session,) = here.stage.sessions.values()
            await here.stream.until(lambda: session.execution.values()["weights"] == "b")
            assert (await here.change(level=0.3))["pts_seconds"] > 0
            await here.stream.until(lambda: here.told().get("weights") == "b")
            assert await here.status() == {"weights": "a", "strength": 0.0, "level": 0.3}
            here.allowed.set()
            await here.stream.until(lambda: "node_ready" in here.stream.kinds())
            assert (await here.status())["weights"] == "b"
            assert (await here.change(weights="b", level=0.4))["pts_seconds"] > 0

    ran(test)


def test_a_value_that_was_refused_is_told_as_what_runs() -> None:
    async def test() -> None:
        async with changed() as here:
            here.allowed.set()
            await here.change(weights="bad")
            await here.stream.until(lambda: "node_kept" in here.stream.kinds())
            await here.stream.until(lambda: here.told().get("weights") == "a")
            assert (await here.status())["weights"] == "a"
            said = await here.change(level=0.1)
            assert said["params"] == {"weights": "a", "strength": 0.0, "level": 0.1}

    ran(test)


# validators of nodes


def judging(judge: Callable[[float], object]) -> type[Node]:
    """A node that has code of its own look at one of its fields."""

    class Judge(Node):
        level: float = Live(0.0)

        @field_validator("level")
        @classmethod
        def _judged(cls, value: float) -> float:
            if value > 0:
                judge(value)
            return value

        def process(self, image: YUV) -> YUV:
            return image

    return Judge


JUDGED = (
    "params: {level: j.level}\n"
    f"nodes: {{source: {{type: decode}}, j: {{type: judge, {WAITS}}},"
    f" out: {{type: encode, keyframe_s: 0.4, {WAITS}}}}}"
)


def test_a_validator_that_hangs_holds_up_nobody_and_what_it_looks_at_is_refused() -> None:
    held = stubs.Held()
    timing = replace(QUICK, check=0.3)

    async def test() -> None:
        async with serving(
            JUDGED, {"judge": judging(lambda value: held())}, timing=timing
        ) as stage:
            stream, other = await stage.start(), await stage.start()
            sending = [asyncio.ensure_future(each.publish(pieces(50))) for each in (stream, other)]
            headers = {"X-Stream-Id": stream.name}
            change = asyncio.ensure_future(
                stage.post("/stream/params", {"level": 1}, headers=headers)
            )
            await asyncio.to_thread(stubs.reach, held.reached)
            assert (await stage.get("/health"))[0] == 200  # the loop goes on
            status, said = await change
            assert (status, said["problems"][0]["field"]) == (422, "level")
            assert "check of params took more than 0.3 s" in said["message"]
            held.allowed.set()
            status, said = await stage.post("/stream/params", {"level": 2}, headers=headers)
            assert (status, said["params"]) == (200, {"level": 2.0})
            await asyncio.gather(*sending)
            for each in (stream, other):
                await each.until(lambda each=each: len(numbers(each.output)) == 50)  # type: ignore[misc]


def test_what_callers_have_set_is_what_they_wrote_but_for_what_was_refused() -> None:
    async def test() -> None:
        async with changed() as here:
            here.allowed.set()
            changes = here.stage.sessions[here.stream.name].changes
            await here.change(weights="b", level="0.5", width=4, height=4)
            assert changes.given() == {"weights": "b", "level": "0.5"}
            await here.stream.until(lambda: "node_ready" in here.stream.kinds())
            await here.change(weights="bad", level=0.25)
            await here.stream.until(lambda: "node_kept" in here.stream.kinds())
            assert changes.given() == {"weights": "b", "level": 0.25}

    ran(test)


@pytest.mark.parametrize(
    "raised",
    [RuntimeError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()],
    ids=lambda raised: type(raised).__name__,
)
def test_whatever_a_validator_raises_refuses_the_change_and_no_more(raised: BaseException) -> None:
    def judge(value: float) -> None:
        raise raised

    async def test() -> None:
        async with serving(JUDGED, {"judge": judging(judge)}) as stage:
            refused = await stage.start(params={"level": 1})
            assert refused.status == 422, refused.answer
            assert stage.worker.slots.used == 0
            stream = await stage.start()
            status, said = await stage.post("/stream/params", {"level": 1})
            assert (status, said["message"]) == (
                422,
                "level cannot be checked: the node failed over it",
            )
            await stream.control(b'{"level": 1}')
            await stream.until(lambda: stream.kinds().count("params_rejected") == 2)
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)

    ran(test)


def test_changes_hold_in_the_order_in_which_they_came() -> None:
    """Though the first one takes longer to be looked at than the second."""
    held = stubs.Held()

    def judge(value: float) -> None:
        if value == 1:
            held()

    async def test() -> None:
        async with serving(JUDGED, {"judge": judging(judge)}) as stage:
            await stage.start()
            slow = asyncio.ensure_future(stage.post("/stream/params", {"level": 1}))
            await asyncio.to_thread(stubs.reach, held.reached)
            quick = asyncio.ensure_future(stage.post("/stream/params", {"level": 2}))
            await stage.get("/health")
            held.allowed.set()
            assert [(await answer)[0] for answer in (slow, quick)] == [200, 200]
            (session,) = stage.sessions.values()
            assert session.changes.targets() == {"level": 2.0}


def test_of_another_process_params_all_but_what_is_not_taken_is_set() -> None:
    async def test() -> None:
        async with changed() as here:
            changes = here.stage.sessions[here.stream.name].changes
            problems = await changes.restore(
                {"level": 0.5, "strength": "much", "gone": 1, "width": 4}
            )
            assert sorted(each.at for each in problems) == ["gone", "strength", "width"]
            assert changes.given() == {"level": 0.5}
            assert await changes.restore({}) == []

    ran(test)


# too many


def test_a_stream_takes_so_many_requests_a_second_and_refuses_what_would_wait_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "ASKED_A_SECOND", 10.0)
    monkeypatch.setattr(changes, "ASKED_AT_ONCE", 3.0)
    monkeypatch.setattr(changes, "LONGEST_TURN", 0.2)

    async def test() -> None:
        async with serving(JUDGED, {"judge": judging(float)}) as stage:
            (one, other) = [await stage.start() for _ in range(2)]

            async def asked(name: str, level: float) -> int:
                headers = {"X-Stream-Id": name}
                status, _ = await stage.post("/stream/params", {"level": level}, headers=headers)
                return int(status)

            answers = await asyncio.gather(*(asked(one.name, -number) for number in range(30)))
            assert set(answers) == {200, 429}
            assert answers.count(200) >= 3 + 2
            assert await asked(other.name, -1.0) == 200  # each stream has a pace of its own
            await asyncio.sleep(0.2)
            assert await asked(one.name, -1.0) == 200

    ran(test)
