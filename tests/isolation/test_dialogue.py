"""A dialogue with a process that the test plays."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from composer.errors import NodeFailed, ProcessLost
from composer.isolation import messages
from composer.isolation.conduit import Garbled
from composer.isolation.dialogue import MOST_MESSAGES, Dialogue
from composer.isolation.failure import Failure
from composer.isolation.messages import Answered, Data, Statement
from tests import clocks
from tests.server.streams import ran


class Played:
    """The socket of a process, with the test at its other end."""

    def __init__(self) -> None:
        self.control, self._socket = socket.socketpair()
        self.control.setblocking(False)  # noqa: FBT003 - it takes no name
        self._socket.setblocking(False)  # noqa: FBT003 - it takes no name
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.heard: list[Statement] = []
        self.dialogue = Dialogue(self, self.heard.append)  # type: ignore[arg-type]
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.listening: asyncio.Future[None]

    async def open(self) -> None:
        await self.dialogue.open()
        self.reader, self.writer = await asyncio.open_unix_connection(sock=self._socket)

    def say(self, *said: Statement) -> None:
        self.writer.write(b"".join(map(messages.written, said)))


@asynccontextmanager
async def played() -> AsyncIterator[Played]:
    here = Played()
    await here.open()
    here.listening = asyncio.ensure_future(here.dialogue.listen())
    try:
        yield here
    finally:
        here.writer.close()
        here.dialogue.close()
        await asyncio.wait({here.listening})
        await here.writer.wait_closed()


def test_orders_come_in_order_and_answers_go_to_who_asked() -> None:
    async def test() -> None:
        async with played() as here:
            calls = [here.dialogue.next_call(), here.dialogue.next_call()]
            waiting: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(here.dialogue.answer(call, messages.SetParams(call, {})))
                for call in calls
            ]
            assert calls == [messages.BEGUN, 1]
            for call in calls:
                assert await messages.obey(here.reader) == messages.SetParams(call, {})
            failure = Failure(
                kind="node", message="no", cause="KeyError", node="n", doing="setup()"
            )
            here.say(Answered(call=1, failure=failure), Answered(call=7), Answered(call=0))
            await waiting[0]
            with pytest.raises(NodeFailed, match="node 'n' failed in setup"):
                await waiting[1]

    ran(test)


def test_who_waits_hears_of_the_end() -> None:
    async def test() -> None:
        async with played() as here:
            waiting = asyncio.ensure_future(here.dialogue.answer(0, messages.Abandon()))
            await messages.obey(here.reader)
            here.dialogue.fail(ProcessLost("it is gone", "SIGSEGV"))
            with pytest.raises(ProcessLost, match="it is gone"):
                await waiting

    ran(test)


def test_a_process_that_floods_is_heard_so_much_a_second() -> None:
    async def test() -> None:
        async with played() as here:
            most = int(MOST_MESSAGES)
            began = clocks.clock().time()
            here.say(*(Data(lines="[1]\n") for _ in range(4 * most)))
            here.writer.close()
            await here.listening
            assert len(here.heard) == 4 * most
            # As many as are allowed in a second came at once.
            assert clocks.clock().time() - began > 2.5

    clocks.ran_skipping(test)


def test_nonsense_ends_it() -> None:
    async def test() -> None:
        async with played() as here:
            here.writer.write(b"\xff" * 8)
            with pytest.raises(Garbled):
                await here.listening

    ran(test)


def test_what_it_has_said_is_heard_though_something_holds_its_socket_open() -> None:
    async def test() -> None:
        async with played() as here:
            said = [Data(lines="[1]\n"), Data(lines="[2]\n")]
            here.say(*said)
            here.exited.set_result(0)
            await here.listening
            assert here.heard == said

    ran(test)
