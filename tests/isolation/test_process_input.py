"""Input on its way to a process, with a socket in its place."""

import asyncio
import socket
from collections.abc import Callable
from itertools import pairwise

from composer.isolation.conduit import MARK, Pieces
from composer.isolation.messages import InputAccount
from composer.isolation.process_input import HELD_BYTES, SILENT_SECONDS, ProcessInput
from tests.isolation.sockets import pair
from tests.server.streams import ran


class Segment:
    """A segment that comes over a socket, as composer.trickle has it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - it takes no name
        self.fileno, self.over, self._socket = sock.fileno(), False, sock
        self.ended, self.begun = asyncio.Event(), asyncio.Event()
        self._size = 0

    def pour(self, take: Callable[[bytes], None]) -> bool:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return False
        self._size += len(data)
        if self._size >= HELD_BYTES:
            self.begun.set()
        if data:
            take(data)
        else:
            self.over = True
            self.ended.set()
        return bool(data)


async def came(there: socket.socket, size: int) -> list[bytes]:
    """The pieces that a process gets, until it has so many bytes."""
    pieces, found = Pieces(), list[bytes]()
    while sum(map(len, found)) < size:
        found += pieces.feed(await asyncio.get_running_loop().sock_recv(there, 65536))
    return found


def test_bytes_of_a_segment_go_on_as_they_come_and_gaps_between_them() -> None:
    async def test() -> None:
        with pair() as (here, there), pair() as (network, peer):
            end = ProcessInput()
            end.connect(here)
            peer.send(b"first")
            end.attach(Segment(network))
            assert await came(there, 5) == [b"first"]
            end.gap()
            peer.send(b"second")
            assert await came(there, 6) == [MARK, b"second"]
            end.detach()
            assert (end.counts.bytes, end.counts.gaps, end.last_at > 0) == (11, 1, True)
            end.end()
            assert await asyncio.get_running_loop().sock_recv(there, 1) == b""

    ran(test)


def test_a_segment_that_is_over_is_left_alone() -> None:
    async def test() -> None:
        with pair() as (here, _), pair() as (network, peer):
            end, segment = ProcessInput(), Segment(network)
            end.connect(here)
            peer.close()
            end.attach(segment)
            assert segment.over
            assert not asyncio.get_running_loop().remove_reader(network)
            end.detach()

    ran(test)


async def sent(peer: socket.socket, count: int) -> None:
    for _ in range(count):
        await asyncio.get_running_loop().sock_sendall(peer, bytes(4096))


def test_a_sender_waits_for_a_process_that_takes_nothing_just_now() -> None:
    async def test() -> None:
        with pair() as (here, there), pair() as (network, peer):
            end = ProcessInput()
            end.connect(here)
            segment = Segment(network)
            end.attach(segment)
            sending = asyncio.ensure_future(sent(peer, 1000))
            pieces = await came(there, 1000 * 4096)
            await sending
            assert MARK not in pieces
            assert end.counts.unread == 0
            end.detach()

    ran(test)


def test_what_a_process_never_takes_is_dropped_and_counted() -> None:
    async def test() -> None:
        clock = [0.0]
        with pair() as (here, there), pair() as (network, peer):
            end = ProcessInput(lambda: clock[0], most=2 * HELD_BYTES)
            end.connect(here)
            segment = Segment(network)
            end.attach(segment)
            sending = asyncio.ensure_future(sent(peer, 1000))
            await segment.begun.wait()
            assert not sending.done()
            clock[0] += SILENT_SECONDS + 1
            end.tend()
            await sending
            peer.close()
            await segment.ended.wait()
            assert end.counts.bytes == 1000 * 4096
            dropped = end.counts.unread
            assert 0 < dropped < 1000 * 4096
            pieces = await came(there, 1000 * 4096 - dropped)
            assert pieces.count(MARK) == 1
            assert not any(one == other == MARK for one, other in pairwise(pieces))
            assert not end.waiting

    ran(test)


def test_what_comes_for_a_process_that_says_nothing_counts_as_fed() -> None:
    async def test() -> None:
        clock = [100.0]
        end = ProcessInput(lambda: clock[0])
        end.told(InputAccount(video_at=99.0, audio_at=98.0, waiting=3))
        assert (end.fed_at("video"), end.fed_at("audio"), end.waiting) == (99.0, 98.0, 3)
        clock[0] += SILENT_SECONDS + 1
        with pair() as (network, peer):
            peer.send(b"x")
            end.attach(Segment(network))
            assert end.fed_at("video") == clock[0]
            end.detach()

    ran(test)
