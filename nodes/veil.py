"""Hide the picture while a record says so."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, PrivateAttr

from composer import Context, Live, Moment, Node, OwnYUVA, Record
from composer.pictures import areas, chain, gaussian, mosaic

if TYPE_CHECKING:
    import av

    from composer.pictures.chain import Chain

SIGMA: Final = 0.1
"""Standard deviation of the blur, in parts of the picture's shorter side: light and colour stay."""

BLOCKS: Final = 12
"""Coarse blocks along the shorter side. A face that fills the picture is ten of them high."""

BLACK: Final = (0, 0, 0, 255)


class Veil(Node):
    """Hide the whole picture while a number in a record is too high: moderation.

    image: planar YUV of any size, written in place. facts: what a classifier found in the picture.
    `key` is looked for in the record itself, then among its `scores`; a dot leads into a mapping
    (`scores.nsfw`). Gives the picture, hidden or as it came. Sound goes by.

    In doubt the picture is hidden: where the key is missing, and where it holds no number, NaN
    among them. A word misspelt here or a model that was exchanged would otherwise show everything,
    and nobody would notice; a veil that never lifts is noticed at once. true and false count as 1
    and 0.

    Times are those of the pictures, so `hold_s` means the same in a file and in a session. Where
    they go back, it begins anew.
    """

    key: str = Field(
        min_length=1, max_length=200, description="name of the number in the record, as nsfw"
    )
    above: float = Live(0.5, description="a number above this hides the picture")
    hold_s: float = Live(
        1.0, ge=0, le=3600, description="seconds that it stays hidden after the last such number"
    )
    how: Literal["blur", "black", "pixelate"] = Live("blur", description="how it is hidden")
    start: Literal["shown", "hidden"] = Field(
        "hidden", description="what a picture is before the first record has come"
    )

    _chain: Chain = PrivateAttr()
    _came: bool = PrivateAttr(default=False)
    _hidden_at: float = PrivateAttr(default=-math.inf)
    """Time of the last picture that a record hid."""

    def setup(self, ctx: Context) -> None:
        self._chain = chain.Chain()

    def process(self, image: OwnYUVA, at: Moment, facts: Record | None = None) -> OwnYUVA:
        if facts is not None:
            self._came = True
            if not number_of(facts, self.key) <= self.above:  # what is no number hides, too
                self._hidden_at = at.seconds
        return self._hidden(image) if self._hides(at.seconds) else image

    def _hides(self, now: float) -> bool:
        if not self._came:
            return self.start == "hidden"
        self._hidden_at = min(self._hidden_at, now)
        return now - self._hidden_at <= self.hold_s

    def _hidden(self, image: av.VideoFrame) -> av.VideoFrame:
        shorter = min(image.width, image.height)
        if self.how == "blur":
            return gaussian.blur(self._chain, image, SIGMA * shorter)
        if self.how == "pixelate":
            mosaic.pixelate(image, -(-shorter // BLOCKS))
        else:
            areas.fill(image, BLACK, (0, 0, image.width, image.height))
        return image


def number_of(facts: Record, key: str) -> float:
    """What a record has under `key`, or under that among its scores; NaN for no number."""
    scores = facts.get("scores")
    for place in (facts, scores if isinstance(scores, dict) else {}):
        found = place[key] if key in place else _below(place, key)
        if found is not None:
            return float(found) if isinstance(found, Real) else math.nan
    return math.nan


def _below(place: Any, key: str) -> Any:
    """What a dotted key leads to, None for nothing."""
    for part in key.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place
