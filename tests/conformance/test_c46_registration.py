"""Registration at an orchestrator, C-46 of the contract's checklist."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from composer.server import registration
from composer.server.registration import Offered, Registration, RegistrationOutcome, Rhythm
from composer.testing.orchestrator import Orchestrator
from composer.trickle.http import open_http
from tests import clocks
from tests.server.streams import PASS, ran, serving
from tests.trickle import wire_stub
from tests.trickle.wire_stub import Stub


class Quick(Rhythm):
    """The same order of things, in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    def after(self, answer: RegistrationOutcome) -> float:
        self.asked.set()
        return super().after(answer) / 1000


@asynccontextmanager
async def registering(
    url: str,
    free: Callable[[], int] = lambda: 2,
    secret: str = "secret",
    rhythm: Rhythm | None = None,
    **more: str,
) -> AsyncIterator[Registration]:
    offered = Offered("cap", "http://worker:8000", "it passes", 7, 3, **more)
    async with open_http() as http:
        made = Registration(http, url, secret, offered, free, rhythm or Quick())
        task = asyncio.ensure_future(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await made.close()


def test_c46_it_says_who_it_is_and_unregisters_with_its_name() -> None:
    async def test() -> None:
        async with Orchestrator().serving() as orchestrator:
            async with registering(orchestrator.url, currency="USD", token="t") as made:
                await orchestrator.has("cap")
                assert orchestrator.capabilities["cap"] == {
                    "name": "cap",
                    "url": "http://worker:8000",
                    "description": "it passes",
                    "capacity": 2,
                    "price_per_unit": 7,
                    "price_scaling": 3,
                    "currency": "USD",
                    "token": "t",
                }
                await orchestrator.until(lambda: made.registered)
            assert orchestrator.capabilities == {}
            assert orchestrator.removed == ["cap"]

    ran(test)


class Noted(Rhythm):
    """The rhythm of a worker, and what came of each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[RegistrationOutcome] = []
        self.waits: list[float] = []

    def after(self, answer: RegistrationOutcome) -> float:
        self.answers.append(answer)
        self.waits.append(super().after(answer))
        return self.waits[-1]


@pytest.mark.fault("F-74")
def test_c46_it_tries_until_the_orchestrator_is_there_and_again_after_its_restart() -> None:
    async def test() -> None:
        async with Orchestrator().serving() as first:
            port = int(first.url.rsplit(":", 1)[1])
        free, rhythm, clock = 2, Noted(), clocks.clock()
        async with registering(f"http://127.0.0.1:{port}", lambda: free, rhythm=rhythm) as made:
            await asyncio.sleep(900)
            assert made.error
            assert len(rhythm.answers) > 900 / 60
            assert set(rhythm.answers) == {RegistrationOutcome.FAILED}
            assert rhythm.waits[0] <= 2
            assert max(rhythm.waits) <= 60
            async with Orchestrator().serving(port) as orchestrator:
                await orchestrator.has("cap")
                for free in (1, 0, 2):
                    orchestrator.forget_all()
                    lost = clock.skipped
                    await orchestrator.has("cap")
                    assert clock.skipped - lost <= 60
                    assert orchestrator.capabilities["cap"]["capacity"] == free

    clocks.ran_skipping(test)


def test_c46_a_wrong_secret_is_told_and_tried_slowly() -> None:
    async def test() -> None:
        rhythm = Quick()
        async with (
            Orchestrator().serving() as orchestrator,
            registering(orchestrator.url, secret="wrong", rhythm=rhythm) as made,
        ):
            await rhythm.asked.wait()
            assert made.error == "the secret is wrong"
            assert not made.registered
            assert orchestrator.registrations == []

    ran(test)


def test_c46_a_worker_registers_when_it_is_ready_and_unregisters_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registration, "RENEW_SECONDS", 0.0)

    async def test() -> None:
        async with Orchestrator().serving() as there:
            known: dict[str, Any] = {"orchestrators": (there.url,), "orch_secret": "secret"}
            async with serving(PASS, capacity=3, tokens=("t",), **known) as stage:
                await there.has("cap")
                assert there.capabilities["cap"]["capacity"] == 3
                there.forget_all()
                status, _ = await stage.post("/stream/stop", b"")
                assert status == 401
                await there.has("cap")
            assert there.capabilities == {}

    ran(test)


@pytest.mark.fault("F-75")
def test_c46_a_worker_offers_the_room_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "RENEW_SECONDS", 0.0)

    async def test() -> None:
        async with Orchestrator().serving() as there:
            known: dict[str, Any] = {"orchestrators": (there.url,), "orch_secret": "secret"}
            async with serving(PASS, capacity=3, **known) as stage:
                await there.has("cap")
                streams = [await stage.start() for _ in range(2)]
                for used, stream in ((2, streams[0]), (1, streams[1])):
                    there.forget_all()
                    stage.worker.registrations[0].renew()
                    await there.has("cap")
                    assert there.capabilities["cap"]["capacity"] == 3 - used
                    await stream.stop()

    ran(test)


def test_c46_a_currency_that_ends_the_connection_is_suspected() -> None:
    async def test() -> None:
        stub = Stub(POST=[wire_stub.reset()])
        rhythm = Quick()
        async with stub.serving() as url, registering(url, rhythm=rhythm, currency="XYZ") as made:
            await rhythm.asked.wait()
            assert made.error == "it hung up; it may not know the currency 'XYZ'"

    ran(test)
