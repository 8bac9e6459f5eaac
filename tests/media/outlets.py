"""An outlet that keeps what encoders of a session give it."""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Given:
    kind: str
    data: bytes
    seconds: float
    key: bool
    late: bool


@dataclass
class Sink:
    """An outlet that keeps what it is given."""

    refusal: str = ""
    until: float = -1.0
    """Seconds up to which pictures are in the output already."""
    tracks: list[tuple[str, str, int]] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    def open(self, *, video: str = "", audio: str = "", channels: int = 2) -> None:
        self.tracks.append((video, audio, channels))

    def packet(
        self, kind: str, data: bytes, pts: int, dts: int, time_base: Fraction, *, key: bool
    ) -> None:
        self.given.append(Given(kind, data, float(pts * time_base), key, pts != dts))

    def repeats(self, pts: int, time_base: Fraction) -> bool:
        return float(pts * time_base) <= self.until

    def dropped(self, reason: str) -> None:
        self.lost[reason] += 1

    def pictures(self) -> list[Given]:
        return [each for each in self.given if each.kind == "video"]
