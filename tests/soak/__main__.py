"""Serve quiet sessions for minutes beside one fault after another, and look for growth.

    python -m tests.soak --minutes 10

It prints what was sampled as lines of JSON, and slopes with their intervals at the end; the exit
code is 1 where a picture of a quiet session was lost, or where memory, threads or descriptors grew.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from composer.testing import scripts
from composer.testing.orchestrator import Stream
from tests.faults import served
from tests.faults.bombs import BOMBS
from tests.server.streams import numbers, pieces
from tests.soak.slope import Slope, slope

SAMPLE_SECONDS: Final = 2.0
QUIET: Final = 2
"""Quiet sessions at a time."""

FRAMES: Final = 25
LOOPS: Final = 20
"""A quiet session lasts so many times a second; another one follows it."""

WARM_PART: Final = 3
"""The first one in so many parts of the samples is left out: pools fill, and caches."""

BLOCK: Final = 5
"""Samples that count as one point."""

LIMITS: Final[Mapping[str, float]] = {"memory_mib": 2.0, "threads": 0.5, "descriptors": 0.5}
"""What may be gained in a minute: less than a fault that leaves one thing behind each time."""

ATTACKS: Final = (*sorted(scripts.FLOODS), *(f"bomb:{name}" for name in sorted(BOMBS)))


@dataclass
class Soak:
    """What was seen. lost: pictures of quiet sessions that did not come back."""

    samples: list[dict[str, float]] = field(default_factory=list)
    pictures: int = 0
    lost: int = 0

    def slopes(self) -> Mapping[str, Slope]:
        """Growth of each in a minute, behind the warm-up. Raises ValueError where it was short."""
        kept = self.samples[len(self.samples) // WARM_PART :]
        minutes = [sample["minute"] for sample in kept]
        return {name: slope(minutes, [each[name] for each in kept], BLOCK) for name in LIMITS}


def grown(slopes: Mapping[str, Slope]) -> list[str]:
    """What grew by more than it may."""
    return [name for name, found in slopes.items() if found.exceeds(LIMITS[name])]


async def soak(
    worker: served.Process, minutes: float, attacks: Sequence[str] = ATTACKS, every: float = 60.0
) -> Soak:
    """Quiet sessions in a worker for so many minutes; every so many seconds the next attack, which
    lasts for half of them.
    """
    seen = Soak()
    async with served.watched(worker, most_memory=1 << 40) as here:
        ends = time.monotonic() + 60 * minutes
        async with asyncio.TaskGroup() as group:
            for number in range(QUIET):
                group.create_task(_quiet(here, seen, f"quiet-{number}", ends))
            group.create_task(_sampled(worker, seen, ends))
            group.create_task(_attacked(here, attacks, every, ends))
    return seen


async def _quiet(here: served.Watched, seen: Soak, name: str, ends: float) -> None:
    turn = 0
    while time.monotonic() < ends:
        stream = await here.start(f"{name}-{turn}")
        await stream.publish(pieces(FRAMES, loops=LOOPS))
        await _came(stream, LOOPS * FRAMES)
        await stream.stop()
        expected = list(range(FRAMES)) * LOOPS
        seen.pictures += len(expected)
        seen.lost += len(expected) - len(numbers(stream.output))
        del here.orchestrator.streams[stream.name]
        turn += 1


async def _came(stream: Stream, count: int) -> None:
    """Wait until all is back; what is not after a while is lost, and counted behind the stop."""
    try:
        async with asyncio.timeout(10):
            await stream.until(lambda: len(numbers(stream.output)) >= count)
    except TimeoutError:
        return


async def _sampled(worker: served.Process, seen: Soak, ends: float) -> None:
    began = time.monotonic()
    while time.monotonic() < ends:
        sample = {
            "minute": (time.monotonic() - began) / 60,
            "memory_mib": worker.memory() / (1 << 20),
            "threads": float(worker.threads()),
            "descriptors": float(worker.descriptors()),
        }
        seen.samples.append(sample)
        await asyncio.sleep(SAMPLE_SECONDS)


async def _attacked(
    here: served.Watched, attacks: Sequence[str], every: float, ends: float
) -> None:
    turn = 0
    while attacks and time.monotonic() + every < ends:
        name = attacks[turn % len(attacks)]
        with tempfile.TemporaryDirectory() as folder, served.peers(1, *_words(name, folder)) as at:
            stream = await here.start(f"attack-{turn}", subscribe_url=f"{at[0]}/x")
            await asyncio.sleep(every / 2)
            await stream.stop()
            del here.orchestrator.streams[stream.name]
        await asyncio.sleep(every / 2)
        turn += 1


def _words(name: str, folder: str) -> list[str]:
    kind, _, bomb = name.partition(":")
    if not bomb:
        return ["--get", kind]
    path = Path(folder) / "bomb"
    path.write_bytes(BOMBS[bomb](4_000_000))
    return ["--get", "once", "--data", str(path)]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=60, help="seconds from fault to fault")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served.worker(Path(folder)) as worker:
        seen = asyncio.run(soak(worker, options.minutes, every=options.every))
    slopes = seen.slopes()
    print(json.dumps({"pictures": seen.pictures, "lost": seen.lost}))  # noqa: T201
    for name, found in slopes.items():
        print(f"{name}: {found.value:+.3f} a minute, {found.low:+.3f} to {found.high:+.3f}")  # noqa: T201
    return 1 if seen.lost or grown(slopes) else 0


if __name__ == "__main__":
    sys.exit(main())
