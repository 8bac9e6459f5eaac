"""When a worker takes no more, and what it says and does then."""

from dataclasses import replace

import pytest

from composer.server import descriptors, footprint
from composer.server.footprint import Footprint
from composer.server.headroom import STAYS_SECONDS, Headroom, margin
from tests.conformance.test_c47_c48_batch import post
from tests.server.streams import QUICK, numbers, pieces, ran, serving
from tests.server.test_about import figure

MIB = 1 << 20
PLENTY = Footprint(100 * MIB, 1000 * MIB, "the container")
TIGHT = replace(PLENTY, used=860 * MIB)
NEARLY_OUT = replace(PLENTY, used=970 * MIB)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Footprint]:
    """What workers of the test are told of their memory: the last one counts."""
    told = [PLENTY]
    monkeypatch.setattr(footprint, "measured", lambda own_limit: told[-1])
    return told


class Watched:
    """The headroom of nobody."""

    def __init__(self, measured: list[Footprint]) -> None:
        self.clock = 1000.0
        self.shed = 0
        self._measured = measured
        self.headroom = Headroom(0, self._shed, lambda: self.clock)

    def _shed(self) -> None:
        self.shed += 1

    def becomes(self, memory: Footprint) -> str:
        self._measured.append(memory)
        self.headroom.look()
        return self.headroom.strained


@pytest.fixture
def watched(measured: list[Footprint]) -> Watched:
    return Watched(measured)


def test_memory_is_tight_before_it_is_out_and_enough_again_somewhat_later(watched: Watched) -> None:
    here = watched
    assert here.becomes(PLENTY) == ""
    assert here.becomes(replace(PLENTY, used=840 * MIB)) == ""
    assert here.becomes(TIGHT) == "memory is tight: 860 of 1000 MiB of the container are in use"
    assert here.becomes(replace(PLENTY, used=840 * MIB)) != ""
    assert here.becomes(replace(PLENTY, used=800 * MIB)) == ""
    assert here.shed == 0
    here.becomes(NEARLY_OUT)
    assert here.shed == 1


@pytest.mark.parametrize(
    ("limit", "left"), [(256, 38.4), (1024, 153.6), (4096, 256), (65536, 3276.8)]
)
def test_how_much_has_to_be_left(limit: int, left: float) -> None:
    assert margin(Footprint(0, limit * MIB, "it")) == pytest.approx(left * MIB)


def test_only_a_worker_that_has_nothing_to_lose_asks_for_a_restart(watched: Watched) -> None:
    here = watched
    here.becomes(TIGHT)
    here.clock += STAYS_SECONDS
    here.becomes(TIGHT)
    assert here.headroom.why_anew(busy=True) == ""
    assert here.headroom.why_anew(busy=False).startswith("memory stays tight though nothing runs")
    here.becomes(PLENTY)
    assert here.headroom.why_anew(busy=False) == ""


def test_a_loop_that_is_late_takes_no_more(watched: Watched) -> None:
    here = watched
    for _ in range(4):
        here.headroom.pulse.came(1.0, here.clock)
    assert here.headroom.strained == (
        "the worker has more to do than it can: its loop was late for 4.0 of the last 10 seconds"
    )
    here.clock += 20
    assert here.headroom.strained == ""


@pytest.mark.fault("F-67")
def test_under_pressure_starts_are_refused_and_what_runs_goes_on(measured: list[Footprint]) -> None:
    async def test() -> None:
        async with serving(timing=QUICK) as stage:
            stream = await stage.start()
            measured.append(TIGHT)
            stage.worker.headroom.look()
            why = "memory is tight: 860 of 1000 MiB of the container are in use"
            refused = await stage.start()
            assert (refused.status, refused.answer["message"]) == (503, why)
            status, body, headers = await post(stage, "/process", b"x")
            assert (status, why in body.decode(), headers["Retry-After"]) == (503, True, "5")
            assert await stage.get("/ready") == (503, {"ok": False, "why": why})
            assert await stage.get("/live") == (200, {"ok": True, "why": why})
            assert await figure(stage, "byoc_memory_used_bytes") == TIGHT.used
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)
            measured.append(PLENTY)
            stage.worker.headroom.look()
            assert (await stage.start()).status == 200

    ran(test)


@pytest.mark.fault("F-46", "F-67")
def test_before_memory_runs_out_the_newest_session_goes(measured: list[Footprint]) -> None:
    async def test() -> None:
        async with serving(timing=QUICK) as stage:
            old, new = await stage.start(), await stage.start()
            session = stage.sessions[new.name]
            measured.append(NEARLY_OUT)
            stage.worker.headroom.look()
            await session.over.wait()
            assert session.reason == "overload"
            assert session.failure.startswith("memory runs out: 970 of 1000 MiB")
            measured.append(PLENTY)
            stage.worker.headroom.look()
            assert list(stage.sessions) == [old.name]
            await old.publish(pieces(20), speed=4)
            await old.until(lambda: len(numbers(old.output)) == 20)

    ran(test)


@pytest.mark.fault("F-65")
def test_the_last_descriptors_are_for_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving(timing=QUICK) as stage:
            stream = await stage.start()
            most = descriptors.used() + descriptors.RESERVE + descriptors.BESIDE
            monkeypatch.setattr(descriptors, "limit", lambda: most)
            refused = await stage.start()
            assert refused.status == 503
            assert refused.answer["message"].endswith("and the rest is kept for what runs")
            assert (await stage.get("/ready"))[0] == 503
            await stream.publish(pieces(20), speed=4)
            await stream.until(lambda: len(numbers(stream.output)) == 20)

    ran(test)
