"""Calls from other threads to the loop."""

import asyncio
import threading

from composer.session.crossing import to_loop


def test_a_call_is_made_on_the_loop_and_in_order() -> None:
    made: list[tuple[int, int]] = []

    async def test() -> None:
        call = to_loop(lambda number: made.append((number, threading.get_ident())))
        last = asyncio.Event()
        done = to_loop(last.set)

        def other() -> None:
            for number in range(3):
                call(number)
            done()

        await asyncio.to_thread(other)
        await last.wait()

    asyncio.run(test())
    assert made == [(number, threading.get_ident()) for number in range(3)]


def test_nobody_is_called_once_the_loop_is_closed() -> None:
    made: list[int] = []

    async def test() -> None:
        calls.append(to_loop(made.append))

    calls: list[object] = []
    asyncio.run(test())
    (call,) = calls
    assert callable(call)
    call(1)
    assert made == []
