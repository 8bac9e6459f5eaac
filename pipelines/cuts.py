"""What the scores of the net in shots.py say, told once for each cut."""

from pydantic import Field, PrivateAttr

from composer import Array, Live, Moment, Node, Record

REACH = 50
"""Most pictures that may lie between two runs of the net."""


class Cuts(Node):
    """Tell of each cut once, from the scores that the net gives every so many pictures.

    The newest pictures are left for the next time: a cut is seen by what follows it.
    """

    threshold: float = Live(0.5, gt=0, lt=1, description="score from which it is a cut")
    stride: int = Field(
        8, ge=1, le=REACH, description="pictures from one run of the net to the next"
    )
    behind: int = Field(8, ge=1, le=REACH, description="pictures that have to follow a cut")

    _before: float | None = PrivateAttr(default=None)

    def process(self, scores: Array, at: Moment) -> Record | None:
        """scores: (1, pictures), the newest last. Gives the best cut among those not judged yet."""
        before, self._before = self._before, at.seconds
        if before is None:
            return None
        last = scores.shape[1] - self.behind
        new = scores[0, last - self.stride : last]
        best = int(new.argmax())
        if new[best] < self.threshold:
            return None
        back = self.behind + self.stride - 1 - best
        seconds = at.seconds - back * (at.seconds - before) / self.stride
        return {"cut_after": round(seconds, 3), "score": round(float(new[best]), 3)}
