"""Sockets that change hands while somebody knocks."""

import asyncio
import socket

import pytest

from composer.server.door import Door
from tests.server.streams import ran


class Says(asyncio.Protocol):
    """Says who it is."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._name)
        transport.close()


async def answer(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = await reader.read()
    writer.close()
    return said


def test_nobody_is_refused_while_one_follows_another() -> None:
    async def test() -> None:
        old = Door("127.0.0.1", 0)
        await old.open(lambda: Says(b"old"))
        port = int(old.address.rsplit(":", 1)[1])
        inherited = [socket.socket(fileno=socket.dup(each)) for each in old.descriptors]
        new = Door("", 0, inherited)
        assert new.address == old.address
        assert await answer(port) == b"old"
        old.close()
        knocking = asyncio.ensure_future(answer(port))  # while nobody accepts
        await asyncio.sleep(0.05)
        assert not knocking.done()
        await new.open(lambda: Says(b"new"))
        assert await knocking == b"new"
        old.give_back()
        assert await answer(port) == b"new"
        new.give_back()
        with pytest.raises(ConnectionRefusedError):
            await answer(port)

    ran(test)


def test_one_that_was_closed_may_open_again_and_twice_is_once() -> None:
    async def test() -> None:
        door = Door("127.0.0.1", 0)
        for _ in range(2):
            await door.open(lambda: Says(b"x"))
            await door.open(lambda: Says(b"y"))
            assert await answer(int(door.address.rsplit(":", 1)[1])) == b"x"
            door.close()
        door.give_back()

    ran(test)


def test_an_address_of_six_is_written_with_brackets() -> None:
    async def test() -> None:
        door = Door("::1", 0)
        try:
            await door.open(lambda: Says(b"x"))
        except OSError:
            pytest.skip("there is no IPv6 here")
        assert door.address.startswith("http://[::1]:")
        door.give_back()

    ran(test)
