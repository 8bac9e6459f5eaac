"""Registration: what it says, and how long it waits."""

import asyncio

import pytest

from composer.server.registration import (
    AGAIN_SECONDS,
    LONGEST_SECONDS,
    REFUSED_SECONDS,
    Offered,
    Registration,
    RegistrationOutcome,
    Rhythm,
)
from composer.trickle.http import open_http
from tests.server.streams import ran


def test_numbers_are_numbers_and_what_is_not_set_is_left_away() -> None:
    plain = Offered("cap", "http://worker:8000")
    assert plain.body(2) == {
        "name": "cap",
        "url": "http://worker:8000",
        "capacity": 2,
        "price_per_unit": 0,
        "price_scaling": 1,
    }
    full = Offered("cap", "http://worker:8000", "what it does", 5, 10, "USD", "token")
    more = {"description": "what it does", "currency": "USD", "token": "token"}
    assert full.body(0) == plain.body(0) | more | {"price_per_unit": 5, "price_scaling": 10}


@pytest.mark.fault("F-74")
def test_failures_are_tried_again_slower_and_slower() -> None:
    rhythm = Rhythm(chance=lambda: 1.0)
    waits = [rhythm.after(RegistrationOutcome.FAILED) for _ in range(8)]
    assert waits == [2, 4, 8, 16, 32, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]
    assert rhythm.after(RegistrationOutcome.REFUSED) == REFUSED_SECONDS
    assert rhythm.after(RegistrationOutcome.DONE) == AGAIN_SECONDS
    assert rhythm.after(RegistrationOutcome.FAILED) == 2
    assert Rhythm(chance=lambda: 0.0).after(RegistrationOutcome.FAILED) == 1


class Watched(Rhythm):
    """Waits no time, and says when there were three answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[RegistrationOutcome] = []
        self.three = asyncio.Event()

    def after(self, answer: RegistrationOutcome) -> float:
        self.answers.append(answer)
        if len(self.answers) == 3:
            self.three.set()
        return 0.0


@pytest.mark.parametrize(
    ("orchestrator", "secret"),
    [
        pytest.param("http://127.0.0.1:9", "one\ntwo", id="no header"),
        pytest.param("http://127.0.0.1:9", "\udcff", id="no text"),
        pytest.param("127.0.0.1:9", "secret", id="no address"),
        pytest.param("http://me:pw@127.0.0.1:9", "secret", id="two secrets"),
    ],
)
def test_a_request_that_cannot_be_made_is_told_and_tried_again(
    orchestrator: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is one of several tasks of a worker, and ends none of them."""

    async def test() -> None:
        rhythm = Watched()
        async with open_http() as http:
            here = Registration(http, orchestrator, secret, Offered("cap", ""), lambda: 1, rhythm)
            running = asyncio.ensure_future(here.run())
            await rhythm.three.wait()
            assert not running.done()
            running.cancel()
            await here.close()
        assert rhythm.answers == [RegistrationOutcome.FAILED] * 3
        assert not here.registered

    ran(test)
    assert "cannot be registered" in caplog.text
    assert "one" not in caplog.text
