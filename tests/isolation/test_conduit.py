"""Pieces between two processes: all of them, in order, and nobody waits."""

import asyncio
import socket
import threading

import pytest

from composer.isolation.conduit import LONGEST_PIECE, MARK, Conduit, Garbled, Pieces
from tests.isolation.sockets import pair
from tests.server.streams import ran

LARGE = 3 * 1024 * 1024
"""More than a socket holds."""


async def read(there: socket.socket, count: int) -> list[bytes]:
    pieces, found = Pieces(), list[bytes]()
    while len(found) < count:
        data = await asyncio.get_running_loop().sock_recv(there, 65536)
        assert data
        found += pieces.feed(data)
    return found


def test_pieces_come_as_they_were_sent_however_they_are_read() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            sent = [b"a", MARK, b"bc" * 1000, MARK]
            for piece in sent:
                conduit.send(piece)
            data = there.recv(65536)
            pieces = Pieces()
            assert [piece for at in range(len(data)) for piece in pieces.feed(data[at : at + 1])]
            assert Pieces().feed(data) == sent

    ran(test)


def test_what_the_other_side_does_not_take_waits_in_order() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            sent = [bytes([number]) * LARGE for number in range(3)]
            for piece in sent:
                conduit.send(piece)
            assert conduit.waiting > LARGE
            assert not conduit.offer(b"x")
            assert await read(there, 3) == sent
            await conduit.cleared()
            assert conduit.waiting == 0
            assert conduit.offer(b"x")
            assert await read(there, 1) == [b"x"]

    ran(test)


def test_the_rest_of_a_piece_goes_out_though_nothing_follows_it() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            sender = threading.Thread(target=conduit.offer, args=(bytes(LARGE),))
            sender.start()
            assert await read(there, 1) == [bytes(LARGE)]
            sender.join()

    ran(test)


def test_what_has_not_begun_can_be_forgotten() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            for _ in range(3):
                conduit.send(bytes(LARGE))
            assert conduit.forget() == 2 * LARGE
            conduit.send(MARK)
            assert await read(there, 2) == [bytes(LARGE), MARK]

    ran(test)


def test_the_end_comes_behind_all_that_waits() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            conduit.send(bytes(LARGE))
            conduit.end()
            conduit.send(b"too late")
            assert await read(there, 1) == [bytes(LARGE)]
            assert await asyncio.get_running_loop().sock_recv(there, 1) == b""

    ran(test)


def test_nobody_waits_for_a_reader_that_is_gone() -> None:
    async def test() -> None:
        with pair() as (here, there):
            conduit = Conduit(here)
            conduit.send(bytes(LARGE))
            there.close()
            await conduit.cleared()
            conduit.send(b"x")
            assert conduit.waiting == 0
            conduit.close()

    ran(test)


def test_nonsense_is_refused_before_it_is_gathered() -> None:
    with pytest.raises(Garbled):
        Pieces().feed((LONGEST_PIECE + 1).to_bytes(4, "little"))
