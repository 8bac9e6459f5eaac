"""Waiting for a while."""

import asyncio

from composer.session.patience import came_within


def test_what_is_there_came_and_what_does_not_come_is_left() -> None:
    async def test() -> None:
        event = asyncio.Event()
        waiting = asyncio.ensure_future(event.wait())
        assert not await came_within(waiting, 0)
        assert waiting.cancelled()
        event.set()
        assert await came_within(event.wait(), 1)

    asyncio.run(test())
