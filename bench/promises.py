"""What the worker promises, and what holds it to that: the table of `python -m bench`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.results import Spread

Found = Mapping[str, Mapping[str, Spread]]
"""By work, by number."""

P720, P360, TEN = "passthrough, 720p", "passthrough, 360p", "10 sessions, 360p"
EIGHT, SOUND = "8 sessions, 360p", "passthrough with sound, 360p"
NODE, MOST = "a node that does nothing", "at the most, 720p"
PACED, FLAT = "CPU / FFmpeg, paced", "CPU / FFmpeg"
BESIDE: Final = "CPU / floor"

FLOORS: Final[Mapping[str, float]] = {P720: 1.25, P360: 1.45}
"""CPU of a picture beside that of the codecs alone, at the most. Also what `guard` holds to."""


@dataclass(frozen=True)
class Promise:
    """A line of the table. number: of the work's numbers. at_most: else at the least."""

    said: str
    work: str
    number: str
    limit: float
    at_most: bool = True

    def kept(self, found: Found) -> bool:
        """Whether the median is on the right side of the limit; what was not measured is not."""
        if not self.measured(found):
            return False
        median = found[self.work][f"byoc {self.number}"].median
        return median <= self.limit if self.at_most else median >= self.limit

    def measured(self, found: Found) -> bool:
        """Whether there is such a number: results of before the promise have none, nor have runs
        that all lost pictures, where it is of CPU.
        """
        return f"byoc {self.number}" in found.get(self.work, {})


PROMISES: Final = (
    Promise("passthrough 720p, CPU per picture / codecs alone", P720, BESIDE, FLOORS[P720]),
    Promise("passthrough 360p, CPU per picture / codecs alone", P360, BESIDE, FLOORS[P360]),
    Promise("passthrough 720p, CPU per picture / FFmpeg at the same pace", P720, PACED, 1.10),
    Promise("passthrough 720p, CPU per picture / FFmpeg flat out", P720, FLAT, 1.10),
    Promise("passthrough 720p, delay p50, ms", P720, "p50 ms", 16),
    Promise("passthrough 720p, delay p95, ms", P720, "p95 ms", 26),
    Promise("passthrough 720p, delay p50 over codecs alone, ms", P720, "p50 ms over the floor", 4),
    Promise("passthrough 720p, delay p95 over codecs alone, ms", P720, "p95 ms over the floor", 15),
    Promise("passthrough 360p, delay p50, ms", P360, "p50 ms", 7),
    Promise("passthrough 360p, delay p95, ms", P360, "p95 ms", 12),
    Promise("pictures per second at the most / FFmpeg", MOST, "fps / FFmpeg", 0.95, at_most=False),
    Promise("green tint 720p, CPU / FFmpeg at the same pace", "green tint, 720p", PACED, 1.15),
    Promise(
        "resize and caption 720p, CPU / FFmpeg at the same pace",
        "resize and caption, 720p",
        PACED,
        1.15,
    ),
    Promise("a node that does nothing, fused, us", NODE, "fused us", 10),
    Promise("a node that does nothing, across stages, us", NODE, "across us", 80),
    Promise("ONNX node / bare loop", "an ONNX node", "fps / onnxruntime", 0.97, at_most=False),
    Promise("sound that no node takes, Opus, CPU per picture, ms", SOUND, "opus ms on top", 1.5),
    Promise("8 sessions 360p, delay p95, ms", EIGHT, "p95 ms", 50),
    Promise("8 sessions 360p, pictures lost", EIGHT, "lost", 0),
    Promise("10 sessions 360p, delay p95, ms", TEN, "p95 ms", 100),
    Promise("10 sessions 360p, pictures lost", TEN, "lost", 0),
    Promise("memory of a 720p passthrough worker, MB", P720, "memory MB", 120),
    Promise(
        "cutting access units at 8 Mbit/s, % of a core", "cutting access units", "% of a core", 3
    ),
    Promise("`byoc check` of a pipeline with torch, s", "start", "check s", 0.3),
    Promise("`byoc serve` ready, s", P720, "ready s", 1.0),
    Promise("first byte in to first byte out, ms", P720, "first ms", 80),
)
