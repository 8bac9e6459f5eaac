"""What an Ingress reads in the process of a session."""

import socket

from composer.isolation.arrivals import Arrivals
from composer.isolation.conduit import MARK, Conduit
from tests.server.streams import ran


def test_bytes_and_gaps_come_in_order_and_the_end_once() -> None:
    async def test() -> None:
        here, there = socket.socketpair()
        with here, there:
            there.setblocking(False)  # noqa: FBT003 - it takes no name
            happened: list[bytes | str] = []
            arrivals = Arrivals(
                there, lambda: happened.append("gap"), lambda: happened.append("ended")
            )
            assert not arrivals.pour(happened.append)
            conduit = Conduit(here)
            for piece in (b"one", MARK, b"two"):
                conduit.send(piece)
            assert arrivals.pour(happened.append)
            assert happened == [b"one", "gap", b"two"]
            assert not arrivals.over
            conduit.end()
            assert not arrivals.pour(happened.append)
            assert not arrivals.pour(happened.append)
            assert arrivals.over
            assert happened[3:] == ["ended"]

    ran(test)


def test_a_worker_that_is_gone_is_the_end() -> None:
    here, there = socket.socketpair()
    with there:
        there.setblocking(False)  # noqa: FBT003 - it takes no name
        ended: list[int] = []
        arrivals = Arrivals(there, lambda: None, lambda: ended.append(1))
        there.send(b"nobody reads it")
        here.close()
        assert not arrivals.pour(lambda data: None)
        assert (arrivals.over, ended) == (True, [1])
