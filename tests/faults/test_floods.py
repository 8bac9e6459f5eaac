"""Peers that send as fast as they are read, and segments that cost much, beside a quiet session.

How busy the loop is, is asked as the CPU of its thread: that of the quiet session alone, and with
the attack. A loop that does what a peer chooses takes seconds.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from composer.testing import scripts
from tests.faults import served
from tests.faults.bombs import BOMBS

FRAMES = 150
"""Six seconds."""

MORE_SECONDS = 2.5
"""CPU that the loop may take more in them: for connections that are made anew, and refused."""

SIZE = 7_900_000
"""Of one segment: what waits for a decoder may be 8 MiB."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Process]:
    """One for all attacks: what one of them leaves behind is in the way of the next."""
    with served.worker(tmp_path_factory.mktemp("worker")) as process:
        yield process


@pytest.fixture(scope="module")
def alone(worker: served.Process) -> float:
    """What the loop takes for the quiet session, in seconds of CPU."""

    async def measured() -> float:
        async with served.watched(worker) as here:
            return await here.quiet("alone", FRAMES)

    return asyncio.run(measured())


async def beside_the_attack(
    worker: served.Process, alone: float, addresses: list[str], key: str
) -> None:
    async with served.watched(worker) as here:
        for number, address in enumerate(addresses):
            await here.start(f"attack-{number}", **{key: f"{address}/x"})
        assert await here.quiet("beside", FRAMES) < alone + MORE_SECONDS


@pytest.mark.fault("F-12", "F-13", "F-14", "F-23", "F-77")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("flood", sorted(scripts.FLOODS))
def test_a_flood_costs_a_neighbour_nothing(
    worker: served.Process, alone: float, flood: str, count: int
) -> None:
    with served.peers(count, "--get", flood) as addresses:
        asyncio.run(beside_the_attack(worker, alone, addresses, "subscribe_url"))


@pytest.mark.fault("F-38", "F-77")
def test_interim_answers_to_what_is_sent_cost_a_neighbour_nothing(
    worker: served.Process, alone: float
) -> None:
    with served.peers(3, "--post", "interim_answers") as addresses:
        asyncio.run(beside_the_attack(worker, alone, addresses, "publish_url"))


@pytest.mark.fault("F-83", "F-84", "F-23", "F-35")
@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_segment_that_costs_much_costs_its_own_session(
    worker: served.Process, alone: float, tmp_path: Path, bomb: str
) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[bomb](SIZE))
    with served.peers(1, "--get", "once", "--data", str(tmp_path / "bomb")) as addresses:
        asyncio.run(beside_the_attack(worker, alone, addresses, "subscribe_url"))


@pytest.mark.fault("F-12", "F-84")
@pytest.mark.parametrize("bomb", ["wide_tables", "frames_of_aac", "delimiters"])
def test_the_same_without_end(
    worker: served.Process, alone: float, tmp_path: Path, bomb: str
) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[bomb](2_000_000))
    with served.peers(3, "--get", "endless", "--data", str(tmp_path / "bomb")) as addresses:
        asyncio.run(beside_the_attack(worker, alone, addresses, "subscribe_url"))
