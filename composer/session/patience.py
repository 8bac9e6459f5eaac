"""Patience: to wait for something, but not for ever."""

import asyncio
from collections.abc import Awaitable


async def came_within(awaited: Awaitable[object], seconds: float) -> bool:
    """Whether it came in so many seconds; it is cancelled where it did not."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await awaited
    except TimeoutError:
        return False
    return True
