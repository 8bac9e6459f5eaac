"""Line: the connection below a request that is being written, for any thread while it is free."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from composer.trickle.connection import ServerConnection
from composer.trickle.framing import chunk

log: Final = logging.getLogger(__name__)


class Line:
    """Takes pieces of a chunked body that the network takes at once.

    It is open between open() and close_up(), until something has to wait: what comes then waits in
    order, with its owner. All but send() are the loop's. wake: called on the loop when something of
    a piece is left over.
    """

    def __init__(self, connection: ServerConnection, wake: Callable[[], None]) -> None:
        self.used = False
        """Whether it took anything."""
        self.rest = b""
        """What the network did not take of a piece yet."""

        self._connection, self._wake = connection, wake
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._is_open = False

    def open(self) -> None:
        """Nothing waits before what comes now."""
        with self._lock:
            self._is_open = not self.rest

    def send(self, data: bytes) -> bool:
        """Whether a piece went out, from any thread: it costs the loop no wake-up."""
        with self._lock:
            if not self._is_open:
                return False
            if not data:  # as a chunk it would be the last one
                return True
            try:
                rest = self._connection.write_now(chunk(data))
            except OSError:  # nobody takes it: the loop finds out why
                self._is_open = False
                return False
            self.used, self.rest, self._is_open = True, rest, not rest
            if rest:
                self._wake_loop()
            return True

    async def close_up(self) -> None:
        """What comes from now on waits with its owner, behind what is left, which goes out here.
        Raises OSError.
        """
        with self._lock:
            self._is_open = False
        if self.rest:
            await self._connection.drain(self.rest)
            self.rest = b""

    def close(self) -> None:
        """It takes nothing any more."""
        with self._lock:
            self._is_open = False

    def _wake_loop(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            log.debug("the loop of a line is closed")
