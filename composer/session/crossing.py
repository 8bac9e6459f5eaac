"""Crossing: calls from any thread to the loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, ParamSpec

log: Final = logging.getLogger(__name__)

_Given = ParamSpec("_Given")


def to_loop(call: Callable[_Given, object]) -> Callable[_Given, None]:
    """The same call, made soon on the loop that runs now, from whatever thread; once that loop is
    closed it is left out, since nobody is there to hear of it.
    """
    loop = asyncio.get_running_loop()

    def later(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        try:
            loop.call_soon_threadsafe(lambda: call(*args, **kwargs))
        except RuntimeError:
            log.debug("the loop is closed")

    return later
