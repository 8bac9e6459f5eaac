"""Output of a process, with a socket in its place."""

import asyncio
from collections import Counter

from composer.isolation.conduit import MARK, Conduit
from composer.isolation.process_output import ProcessOutput
from composer.media.mpegts.written import Written
from composer.session.egress import CUT, EgressCount
from tests.isolation.sockets import pair
from tests.server.streams import ran


def test_output_comes_in_pieces_with_its_cuts_and_ends() -> None:
    async def test() -> None:
        with pair() as (here, there):
            end = ProcessOutput()
            here.setblocking(False)  # noqa: FBT003 - it takes no name
            end.connect(here)
            conduit = Conduit(there)
            for piece in (MARK, b"first", MARK, b"second"):
                conduit.send(piece)
            found = [await end.read() for _ in range(4)]
            assert found == [CUT, b"first", CUT, b"second"]
            waiting = asyncio.ensure_future(end.read())
            conduit.end()
            assert await waiting is None
            written = Written("h264", last={"video": 9000})
            end.told(EgressCount(packets=Counter(video=2), dropped=Counter(full=1)), 5, written)
            assert (end.shift, end.written()) == (5, written)
            counts = end.counts
            assert (counts.bytes, counts.packets, counts.dropped) == (
                11,
                Counter(video=2),
                Counter(full=1),
            )

    ran(test)


def test_output_that_makes_no_sense_ends() -> None:
    async def test() -> None:
        with pair() as (here, there):
            end = ProcessOutput()
            here.setblocking(False)  # noqa: FBT003 - it takes no name
            end.connect(here)
            there.send(b"\xff" * 100)
            assert await end.read() is None

    ran(test)


def test_without_a_process_nothing_comes_out() -> None:
    async def test() -> None:
        end = ProcessOutput()
        waiting = asyncio.ensure_future(end.read())
        end.end()
        assert await waiting is None

    ran(test)
