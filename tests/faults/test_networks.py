"""A bad network between a worker and its channels: the session goes on within its limits."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from composer.testing.fault_proxy import Fault, FaultProxy
from composer.testing.orchestrator import Orchestrator
from tests.faults import served
from tests.faults.neighbour import beside
from tests.server.streams import numbers, pieces, ran

pytestmark = pytest.mark.slow


@pytest.mark.fault("F-69")
def test_small_and_late_pieces_lose_nothing() -> None:
    async def test() -> None:
        async with beside() as (stage, neighbour):
            proxy = FaultProxy(stage.orchestrator.trickle, Fault(piece=300, delay=0.001))
            async with proxy.serving() as address:
                stream = await stage.start(stream_id="far", subscribe_url=f"{address}/far")
                await stream.publish(pieces(25))
                await stream.until(lambda: len(numbers(stream.output)) >= 25)
                await stream.stop()
                assert numbers(stream.output) == list(range(25))
                await neighbour.sent()

    ran(test, 60)


@pytest.mark.fault("F-01", "F-09", "F-69")
def test_a_server_whose_connections_all_break_is_asked_again() -> None:
    async def test() -> None:
        async with beside() as (stage, neighbour):
            proxy = FaultProxy(stage.orchestrator.trickle)
            async with proxy.serving() as address:
                stream = await stage.start(stream_id="far", subscribe_url=f"{address}/far")
                await stream.publish(pieces(25))
                await stream.until(lambda: len(numbers(stream.output)) >= 20)
                before = proxy.connections
                proxy.set(Fault(cut_after=0, reset=True), Fault(status=503), Fault())
                await proxy.drop_all()
                await stream.publish(pieces(25))
                await stream.until(lambda: len(numbers(stream.output)) >= 40)
                assert proxy.connections >= before + 3
                assert "far" in stage.sessions
                await stream.stop()
                await neighbour.sent()

    ran(test, 60)


@pytest.mark.fault("F-21", "F-22")
def test_bytes_that_a_network_spoils_hurt_their_session_only() -> None:
    async def test() -> None:
        async with beside() as (stage, neighbour):
            proxy = FaultProxy(stage.orchestrator.trickle, Fault(corrupt=0.001), seed=3)
            async with proxy.serving() as address:
                stream = await stage.start(stream_id="far", subscribe_url=f"{address}/far")
                await stream.publish(pieces(50))
                await neighbour.sent()
                assert "stream_stopped" not in stream.kinds()
                await stream.stop()

    ran(test, 60)


@pytest.mark.fault("F-62")
def test_a_worker_that_was_killed_is_followed_by_one_that_serves(tmp_path: Path) -> None:
    async def serves(worker: served.Process) -> None:
        async with Orchestrator().serving() as orchestrator:
            stream = await orchestrator.start("cap", url=worker.address)
            await stream.publish(pieces(25))
            await stream.until(lambda: len(numbers(stream.output)) >= 25)
            os.kill(worker.pid, signal.SIGKILL)

    with served.worker(tmp_path) as first:
        port = int(first.address.rpartition(":")[2].partition("/")[0])
        asyncio.run(serves(first))
    with served.worker(tmp_path, port=port) as second:
        assert second.address == first.address
        asyncio.run(serves(second))
