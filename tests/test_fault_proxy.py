"""Each fault of the proxy as a client meets it, and the same again with the same seed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from composer.testing.exchange import Exchange
from composer.testing.fault_proxy import Fault, FaultProxy
from composer.testing.peer import Peer
from tests.server.streams import ran

BODY = bytes(range(256)) * 8


async def honest(exchange: Exchange) -> None:
    await exchange.answer(body=BODY, Lp_Trickle_Seq=exchange.seq)


@asynccontextmanager
async def spoilt(*faults: Fault, seed: int = 0) -> AsyncIterator[tuple[Peer, FaultProxy, str]]:
    peer = Peer(get=honest)
    async with peer.serving() as server:
        proxy = FaultProxy(server, *faults, seed=seed)
        async with proxy.serving() as address:
            yield peer, proxy, address


async def asked(address: str, request: str = "GET /in/0 HTTP/1.1\r\nHost: x\r\n\r\n") -> bytes:
    """All that comes of one request; raises ConnectionResetError where the connection breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    try:
        writer.write(request.replace("Host: x", "Host: x\r\nX-A: b").encode())
        data = b""
        while not data.endswith(BODY) and (more := await reader.read(1 << 16)):
            data += more
        return data
    finally:
        writer.close()


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_without_a_fault_everything_goes_through_and_connections_last() -> None:
    async def test() -> None:
        async with spoilt() as (peer, proxy, address):
            assert body_of(await asked(address)) == BODY
            assert (peer.asked["GET"], proxy.connections) == (1, 1)

    ran(test)


def test_it_cuts_in_good_order_or_not() -> None:
    async def test() -> None:
        async with spoilt(Fault(cut_after=300), Fault(cut_after=300, reset=True)) as (
            _,
            _p,
            address,
        ):
            assert len(await asked(address)) == 300
            with pytest.raises(ConnectionResetError):
                await asked(address)

    ran(test)


def test_it_stands_still_with_the_connection_open() -> None:
    async def test() -> None:
        async with spoilt(Fault(stall_after=300)) as (_, proxy, address):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(address.rpartition(":")[2])
            )
            writer.write(b"GET /in/0 HTTP/1.1\r\n\r\n")
            assert len(await reader.readexactly(300)) == 300
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            await proxy.drop_all()
            assert await reader.read() == b""
            writer.close()

    ran(test)


def test_pieces_are_small_and_late() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with spoilt(Fault(piece=500, delay=0.02)) as (_, _p, address):
            began = loop.time()
            assert body_of(await asked(address)) == BODY
            assert loop.time() - began >= len(BODY) // 500 * 0.02
        async with spoilt(Fault(rate=20_000)) as (_, _p, address):
            began = loop.time()
            assert body_of(await asked(address)) == BODY
            assert loop.time() - began >= len(BODY) / 20_000

    ran(test)


def test_what_chance_spoils_is_the_same_with_the_same_seed() -> None:
    async def of(seed: int) -> bytes:
        async with spoilt(Fault(corrupt=0.01), seed=seed) as (_, _p, address):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(address.rpartition(":")[2])
            )
            writer.write(b"GET /in/0 HTTP/1.1\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            body = await reader.readexactly(len(BODY))
            writer.close()
            return body

    async def test() -> None:
        first, again, other = await of(1), await of(1), await of(2)
        assert first == again != other
        wrong = sum(one != right for one, right in zip(first, BODY, strict=True))
        assert 5 < wrong < 50

    ran(test)


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Fault(status=470), lambda head: head.startswith(b"HTTP/1.1 470 ")),
        (Fault(drop="Lp-Trickle-Seq"), lambda head: b"Lp-Trickle-Seq" not in head),
        (Fault(double="Lp-Trickle-Seq"), lambda head: head.count(b"Lp-Trickle-Seq: 0") == 2),
        (
            Fault(redirect="http://elsewhere.test/"),
            lambda head: b" 302 " in head and b"Location: http://elsewhere.test/" in head,
        ),
    ],
)
def test_heads(fault: Fault, holds) -> None:  # type: ignore[no-untyped-def]
    async def test() -> None:
        async with spoilt(fault) as (_, _p, address):
            answer = await asked(address)
            assert holds(answer.partition(b"\r\n\r\n")[0])
            assert b"\r\nConnection: close" in answer
            assert body_of(answer) == BODY

    ran(test)


def test_interim_answers_come_before_the_one_that_counts() -> None:
    async def test() -> None:
        async with spoilt(Fault(interim=20)) as (_, _p, address):
            answer = await asked(address)
            assert answer.count(b"HTTP/1.1 100 Continue\r\n\r\n") == 20
            assert answer.endswith(BODY)

    ran(test)


def test_what_is_sent_may_be_cut_too() -> None:
    async def test() -> None:
        async with spoilt(Fault(cut_after=10, upwards=True)) as (peer, _p, address):
            assert await asked(address) == b""
            assert not peer.asked

    ran(test)


def test_faults_take_turns_and_the_last_one_stays_until_another_is_set() -> None:
    async def test() -> None:
        async with spoilt(Fault(cut_after=1), Fault(cut_after=2)) as (_, proxy, address):
            assert [len(await asked(address)) for _ in range(3)] == [1, 2, 2]
            proxy.set()
            assert body_of(await asked(address)) == BODY
            proxy.set(Fault(cut_after=3))
            assert len(await asked(address)) == 3

    ran(test)


def test_a_server_that_is_away_ends_the_connection() -> None:
    async def test() -> None:
        async with Peer().serving() as server:
            pass
        async with FaultProxy(server).serving() as address:
            assert await asked(address) == b""

    ran(test)
