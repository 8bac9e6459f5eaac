"""The clock that tests hold."""

import asyncio
import threading
import time

import pytest

from tests.clocks import clock, ran, ran_skipping


def test_where_nothing_happens_timers_come_at_once_and_in_order() -> None:
    order: list[float] = []

    async def sleep(seconds: float) -> None:
        before = clock().time()
        await asyncio.sleep(seconds)
        order.append(seconds)
        assert clock().time() - before >= seconds

    async def test() -> None:
        await asyncio.gather(sleep(600), sleep(60), sleep(0.001))

    before = time.monotonic()
    ran_skipping(test)
    assert order == [0.001, 60, 600]
    assert time.monotonic() - before < 60


def test_what_waits_for_nothing_that_comes_is_ended() -> None:
    with pytest.raises(TimeoutError):
        ran_skipping(asyncio.Event().wait)


def test_a_slow_clock_keeps_timers_away_and_lets_the_rest_come() -> None:
    async def test() -> None:
        async with clock().slow():
            before = clock().time()
            await asyncio.to_thread(threading.Event().wait, 0.05)
            assert clock().time() - before < 0.05
            sleeping = asyncio.ensure_future(asyncio.sleep(0.1))
            await asyncio.to_thread(threading.Event().wait, 0.2)
            assert not sleeping.done()
        await sleeping

    ran(test)
