"""Bucket: so much per second, with a reserve for whoever took less before (a token bucket)."""

from typing import Final


class Bucket:
    """Fills by `rate` a second up to `most`. More than is there may be taken; then one rests until
    it is made up for.
    """

    def __init__(self, rate: float, most: float) -> None:
        self.rate: Final = rate
        self.most: Final = most
        self._level = most
        self._at: float | None = None

    def take(self, amount: float, now: float) -> float:
        """Seconds to rest after this, 0 for none. now: monotonic seconds."""
        if self._at is not None:
            self._level = min(self.most, self._level + (now - self._at) * self.rate)
        self._at = now
        self._level -= amount
        return max(0.0, -self._level / self.rate)
