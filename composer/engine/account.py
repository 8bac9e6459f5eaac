"""The account of a run: what every node and every edge took, gave and dropped, and why."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of the histograms, in seconds: from a cheap node to a stream that stands."""


@dataclass
class Histogram:
    """How often which duration was seen. counts: one per bucket, and one above the last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def include(self, other: "Histogram") -> None:
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.total += other.total


@dataclass
class NodeCount:
    """What one node did: frames taken and given, dropped by reason, errors, seconds at work.

    begun, done: calls that began, and that came back. work: how long a frame took it. age: of a
    sink's frames in a session, from their entry into this process until the sink was done with
    them. about: what the node says of itself. lost, lost_tracks: what it says that it lost of its
    medium.
    """

    taken: int = 0
    begun: int = 0
    done: int = 0
    given: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    seconds: float = 0.0
    work: Histogram = field(default_factory=Histogram)
    age: Histogram = field(default_factory=Histogram)
    about: Mapping[str, Any] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_tracks: Sequence[str] = ()

    @property
    def left_out(self) -> Counter[str]:
        """Frames that were dropped or lost, by reason."""
        return self.dropped + Counter(self.lost)

    def include(self, other: "NodeCount") -> None:
        """Count what the other one has counted, too."""
        self.taken += other.taken
        self.begun += other.begun
        self.done += other.done
        self.given += other.given
        self.dropped.update(dict(other.dropped))
        self.errors += other.errors
        self.seconds += other.seconds
        self.work.include(other.work)
        self.age.include(other.age)
        self.about = other.about or self.about
        self.lost = Counter(self.lost) + Counter(other.lost)
        self.lost_tracks = (*self.lost_tracks, *other.lost_tracks)


def sum_of(counts: Iterable[NodeCount]) -> NodeCount:
    """The account of a node that several threads work for, each with a count of its own."""
    total = NodeCount()
    for count in counts:
        total.include(count)
    return total


@dataclass
class EdgeCount:
    """What went over one edge: offered == taken + dropped + waiting, always."""

    offered: int = 0
    taken: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Report:
    """The account of a run. edges are keyed "node.port -> node.port"."""

    nodes: Mapping[str, NodeCount]
    edges: Mapping[str, EdgeCount]
    seconds: float
    media_seconds: float
