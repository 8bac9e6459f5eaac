"""Freshness: since when the parts of something have had work and have not moved."""

from collections.abc import Mapping


class Freshness:
    """Remembers when each part was seen to move. It knows only of the moments at which it looks."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, float]] = {}

    def look(self, work: Mapping[str, object], now: float) -> None:
        """work: for each part that has something to do, how far it has come."""
        seen = self._seen
        self._seen = {
            part: seen[part] if part in seen and seen[part][0] == come else (come, now)
            for part, come in work.items()
        }

    def oldest(self, now: float) -> tuple[str, float]:
        """The part that has not moved for longest, and for how many seconds; ("", 0.0) for none."""
        waits = ((part, now - since) for part, (_, since) in self._seen.items())
        return max(waits, key=lambda wait: wait[1], default=("", 0.0))

    def standing(self, now: float, limit: float) -> str:
        """A part that has not moved while one has not for longer than so many seconds, and for how
        many; "" for none. Of those that stand at least half as long it is the first, in the order
        in which they were looked at.
        """
        if self.oldest(now)[1] <= limit:
            return ""
        parts = ((part, now - since) for part, (_, since) in self._seen.items())
        return next(f"{part} for {s:.0f} s" for part, s in parts if s > limit / 2)
