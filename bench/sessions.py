"""Many sessions of one worker, with what drives them on the same cores."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import contenders, stream
from bench.clips import Clip
from bench.driver import Came, Driven, Order
from bench.process import peak_of
from bench.results import Numbers, Spread, quantile

COUNTS: Final = (8, 10)

COLUMNS: Final[Mapping[str, str]] = {
    "lost": "lost",
    "p50 ms": "delay p50, ms",
    "p95 ms": "p95, ms",
    "worst p95 ms": "p95 of the worst, ms",
    "cpu ms": "CPU per picture, ms",
    "driver cpu ms": "driver's, ms",
    "driver %": "driver, % of both",
    "cores": "cores",
    "others' cores": "others' cores",
}
"""What the table shows: name of a number -> title."""


def measured(pipeline: Path, count: int, clip: Clip, folder: Path) -> Numbers:
    """So many sessions of a pipeline at once, in real time. Raises RuntimeError where the driver or
    the worker fails.
    """
    return asyncio.run(_measured(pipeline, count, clip, folder))


async def _measured(pipeline: Path, count: int, clip: Clip, folder: Path) -> Numbers:
    file, sizes = clip.write(folder), tuple(len(piece) for piece in clip.pictures)
    async with stream.worker(contenders.byoc(pipeline, count)) as (address, pid, _):
        driven = await _driven(Order(address, pid, str(file), sizes, count))
        return numbers(driven) | {"memory MB": peak_of(pid) / 1e6}


async def _driven(order: Order) -> Driven:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.driver"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate(json.dumps(asdict(order)).encode())
    if process.returncode:
        raise RuntimeError(f"the driver ended with {process.returncode}")
    body = json.loads(printed)
    came = tuple(
        Came(one["sent"], tuple(one["latency"]), one["ordered"]) for one in body["sessions"]
    )
    return Driven(**{**body, "sessions": came})


def numbers(driven: Driven) -> dict[str, float]:
    """What a run showed, by name. CPU is that of a picture; "driver %" is the driver's part of what
    it and the worker used, "cores" what both used together, of a second.
    """
    every = [seconds for one in driven.sessions for seconds in one.latency]
    both = driven.cpu + driven.driver
    return {
        "cpu ms": driven.cpu / driven.pictures * 1e3,
        "driver cpu ms": driven.driver / driven.pictures * 1e3,
        "driver %": driven.driver / both * 100,
        "cores": both / driven.wall,
        "others' cores": max(driven.machine - both, 0.0) / driven.wall,
        "p50 ms": quantile(every, 0.5) * 1e3,
        "p95 ms": quantile(every, 0.95) * 1e3,
        "worst p95 ms": max(quantile(one.latency, 0.95) for one in driven.sessions) * 1e3,
        "lost": float(sum(one.sent - len(one.latency) for one in driven.sessions)),
        "out of order": float(sum(not one.ordered for one in driven.sessions)),
    }


def table(found: Mapping[str, Mapping[str, Spread]]) -> Iterator[str]:
    """As Markdown. found: what works of so many sessions gave, by name."""
    yield "| | " + " | ".join(COLUMNS.values()) + " |"
    yield "|---|" + "---|" * len(COLUMNS)
    for name, spreads in found.items():
        yield f"| {name} | " + " | ".join(str(spreads[f"byoc {each}"]) for each in COLUMNS) + " |"
