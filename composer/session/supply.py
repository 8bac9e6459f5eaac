"""Supply: when an input brought what an output is made of, and since when without a silence."""


class Supply:
    """The times of what comes in, in monotonic seconds; they begin anew when it returns.

    quiet: after so many seconds without anything an input that was answered counts as silent.
    silent: after so many any does. Whoever sends in bursts is not silent between two of them where
    nothing answers: that is what a hang looks like.
    """

    def __init__(self, quiet: float, silent: float) -> None:
        self.last_at = 0.0
        """When something came last; 0 for never."""
        self.since = 0.0
        """When it began to come, or came back; 0 for never."""

        self._quiet, self._silent = quiet, silent

    def came(self, now: float, answered_at: float) -> None:
        """Something came. answered_at: when something went out last, 0 for never."""
        gap = now - self.last_at
        answered = answered_at >= self.since
        if not self.last_at or gap > self._silent or (answered and gap > self._quiet):
            self.since = now
        self.last_at = now

    def lasts(self, now: float) -> bool:
        """Whether it comes, as of now."""
        return bool(self.last_at) and now - self.last_at < self._silent
