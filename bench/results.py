"""What was measured, over all runs: medians with their spread, as JSON with machine and commit."""

import json
import math
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import process

FOLDER: Final = Path(__file__).parent / "results"
KEPT: Final = Path(".bench/results")
"""Results under names of their own, to compare with; not part of the repository."""

Numbers = Mapping[str, float]
"""What one run of one thing gave, by name."""


@dataclass(frozen=True)
class Spread:
    """A number over several runs."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g}-{self.most:.3g})"


def spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def spreads(runs: Sequence[Numbers]) -> dict[str, Spread]:
    """Each number over the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: spread(run[name] for run in runs if name in run) for name in names}


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which so many of them are, from 0 to 1; NaN of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else math.nan


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {"cpu": _cpu(), "cores": process.cores(), "python": platform.python_version()}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


def commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def save(
    name: str, found: Mapping[str, Mapping[str, Spread]], folder: Path | None = None, **more: Any
) -> Path:
    """Write NAME.json into FOLDER, or another folder. found: by work, by number."""
    body = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        **more,
        "found": {
            work: {each: asdict(value) for each, value in numbers.items()}
            for work, numbers in found.items()
        },
    }
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    return path


def load(name: str, folder: Path | None = None) -> dict[str, Any]:
    """What save() wrote. Raises OSError where there is nothing."""
    body: dict[str, Any] = json.loads(((folder or FOLDER) / f"{name}.json").read_text())
    for numbers in body["found"].values():
        for each, value in numbers.items():
            numbers[each] = Spread(**value)
    return body
