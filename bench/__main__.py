"""python -m bench: the worker beside FFmpeg, interleaved, medians with their spread."""

import argparse
import asyncio
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import clips, stream

RESULTS: Final = Path(__file__).parent / "results"
PASS: Final = "version: 1\nnodes: {source: {type: decode}, out: {type: encode, threads: 1}}\n"
TINT: Final = (
    "version: 1\nnodes: {source: {type: decode}, tint: {type: color, green: 1.3},"
    " out: {type: encode, threads: 1}}\n"
)


@dataclass(frozen=True)
class Work:
    """One thing to measure: a pipeline, and the FFmpeg filters that do the same."""

    name: str
    size: str
    pipeline: str
    filters: str = ""
    sessions: int = 1


WORKS: Final = (
    Work("passthrough", "720p", PASS),
    Work("passthrough", "360p", PASS),
    Work("green tint", "720p", TINT, "colorchannelmixer=gg=1.3"),
    Work("passthrough, 8 sessions", "360p", PASS, sessions=8),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, interleaved")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each clip")
    parser.add_argument("--guard", type=float, default=0.0, help="fail above this CPU ratio")
    asked = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("bench: there is no ffmpeg to compare with; apt-get install ffmpeg")
    made = {size: clips.make(size, asked.seconds) for size in {work.size for work in WORKS}}
    found: dict[Work, list[dict[str, float]]] = {work: [] for work in WORKS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.runs):
            for work in WORKS:
                print(f"run {number + 1} of {asked.runs}: {work.name}, {work.size}", flush=True)
                found[work].append(measured(work, made[work.size], Path(folder)))
    rows = [row(work, runs) for work, runs in found.items()]
    show(rows)
    save(rows, asked.runs, asked.seconds)
    worst = max(entry["cpu ratio"]["median"] for entry in rows)
    lost = sum(entry["lost"]["median"] for entry in rows)
    return int(bool(lost) or (0 < asked.guard < worst))


def measured(work: Work, clip: clips.Clip, folder: Path) -> dict[str, float]:
    """One run of the worker, and FFmpeg at the same pace right behind it."""
    pipeline = folder / "pipeline.yaml"
    pipeline.write_text(work.pipeline)
    seen = asyncio.run(stream.run(pipeline, clip, work.sessions))
    pictures = len(clip.pictures)
    paced = stream.ffmpeg(clip, work.filters, folder, paced=True) / pictures
    flat_out = stream.ffmpeg(clip, work.filters, folder) / pictures
    each = seen.cpu / seen.sent
    ordered = sorted(seen.latency) or [float("nan")]
    return {
        "cpu ms": each * 1e3,
        "cpu ratio": each / paced,
        "cpu ratio, flat out": each / flat_out,
        "p50 ms": ordered[len(ordered) // 2] * 1e3,
        "p95 ms": ordered[int(len(ordered) * 0.95)] * 1e3,
        "first ms": seen.first * 1e3,
        "ready ms": seen.ready * 1e3,
        "memory MB": seen.memory / 1e6,
        "lost": float(seen.sent - seen.back),
    }


def row(work: Work, runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    made: dict[str, Any] = {"work": work.name, "size": work.size}
    for key in runs[0]:
        values = sorted(run[key] for run in runs)
        made[key] = {"median": statistics.median(values), "least": values[0], "most": values[-1]}
    return made


SHOWN: Final = ("cpu ms", "cpu ratio", "p50 ms", "p95 ms", "first ms", "memory MB", "lost")


def show(rows: Sequence[dict[str, Any]]) -> None:
    print()
    print(f"{'work':32}" + "".join(f"{key:>22}" for key in SHOWN))
    for entry in rows:
        cells = (
            f"{entry[key]['median']:.4g} ({entry[key]['least']:.4g}-{entry[key]['most']:.4g})"
            for key in SHOWN
        )
        print(
            f"{entry['work'] + ', ' + entry['size']:32}" + "".join(f"{cell:>20}" for cell in cells)
        )
    print("cpu ratio: the worker's CPU per picture, beside FFmpeg's at the same pace")


def save(rows: Sequence[dict[str, Any]], runs: int, seconds: float) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    body = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": {
            "cpu": cpu_name(),
            "cores": stream.cores(),
            "python": platform.python_version(),
        },
        "runs": runs,
        "seconds": seconds,
        "rows": list(rows),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(stream.as_json(body) + "\n")
    print(f"saved to {path}")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main())
