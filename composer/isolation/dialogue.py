"""Dialogue: what a worker says to the process of a session and what it hears of it, one by one."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable
from typing import Final

from composer.bucket import Bucket
from composer.errors import Stalled
from composer.isolation import messages
from composer.isolation.messages import Answered, Order, Statement
from composer.isolation.processes import SessionProcess

MOST_MESSAGES: Final = 400.0
MOST_BYTES: Final = 16.0 * 1024 * 1024
"""What is heard of one process in a second. What it says beyond waits, and in the end it waits
itself: the loop has other sessions, too.
"""


class Dialogue:
    """With one process. heard: told what it says by itself. Used on the loop only."""

    def __init__(self, process: SessionProcess, heard: Callable[[Statement], None]) -> None:
        self._process, self._heard = process, heard
        self._calls = itertools.count(messages.BEGUN)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closed = False

    async def open(self) -> None:
        """Raises OSError."""
        opened = await asyncio.open_unix_connection(sock=self._process.control)
        self._reader, self._writer = opened
        self._process.exited.add_done_callback(self._hear_the_rest)

    @property
    def unsent(self) -> int:
        """Bytes that the process has not taken."""
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    def say(self, order: Order) -> None:
        """Tell it something; nothing where it is gone."""
        if self._writer is not None and not self._closed:
            self._writer.write(messages.ordered(order))

    def next_call(self) -> int:
        """A number for what is to be answered. The first is BEGUN."""
        return next(self._calls)

    async def answer(self, call: int, order: Order) -> None:
        """Tell it something, and wait until that is done. Raises what it raises, and Stalled where
        the process ends before that.
        """
        answered = self._waiting[call] = asyncio.get_running_loop().create_future()
        self.say(order)
        try:
            await answered
        finally:
            self._waiting.pop(call, None)

    async def listen(self) -> None:
        """Until it says nothing any more. Raises Garbled."""
        assert self._reader is not None
        now = asyncio.get_running_loop().time
        many, much = Bucket(MOST_MESSAGES, MOST_MESSAGES), Bucket(MOST_BYTES, MOST_BYTES)
        while (came := await messages.hear(self._reader)) is not None:
            statement, size = came
            if isinstance(statement, Answered):
                self._settle(statement)
            else:
                self._heard(statement)
            rest = max(many.take(1, now()), much.take(size, now()))
            await asyncio.sleep(rest)  # also for none: others have their turn

    def fail(self, failure: Exception | None) -> None:
        """Whoever waits for an answer gets none any more."""
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(failure or Stalled("the run has ended"))

    def close(self) -> None:
        """Say nothing more: that is how the process knows that it is not needed."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()

    def _settle(self, statement: Answered) -> None:
        answered = self._waiting.get(statement.call)
        if answered is None or answered.done():
            return
        if statement.failure is None:
            answered.set_result(None)
        else:
            answered.set_exception(statement.failure.exception())

    def _hear_the_rest(self, exited: "asyncio.Future[int]") -> None:
        """It has ended, but what it has begun may hold its socket open."""
        with contextlib.suppress(OSError):  # it is closed
            self._process.control.shutdown(socket.SHUT_RD)
